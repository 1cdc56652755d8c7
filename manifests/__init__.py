"""The contract between the parts: records, schemas, the dataset store, buckets, the shard index."""
