"""Expand prompts: with a language model, or, for the simulated worlds, with their own captions."""
