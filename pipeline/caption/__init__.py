"""Caption cut clips with one captioner."""
