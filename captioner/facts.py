"""The `facts` captioner: what detectors report of a real clip, put into careful sentences.

It is no language model and no evidence of caption quality: a detector takes a cartoon rabbit for a cat. So
every sentence says who reports what, and every row is labelled `facts` with the detectors that ran.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec

import cv2
import numpy as np

from captioner.config import FactsConfig
from captioner.frames import sample_uniform
from captioner.objects import Detection, ObjectDetector, detector_installed
from captioner.phrases import Facts, Thing, dense_text, short_text
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from captioner.sight import brightness, color_shares, measure_motion
from manifests.records import Outcome

REVISION = "facts-1"


class FactsCaptioner:
    """Holds the detectors that are installed. Clips that are asked about twice are measured once."""

    def __init__(self, config: FactsConfig) -> None:
        self.config = config
        self.detector = ObjectDetector() if detector_installed() else None
        self.reader = _reader() if config.text_frames else None
        ran = [part.name for part in (self.detector, self.reader) if part is not None]
        missing = [] if self.detector else ["no object detector"]
        missing += [] if self.reader else ["no text reader"]
        self.provenance = Provenance(
            captioner="facts",
            model="; ".join([*ran, f"flow and colours (opencv {cv2.__version__})", *missing]),
            revision=REVISION,
            decoding=json.dumps(asdict(config), sort_keys=True),
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request: one sentence for a prompt whose name ends in `short`, else the long text."""
        measured: dict[str, Facts] = {}
        for request in requests:
            if request.clip_id not in measured:
                measured[request.clip_id] = self.measure(request.frames_THWC, request.times_s)
        return [self._answer(request, measured[request.clip_id]) for request in requests]

    def measure(self, frames_THWC: np.ndarray, times_s: Sequence[float]) -> Facts:
        """Run every detector on one clip."""
        shown = frames_THWC[list(sample_uniform(len(frames_THWC), self.config.frames))]
        score = self.config.min_object_score
        found = [self.detector.detect(frame, score) for frame in shown] if self.detector else []
        return Facts(
            things=tuple(agreed(found)),
            looked=self.detector is not None,
            frames=len(shown),
            texts=tuple(self._read(frames_THWC)),
            read=self.reader is not None,
            colors=tuple(name for name, share in color_shares(shown)[:3] if share >= 0.12),
            brightness=brightness(shown),
            motion=measure_motion(frames_THWC, times_s) if len(frames_THWC) > 1 else None,
        )

    def _read(self, frames_THWC: np.ndarray) -> list[str]:
        if self.reader is None:
            return []
        middles = [(2 * k + 1) / (2 * self.config.text_frames) for k in range(self.config.text_frames)]
        lines = []
        for frame in (frames_THWC[int(share * len(frames_THWC))] for share in middles):
            found = self.reader.read_lines(
                frame, min_score=self.config.min_text_score, min_length=self.config.min_text_length
            )
            lines += [line.text for line in found]
        return list(dict.fromkeys(lines))

    def _answer(self, request: CaptionRequest, facts: Facts) -> CaptionAnswer:
        text = short_text(facts) if request.prompt.name.endswith("short") else dense_text(facts)
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.OK,
            text=text,
            raw=text,
            frames_shown=sample_uniform(len(request.frames_THWC), self.config.frames),
            provenance=self.provenance,
        )


def agreed(found: Sequence[Sequence[Detection]]) -> list[Thing]:
    """Return the classes reported in at least half of the frames, those in most frames first.

    A class seen once is dropped: on film frames single reports are mostly wrong.
    """
    by_label: defaultdict[str, list[list[Detection]]] = defaultdict(list)
    for detections in found:
        for label in {d.label for d in detections}:
            by_label[label].append([d for d in detections if d.label == label])
    things = [
        Thing(
            label=label,
            count=max(map(len, frames)),
            frames=len(frames),
            center=tuple(np.mean([d.center for frame in frames for d in frame], axis=0).tolist()),
        )
        for label, frames in by_label.items()
        if len(frames) >= max(1, (len(found) + 1) // 2)
    ]
    return sorted(things, key=lambda thing: (-thing.frames, thing.label))


def _reader():
    if find_spec("rapidocr") is None:
        return None
    from video.scorers.text import TextReader

    return TextReader()
