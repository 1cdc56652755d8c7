"""Requests for videos: read their inputs, make what they ask for, write it with its provenance."""
