"""Answers become captions by clip id; prompts are files; frames are chosen by time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.captions import ClipFrames, caption_clips
from captioner.frames import choose_frames, largest_gap_s, sample_at_fps, sample_by_change, sample_uniform
from captioner.prompts import FOLDER, Prompt, load_prompt
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests.records import LENGTHS, Outcome

DENSE, SHORT = Prompt(name="dense", text="all of it"), Prompt(name="short", text="briefly")
WHO = Provenance(captioner="vlm", model="m", revision="r", decoding="{}")


def clip(clip_id: str) -> ClipFrames:
    return ClipFrames(
        clip_id=clip_id,
        media_id="m" + clip_id,
        frames_THWC=np.zeros((2, 4, 4, 3), np.uint8),
        times_s=(0.0, 0.5),
    )


class Parrot:
    """Says which clip it was shown, in an order of its own."""

    def __init__(self, *, drop: str = "", twice: str = "", refuse: str = "") -> None:
        self.drop, self.twice, self.refuse = drop, twice, refuse

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        answers = [self._answer(r) for r in reversed(requests) if r.clip_id != self.drop]
        return answers + [a for a in answers if a.clip_id == self.twice]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        text = f"{request.clip_id} {request.prompt.name}"
        answer = CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.OK,
            text=text,
            raw=text,
            frames_shown=(0, 1),
            provenance=WHO,
        )
        if request.clip_id == self.refuse and request.prompt.name == "short":
            return replace(answer, outcome=Outcome.REFUSED, text=None, detail="would not")
        return answer


def test_answers_in_any_order_reach_their_own_clip() -> None:
    rows = caption_clips(Parrot(), [clip(n) for n in "abc"], dense=DENSE, short=SHORT)
    assert [(r.clip_id, r.media_id, r.text, r.short) for r in rows] == [
        (n, f"m{n}", f"{n} dense", f"{n} short") for n in "abc"
    ]
    assert {r.prompt_digest for r in rows} == {f"{DENSE.digest}+{SHORT.digest}"}


@pytest.mark.parametrize("kind", ["drop", "twice"])
def test_a_missing_or_double_answer_is_an_error_row(kind: str) -> None:
    rows = caption_clips(Parrot(**{kind: "b"}), [clip(n) for n in "abc"], dense=DENSE, short=SHORT)
    assert [r.outcome for r in rows] == [Outcome.OK, Outcome.ERROR, Outcome.OK]
    assert rows[1].text is None
    assert rows[1].detail.startswith("0 dense" if kind == "drop" else "2 dense")


def test_one_refusal_leaves_no_text_at_all() -> None:
    [row] = caption_clips(Parrot(refuse="a"), [clip("a")], dense=DENSE, short=SHORT)
    assert (row.outcome, row.text, row.short, row.detail) == (Outcome.REFUSED, None, None, "would not")


def test_the_same_clip_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="pass each clip once"):
        caption_clips(Parrot(), [clip("a"), clip("a")], dense=DENSE, short=SHORT)


def test_a_request_says_what_is_wrong_with_its_frames() -> None:
    for frames in (
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match="clip a: frames_THWC"):
            CaptionRequest(clip_id="a", media_id="b", frames_THWC=frames, times_s=(0.0,), prompt=DENSE)
    with pytest.raises(ValueError, match="2 frames but 1 times"):
        CaptionRequest(
            clip_id="a",
            media_id="b",
            frames_THWC=np.zeros((2, 4, 4, 3), np.uint8),
            times_s=(0.0,),
            prompt=DENSE,
        )


def test_every_shipped_prompt_loads_and_its_text_is_its_name(tmp_path: Path) -> None:
    prompts = [load_prompt(path.stem) for path in FOLDER.glob("*.md")]
    assert len(prompts) == len({p.digest for p in prompts}) == 12
    (tmp_path / "other.md").write_text(prompts[0].text + "\n\n")
    assert load_prompt("other", str(tmp_path)).digest == prompts[0].digest
    (tmp_path / "other.md").write_text(prompts[0].text + "!")
    assert load_prompt("other", str(tmp_path)).digest != prompts[0].digest
    with pytest.raises(FileNotFoundError, match="available prompts: other"):
        load_prompt("dense", str(tmp_path))


def test_frames_are_chosen_by_time() -> None:
    assert sample_uniform(10, 4) == (0, 3, 6, 9)
    assert sample_uniform(2, 4) == (0, 1)
    times = [k / 8 for k in range(8)]
    assert sample_at_fps(times, 4.0, 6) == (0, 2, 4, 6, 7, 7)  # past the end the last frame is shown again
    assert sample_at_fps([0.0], 4.0, 3) == (0, 0, 0)
    assert largest_gap_s([0.0, 0.1, 0.6, 5.0], until_s=0.5) == pytest.approx(0.5)
    assert largest_gap_s([0.0], until_s=2.0) == 0.0


def test_frames_are_chosen_by_content() -> None:
    frames_THWC = np.zeros((40, 24, 32, 3), np.uint8)
    assert sample_by_change(frames_THWC, 5) == sample_uniform(40, 5)  # nothing changes
    for index in range(30, 36):
        frames_THWC[index:] = (index - 29) * 40  # all happens within six frames
    busy = sample_by_change(frames_THWC, 8)
    assert (busy[0], busy[-1], len({*busy}), [*busy]) == (0, 39, 8, sorted(busy))
    assert sum(29 <= index <= 36 for index in busy) >= 4
    assert sum(29 <= index <= 36 for index in sample_uniform(40, 8)) == 1
    assert sample_by_change(frames_THWC[:4], 8) == (0, 1, 2, 3)
    assert sample_by_change(frames_THWC, 1) == (20,)
    times = [k / 8 for k in range(40)]
    assert choose_frames(frames_THWC, times, count=8, by="content") == busy
    assert choose_frames(frames_THWC, times, count=3, fps=4.0) == (0, 2, 4)
    with pytest.raises(ValueError, match="set one of them"):
        choose_frames(frames_THWC, times, count=3, fps=4.0, by="content")


def test_a_prompt_for_several_lengths_gives_them_all_and_null_where_one_is_missing() -> None:
    joint = Prompt(name="lengths", text="all lengths", lengths=LENGTHS)

    class Joint(Parrot):
        def _answer(self, request: CaptionRequest) -> CaptionAnswer:
            texts = {"short": f"{request.clip_id} short", "dense": f"{request.clip_id} dense"}
            return replace(super()._answer(request), texts=texts, detail="the answer has no medium")

    rows = caption_clips(Joint(), [clip(n) for n in "ab"], joint=joint)
    assert [(r.short, r.medium, r.text) for r in rows] == [(f"{n} short", None, f"{n} dense") for n in "ab"]
    assert {(r.prompt_digest, r.detail) for r in rows} == {(joint.digest, "the answer has no medium")}
    assert rows[0].texts == {"short": "a short", "dense": "a dense"}


def test_each_length_has_a_prompt_of_its_own_and_may_be_left_out() -> None:
    medium = Prompt(name="medium", text="in two sentences")
    [row] = caption_clips(Parrot(), [clip("a")], dense=DENSE, short=SHORT, medium=medium)
    assert (row.short, row.medium, row.text) == ("a short", "a medium", "a dense")
    assert row.prompt_digest == f"{DENSE.digest}+{SHORT.digest}+{medium.digest}"
    [row] = caption_clips(Parrot(), [clip("a")], dense=DENSE)
    assert (row.short, row.medium, row.text) == (None, None, "a dense")
    with pytest.raises(ValueError, match="no prompt"):
        caption_clips(Parrot(), [clip("a")])


def test_parts_are_asked_for_beside_the_captions_and_decide_with_them() -> None:
    parts = Prompt(name="parts", text="the parts", asks_parts=True)
    joint = Prompt(name="lengths", text="all lengths", lengths=LENGTHS)
    listed = '{"subjects": ["a"]}'

    class Lister(Parrot):
        def _answer(self, request: CaptionRequest) -> CaptionAnswer:
            answer = super()._answer(request)
            if request.prompt.lengths:
                return replace(answer, texts={"short": "s", "dense": "d"}, detail="the answer has no medium")
            if not request.prompt.asks_parts:
                return answer
            if request.clip_id == self.refuse:
                return replace(answer, outcome=Outcome.DEGENERATE, text=None, detail="parts: no JSON object")
            return replace(answer, text=listed, detail="the parts lack light")

    [row] = caption_clips(Lister(), [clip("a")], dense=DENSE, parts=parts)
    assert (row.text, row.parts, row.detail) == ("a dense", listed, "the parts lack light")
    assert (row.prompt_digest, row.texts) == (f"{DENSE.digest}+{parts.digest}", {"dense": "a dense"})
    [row] = caption_clips(Lister(), [clip("a")], joint=joint, parts=parts)
    assert (row.short, row.text, row.parts) == ("s", "d", listed)
    assert row.detail == "the answer has no medium; the parts lack light"
    [row] = caption_clips(Lister(refuse="a"), [clip("a")], joint=joint, parts=parts)
    assert (row.outcome, row.text, row.parts) == (Outcome.DEGENERATE, None, None)
    assert row.detail == "parts: no JSON object"


def test_stills_get_prompts_of_their_own() -> None:
    still = replace(clip("s"), frames_THWC=np.zeros((1, 4, 4, 3), np.uint8), times_s=(0.0,))
    dense = replace(DENSE, still=Prompt(name="dense_still", text="all of the picture"))
    video_row, still_row = caption_clips(Parrot(), [clip("v"), still], dense=dense, short=SHORT)
    assert (video_row.text, video_row.short) == ("v dense", "v short")
    assert (still_row.text, still_row.short) == ("s dense_still", "s short")
    digest = f"{DENSE.digest}+{SHORT.digest}+{Prompt(name='', text='all of the picture').digest}"
    assert {video_row.prompt_digest, still_row.prompt_digest} == {digest}


def test_every_prompt_of_a_video_has_one_for_stills() -> None:
    for name in ("dense", "short", "medium", "lengths", "parts"):
        prompt = load_prompt(name, stills=True, language="French")
        assert prompt.text.endswith("Write the description in French.")
        assert prompt.still is not None
        assert prompt.still.text.endswith("Write the description in French.")
        assert "picture" in prompt.still.text
        assert load_prompt(name).still is None
        assert prompt.digest != load_prompt(name).digest
