"""`facts` says what was measured, who reports it, and what did not run."""

import numpy as np
import pytest

from captioner import facts as facts_module
from captioner.config import FactsConfig
from captioner.facts import FactsCaptioner, stable_objects
from captioner.objects import LABELS, Detection
from captioner.phrases import camera_phrase
from captioner.prompts import load_prompt
from captioner.protocol import CaptionRequest
from captioner.sight import color_shares, measure_motion
from manifests.records import Outcome


def texture(width: int = 400) -> np.ndarray:
    """A rough picture that flow can follow."""
    import cv2

    coarse = np.random.default_rng(0).integers(0, 255, (40, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, 240), interpolation=cv2.INTER_CUBIC)


def request(frames_THWC: np.ndarray, name: str) -> CaptionRequest:
    times = tuple(k / 10 for k in range(len(frames_THWC)))
    return CaptionRequest(
        clip_id="a", media_id="m", frames_THWC=frames_THWC, times_s=times, prompt=load_prompt(name)
    )


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> FactsCaptioner:
    """A captioner on a machine without the optional detectors."""
    monkeypatch.setattr(facts_module, "detector_installed", lambda: False)
    monkeypatch.setattr(facts_module, "_load_reader", lambda: None)
    return FactsCaptioner(FactsConfig())


def test_missing_detectors_are_named_in_the_row_and_in_the_text(blind: FactsCaptioner) -> None:
    picture = texture()[:, :320]
    dense, short = blind.caption([request(np.stack([picture] * 4), n) for n in ("dense", "short")])
    assert dense.provenance.captioner == "facts"
    assert "no object detector; no text reader" in dense.provenance.model
    assert "No object detector was run." in (dense.text or "")
    assert "No readable text" not in (dense.text or "")
    assert dense.outcome is short.outcome is Outcome.OK
    assert len((short.text or "").split()) < 25 < len((dense.text or "").split())


def test_a_version_keeps_its_words(blind: FactsCaptioner) -> None:
    """The text is part of what a caption version names: other words need another `REVISION`."""
    picture = texture()[:, :320]
    dense, short = blind.caption([request(np.stack([picture] * 4), n) for n in ("dense", "short")])
    assert short.text == "A medium-bright video, mostly green and purple; the camera seems still."
    assert dense.text == (
        "This is a medium-bright video clip and its main colors are green and purple. No object detector was "
        "run. As far as optical flow tells, the camera seems still. Hardly anything in it moves by itself. "
        "This description was put together from detectors and may be wrong about what things are."
    )


def test_a_still_makes_no_statement_about_motion(blind: FactsCaptioner) -> None:
    [answer] = blind.caption([request(texture()[None, :, :320], "dense")])
    assert "still image" in (answer.text or "")
    assert "camera" not in (answer.text or "")
    assert "moves" not in (answer.text or "")


@pytest.mark.parametrize(
    ("step", "says"), [(4, "to the left"), (-4, "to the right"), (0, "camera seems still")]
)
def test_a_panning_window_shifts_the_picture(step: int, says: str) -> None:
    wide = texture(480)
    start = 80 if step < 0 else 0
    frames = np.stack([wide[:, start + k * step : start + k * step + 320] for k in range(9)])
    motion = measure_motion(frames, [k / 10 for k in range(9)])
    assert says in camera_phrase(motion)
    assert motion.shift_x == pytest.approx(-step * 10 / 320, abs=0.02)


def test_zoom_is_told_from_a_shift() -> None:
    import cv2

    picture = texture()[:, :320]
    frames = []
    for k in range(9):
        matrix = cv2.getRotationMatrix2D((160, 120), 0, 1 + 0.02 * k)
        frames.append(cv2.warpAffine(picture, matrix, (320, 240), borderMode=cv2.BORDER_REFLECT))
    assert "zoom in" in camera_phrase(measure_motion(np.stack(frames), [k / 10 for k in range(9)]))


def test_colours_by_name() -> None:
    frame = np.full((1, 40, 40, 3), (200, 30, 30), np.uint8)
    frame[:, :10] = (240, 240, 240)
    assert [name for name, share in color_shares(frame) if share > 0.1] == ["red", "white"]


def test_an_object_must_be_seen_in_half_of_the_frames() -> None:
    def seen(label: str, x: float = 0.5) -> Detection:
        return Detection(label=label, score=0.9, center=(x, 0.5), area=0.1)

    found = stable_objects(
        [[seen("person"), seen("person", 0.9)], [seen("person"), seen("cat")], [], [seen("dog")]]
    )
    assert [(t.label, t.count, t.frames) for t in found] == [("person", 2, 2)]
    assert stable_objects([]) == []
    assert LABELS[1] == "person"
    assert LABELS[90] == "toothbrush"
    assert sum(bool(name) for name in LABELS.values()) == 80
