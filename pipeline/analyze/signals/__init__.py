"""Analyzers: each receives every frame of the decoding pass, then returns its score columns for a clip."""
