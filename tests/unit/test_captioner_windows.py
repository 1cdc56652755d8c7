"""Long clips are captioned by windows; their texts are merged in order, with words of time alone added."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from captioner.captions import ClipFrames, caption_clips
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from captioner.windows import clip_of, merge_parts, merge_texts, window_id, window_spans
from manifests.records import LENGTHS, PARTS, Outcome

DENSE, SHORT = Prompt(name="dense", text="all of it"), Prompt(name="short", text="briefly")
ASKED_PARTS = Prompt(name="parts", text="the parts", asks_parts=True)
WHO = Provenance(captioner="vlm", model="m", revision="r", decoding="{}")


def clip(clip_id: str, frames: int = 24, fps: float = 2.0) -> ClipFrames:
    """Return a clip whose frames have the value of their number."""
    pixels = np.zeros((frames, 4, 4, 3), np.uint8) + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    times = tuple(index / fps for index in range(frames))
    return ClipFrames(clip_id=clip_id, media_id=f"m{clip_id}", frames_THWC=pixels, times_s=times)


def parts(**named: object) -> str:
    empty = {name: [] if name in ("subjects", "actions", "visible_text") else "" for name in PARTS}
    return json.dumps(empty | named)


class Teller:
    """Says what it was asked and which frames it saw, the first of each request as shown."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse, self.asked = refuse, list[tuple[str, str, int]]()

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        assert all(request.times_s[0] == 0.0 for request in requests)
        self.asked += [(r.clip_id, r.prompt.name, len(r.times_s)) for r in requests]
        return [self._answer(request) for request in requests]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        first = int(request.frames_THWC[0, 0, 0, 0])
        text = f"A count at {first}. The camera is still."
        if request.prompt.asks_parts:
            text = parts(actions=[f"counts {first}"], subjects=["a counter"], setting="a room")
        refused = request.clip_id == self.refuse
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.REFUSED if refused else Outcome.OK,
            text=None if refused else text,
            texts={"short": "s", "dense": text} if request.prompt.lengths and not refused else {},
            raw="",
            frames_shown=(0, 1),
            provenance=WHO,
            detail="would not" if refused else "",
        )


def test_a_clip_is_split_into_equal_windows() -> None:
    times = clip("a").times_s  # 12 s
    assert window_spans(times, 5.0) == [(0, 8), (8, 16), (16, 24)]
    for seconds in (0.0, 12.0, 100.0):
        assert window_spans(times, seconds) == [(0, 24)]
    assert len(window_spans(times, 0.1)) == 12  # no window of a single frame
    assert window_spans(times[:3], 0.1) == [(0, 3)]
    assert clip_of(window_id("a", 2)) == clip_of("a") == "a"


def test_texts_are_merged_in_order_and_say_nothing_twice() -> None:
    texts = [
        "A man sits. The camera is still.",
        "He stands up. The camera is still.",
        "NASA launches. It rises.",
    ]
    assert merge_texts(texts) == (
        "First, a man sits. The camera is still. Then, he stands up. Finally, NASA launches. It rises."
    )
    four = merge_texts(["A man.", "B.", "C.", "D.", "The end."])
    assert four == "First, a man. Then, B. Next, C. After that, D. Finally, the end."
    assert merge_texts(["A man sits.", "A man sits."]) == "A man sits."
    assert merge_texts([]) == ""


def test_parts_are_merged_with_actions_in_order() -> None:
    one = parts(subjects=["a man"], actions=["sits"], setting="a room", camera="still")
    two = parts(subjects=["A man", "a dog"], actions=["sits", "barks"], setting="a garden", camera="still")
    merged = json.loads(merge_parts([one, two]))
    assert merged["subjects"] == ["a man", "a dog"]
    assert merged["actions"] == ["sits", "sits", "barks"]
    assert (merged["setting"], merged["camera"], merged["light"]) == ("a room; a garden", "still", "")


def test_long_clips_are_seen_whole_for_short_texts_and_by_windows_for_the_others() -> None:
    teller = Teller()
    prompts = {"dense": DENSE, "short": SHORT, "parts": ASKED_PARTS}
    long, brief = caption_clips(teller, [clip("a"), clip("b", frames=8)], **prompts, window_s=5.0)
    assert (
        long.text == "First, a count at 0. The camera is still. Then, a count at 8. Finally, a count at 16."
    )
    assert long.short == "A count at 0. The camera is still."
    assert json.loads(long.parts or "")["actions"] == ["counts 0", "counts 8", "counts 16"]
    assert (long.clip_id, long.media_id, long.frames_shown) == ("a", "ma", (0, 1, 8, 9, 16, 17))
    assert (brief.clip_id, brief.text) == ("b", "A count at 0. The camera is still.")
    assert long.prompt_digest == brief.prompt_digest == f"{DENSE.digest}+{SHORT.digest}+{ASKED_PARTS.digest}"
    assert {asked for asked in teller.asked if asked[1] == "short"} == {("b", "short", 8), ("a", "short", 24)}
    assert sum(name == "dense" for _, name, _ in teller.asked) == 4


def test_one_prompt_for_all_lengths_is_asked_of_both() -> None:
    joint = Prompt(name="lengths", text="all lengths", lengths=LENGTHS)
    [row] = caption_clips(Teller(), [clip("a")], joint=joint, window_s=6.0)
    assert (row.short, row.text) == ("s", "First, a count at 0. The camera is still. Finally, a count at 12.")
    assert row.prompt_digest == joint.digest


@pytest.mark.parametrize(
    ("refuse", "detail"), [("a#1", "window 2 of 3: would not"), ("a", "the whole clip: would not")]
)
def test_a_window_that_is_not_ok_decides(refuse: str, detail: str) -> None:
    [row] = caption_clips(Teller(refuse), [clip("a")], dense=DENSE, short=SHORT, window_s=5.0)
    assert (row.outcome, row.text, row.short, row.detail) == (Outcome.REFUSED, None, None, detail)
