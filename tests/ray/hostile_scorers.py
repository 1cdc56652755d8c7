"""A scorer that ends its process at marked clips; a module that Ray's workers can import."""

import os
import signal

import cv2

from pipeline.scorers.corners import logo
from pipeline.stages.score import ScoreActor


class DeadlyLogo:
    """Ends the process where it sees a logo."""

    def score(self, frames):
        if logo([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"corner_logo": False}


class DeadlyActor(ScoreActor):
    def __init__(self, *args) -> None:
        super().__init__(*args)
        self._scorers = {"logo": DeadlyLogo()}
