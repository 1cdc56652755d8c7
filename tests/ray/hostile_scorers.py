"""Scorers that end their process, or raise, at marked clips; a module that Ray's workers can import."""

import os
import signal
from dataclasses import replace

import cv2

from pipeline.score.corners import has_logo
from pipeline.score.stage import ScoreActor


class DeadlyLogo:
    """Ends the process where it sees a logo."""

    def score(self, frames):
        if has_logo([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]):
            self.end()
        return {"corner_logo": False}

    def end(self):
        os.kill(os.getpid(), signal.SIGKILL)


class BrokenLogo(DeadlyLogo):
    """Raises there."""

    def end(self):
        raise RuntimeError("the model is not in the mood")


class DeadlyActor(ScoreActor):
    def __init__(self, *args) -> None:
        super().__init__(*args)
        self._scorers = replace(self._scorers, scorers={"logo": DeadlyLogo()})


class BrokenActor(ScoreActor):
    def __init__(self, *args) -> None:
        super().__init__(*args)
        loaded = self._scorers.scorers
        self._scorers = replace(self._scorers, scorers={**loaded, "logo": BrokenLogo()})
