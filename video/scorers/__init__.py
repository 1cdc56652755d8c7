"""Score single frames with models: burned-in text, and whether a frame is safe for work."""
