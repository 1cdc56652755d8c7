"""Claims of captions: split a text into them, check them against frames, and drop the unsupported ones."""
