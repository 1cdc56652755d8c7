"""Decide which clips are kept: rules, presets and the one `select`."""
