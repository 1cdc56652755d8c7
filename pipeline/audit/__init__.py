"""Check captions against their clips: agreement with shuffled pairs, and claims."""
