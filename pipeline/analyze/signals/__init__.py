"""Analyzers: each sees every frame of the decoding pass, then returns its columns for a span."""
