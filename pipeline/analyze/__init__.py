"""Detect shots and measure every clip in one decoding pass over each source."""
