"""All of the Ray code: raw videos to clips, captions and shards."""

__all__ = [
    "analysis",
    "analyze",
    "ask",
    "caption",
    "columns",
    "config",
    "cut",
    "dedup",
    "errors",
    "fingerprint_format",
    "jobs",
    "media",
    "pack",
    "planning",
    "runtime",
    "score",
    "select",
    "sources",
]
