"""The family `canvas`: permanent paint strokes and bites."""
