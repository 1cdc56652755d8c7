"""The demo: every step from raw clips to generated videos, on small built-in defaults."""
