"""All of the Lightning code: shards to a trained text-to-video model, and videos from it."""
