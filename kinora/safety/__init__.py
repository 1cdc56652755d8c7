"""Checks of prompts and of what comes out: off, warn or block, recorded either way."""
