"""Find clips that show the same content, and keep one of each group."""
