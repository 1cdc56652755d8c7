"""Clips that show the same thing: found by what they look like over time, decided in epochs."""
