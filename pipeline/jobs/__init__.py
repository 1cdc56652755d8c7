"""Jobs: read top to bottom, one line a stage."""
