"""The contract between the parts: records, their Arrow schemas, the dataset store, buckets, the shard index."""
