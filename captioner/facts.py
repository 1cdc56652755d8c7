"""The `facts` captioner: sentences composed from detector results, not from a language model.

Detectors err, so every sentence attributes its claim, and the provenance lists the detectors that ran.
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
from captioner.phrases import DetectedObject, Facts, dense_text, short_text
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from captioner.sight import brightness, color_shares, measure_motion
from manifests.records import Outcome

REVISION = "facts-1"


class FactsCaptioner:
    """Captions clips with the installed detectors; measures each clip once per call."""

    def __init__(self, config: FactsConfig) -> None:
        self.config = config
        self.detector = ObjectDetector() if detector_installed() else None
        self.reader = _load_reader() if config.text_frames else None
        names = [part.name for part in (self.detector, self.reader) if part is not None]
        missing = [] if self.detector else ["no object detector"]
        missing += [] if self.reader else ["no text reader"]
        self.provenance = Provenance(
            captioner="facts",
            model="; ".join([*names, f"flow and colours (opencv {cv2.__version__})", *missing]),
            revision=REVISION,
            decoding=json.dumps(asdict(config), sort_keys=True),
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        """Answer every request: one sentence for prompts whose name ends in `short`, else a dense caption."""
        measured: dict[str, Facts] = {}
        for request in requests:
            if request.clip_id not in measured:
                measured[request.clip_id] = self.measure(request.frames_THWC, request.times_s)
        return [self._answer(request, measured[request.clip_id]) for request in requests]

    def measure(self, frames_THWC: np.ndarray, times_s: Sequence[float]) -> Facts:
        """Run all detectors on one clip."""
        sampled_THWC = frames_THWC[list(sample_uniform(len(frames_THWC), self.config.frames))]
        score = self.config.min_object_score
        detections = [self.detector.detect(frame, score) for frame in sampled_THWC] if self.detector else []
        return Facts(
            objects=tuple(stable_objects(detections)),
            objects_checked=self.detector is not None,
            frames=len(sampled_THWC),
            texts=tuple(self._read(frames_THWC)),
            texts_checked=self.reader is not None,
            colors=tuple(name for name, share in color_shares(sampled_THWC)[:3] if share >= 0.12),
            brightness=brightness(sampled_THWC),
            motion=measure_motion(frames_THWC, times_s) if len(frames_THWC) > 1 else None,
        )

    def _read(self, frames_THWC: np.ndarray) -> list[str]:
        if self.reader is None:
            return []
        positions = [(2 * k + 1) / (2 * self.config.text_frames) for k in range(self.config.text_frames)]
        lines = []
        for frame in (frames_THWC[int(position * len(frames_THWC))] for position in positions):
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


def stable_objects(detections: Sequence[Sequence[Detection]]) -> list[DetectedObject]:
    """Return the classes detected in at least half of the frames, most frames first."""
    by_label: defaultdict[str, list[list[Detection]]] = defaultdict(list)
    for in_frame in detections:
        for label in {d.label for d in in_frame}:
            by_label[label].append([d for d in in_frame if d.label == label])
    objects = [
        DetectedObject(
            label=label,
            count=max(map(len, frames)),
            frames=len(frames),
            center=tuple(np.mean([d.center for frame in frames for d in frame], axis=0).tolist()),
        )
        for label, frames in by_label.items()
        if len(frames) >= max(1, (len(detections) + 1) // 2)
    ]
    return sorted(objects, key=lambda item: (-item.frames, item.label))


def _load_reader():
    if find_spec("rapidocr") is None:
        return None
    from video.scorers.text import TextReader

    return TextReader()
