"""Stands in for the analysis of a source, and does what a file's name says. Imported in other processes."""

import errno
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from captioner.protocol import CaptionAnswer, Captioner, CaptionRequest, Provenance
from manifests.records import Outcome, Source
from pipeline.analysis import Analysis
from pipeline.analyze.stage import analyze_batch
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CaptionConfig
from pipeline.cut.stage import cut_batch
from pipeline.runtime.pieces import Piece
from video.config import SandboxConfig


def measure_or_die(source: Source, config: AnalyzeConfig, limits: SandboxConfig) -> Analysis:
    """Analyse, but end this process for `crash…`, the Ray worker above it for `worker…`, and the first time
    for `unlucky…`."""
    path = Path(source.uri)
    if path.name.startswith("crash"):
        signal.raise_signal(signal.SIGSEGV)
    if path.name.startswith("worker"):
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    if path.name.startswith("unlucky") and not (mark := path.with_suffix(".tried")).exists():
        mark.touch()
        os.abort()
    return analyze_file(source, config, limits)


def analyze_or_raise(row: dict[str, Any], **settings: Any) -> Iterator[Piece]:
    """Analyse the sources of a row, but raise for the whole of it when `raise…` is among them."""
    if "/raise" in row["units"]:
        raise OSError(5, "Input/output error")
    yield from analyze_batch(row, **settings)


def cut_until_full(row: dict[str, Any], **settings: Any) -> Iterator[Piece]:
    """Cut the sources of a row, but find no room where `good0` is among them."""
    if "/good0" in row["units"]:
        raise OSError(errno.ENOSPC, "there is no room")
    yield from cut_batch(row, **settings)


class DeadlyCaptioner:
    """Says what it is shown, but ends its process for a clip that is mostly red."""

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        red, green, blue = (request.frames_THWC[..., channel].mean() for channel in range(3))
        if red > 2 * max(green, blue):
            os.kill(os.getpid(), signal.SIGKILL)
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.OK,
            text=f"{request.prompt.name}: {len(request.frames_THWC)} frames, green {green:.0f}",
            raw="",
            frames_shown=(0,),
            provenance=Provenance(captioner="vlm", model="deadly", revision="1", decoding="{}"),
            detail="",
        )


def load_deadly(config: CaptionConfig) -> Captioner:
    return DeadlyCaptioner()
