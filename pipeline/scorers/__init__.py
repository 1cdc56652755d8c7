"""Scorers of clips by a few larger frames, some with models: frames in, score columns out."""
