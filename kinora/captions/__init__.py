"""Captions for the shell: rows of queries, samples, differences and figures."""
