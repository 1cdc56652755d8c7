"""Decide which clips are kept: rules, presets of limits, and `select`."""
