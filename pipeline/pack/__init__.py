"""Bucket captioned clips by aspect ratio and duration, and write WebDataset shards."""
