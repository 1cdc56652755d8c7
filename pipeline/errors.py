"""Errors that several steps of the pipeline raise."""


class NothingToDo(ValueError):
    """There is no input to work on. The message names the place that was searched and the remedy."""


class SourceChanged(Exception):
    """The file at a path is no longer the one that was listed or analysed."""


class OwnScorerFailed(ValueError):
    """A scorer of the user raised, or returned what it does not declare."""


class NoFrame(Exception):
    """The frame buffer holds no frame of a clip for the scorers."""
