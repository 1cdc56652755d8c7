"""All of the Ray code: raw videos to clips, captions and shards."""
