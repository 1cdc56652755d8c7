"""Frames in, captions out."""
