"""Score clips with models."""
