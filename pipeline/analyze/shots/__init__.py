"""Shot detection: features of frames in, boundaries between shots out."""
