"""The data contract between packages: records, schemas, the dataset store, buckets and the shard index."""
# pyright: reportUnsupportedDunderAll=false
# `__all__` lists modules that are not imported here.

__all__ = [
    "arrow",
    "buckets",
    "caption_order",
    "conservation",
    "dataset",
    "digest",
    "gc",
    "integrity",
    "lineage",
    "live_view",
    "migrations",
    "parts",
    "ranges",
    "records",
    "redact",
    "renamed_fields",
    "renamed_flags",
    "review",
    "row_reads",
    "sandboxed_sql",
    "schemas",
    "scores",
    "shards",
    "snapshots",
    "sql",
    "storage",
    "thumbnails",
    "view_schemas",
]
