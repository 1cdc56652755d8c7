"""Video captioning: frames in, captions out."""
