"""Generate videos for held-out prompts, judge each, and count."""
