"""What holds for every model type; `python tests/unit/vlm_checks.py [TYPE ...]` prints a table."""

import re
import sys
import traceback
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from vlm_models import build

from captioner.config import VlmConfig
from captioner.prompts import Prompt
from captioner.protocol import CaptionRequest
from captioner.vlm import TransformersCaptioner
from captioner.vlm_inputs import _PAIR_LENGTHS
from captioner.vlm_types import NOT_CAPTIONERS, model_type
from manifests.records import Outcome

TYPES = [name for name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES if name not in NOT_CAPTIONERS]
PROMPTS = [Prompt(name="one", text="Describe this clip."), Prompt(name="two", text="Who moves, and where?")]
FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a type did."""

    shows: str
    """`video`, `images` or `image`."""
    visual_tokens: tuple[int, int]
    """Placeholders of clips of two and of four frames; of one frame where a prompt holds one image."""
    times: str
    """Where the model is told the times of frames: `text`, `positions`, or empty."""
    shares_reading: bool
    """Whether two prompts are answered from one reading of the frames."""


def clip(name: str, frames: int, size: tuple[int, int], seed: int) -> list[CaptionRequest]:
    """Return both prompts about a clip of noise at uneven times."""
    pixels = np.random.default_rng(seed).integers(0, 255, (frames, *size, 3), dtype=np.uint8)
    times = (0.0, 0.4, 1.5, 1.7, 2.2, 9.5, 10.25)[:frames]
    return [
        CaptionRequest(clip_id=name, media_id=name, frames_THWC=pixels, times_s=times, prompt=prompt)
        for prompt in PROMPTS
    ]


def load(folder: Path, name: str, *, batch_size: int) -> TransformersCaptioner:
    """Load a captioner that shows as many frames as the type takes, at most four."""
    kind = model_type(name)
    frames = 1 if kind.shows == "image" else FRAMES
    config = VlmConfig(
        model=str(folder),
        frames=frames,
        max_new_tokens=4,
        dtype="float32",
        device="cpu",
        batch_size=batch_size,
    )
    return TransformersCaptioner(config)


def check(name: str, folder: Path) -> Found:
    """Assert what holds for every type, on a tiny model of it."""
    build(name, folder)
    captioner = load(folder, name, batch_size=4)
    clips = [
        clip("a", FRAMES, (64, 64), 0),
        clip("b", FRAMES, (64, 64), 1),
        clip("one", 1, (64, 64), 2),
        clip("wide", 3, (48, 80), 3),
    ]
    counts = _read_back(captioner, clips)
    together = captioner.caption([request for both in clips for request in both])
    captioner.config = load_config(captioner, batch_size=1)
    alone = [answer for both in clips for request in both for answer in captioner.caption([request])]
    found = {(a.clip_id, a.prompt_digest): a for a in together}
    assert len(found) == len(together) == len(alone) == 8
    for answer in alone:
        other = found[answer.clip_id, answer.prompt_digest]
        assert answer.outcome is not Outcome.ERROR, answer.detail
        assert (other.raw, other.frames_shown) == (answer.raw, answer.frames_shown), "changes in a batch"
        if answer.confidence is not None and other.confidence is not None:
            assert abs(other.confidence - answer.confidence) < 1e-4, "is surer in a batch"
    sure = {a.clip_id: a.confidence for a in alone if a.prompt_digest == PROMPTS[0].digest}
    assert sure["a"] is None or sure["a"] != sure["b"], "does not see the frames"
    shows = "image" if captioner.inputs.type.shows == "image" else "images"
    return Found(
        shows="video" if captioner.shows_video else shows,
        visual_tokens=counts,
        times=_told_times(captioner, clips[0][0]),
        shares_reading=captioner.shares_reading,
    )


def load_config(captioner: TransformersCaptioner, *, batch_size: int) -> VlmConfig:
    """Return the captioner's configuration with another batch size."""
    fields = {name: getattr(captioner.config, name) for name in ("model", "frames", "max_new_tokens")}
    return VlmConfig(**fields, dtype="float32", device="cpu", batch_size=batch_size)


def _read_back(captioner: TransformersCaptioner, clips: list[list[CaptionRequest]]) -> tuple[int, int]:
    """Assert that the prompt is read once, after at most one begin token; return the visual tokens."""
    tokenizer, few = captioner.processor.tokenizer, min(2, captioner.config.frames)
    shown = [tuple(range(few)), captioner.sample_indices(clips[0][0])]
    counts = []
    for indices in shown:
        inputs = captioner._inputs([clips[0][0]], [indices])
        ids = inputs["input_ids"][0].tolist()
        text = tokenizer.decode(ids)
        assert text.count(PROMPTS[0].text) == 1, f"the prompt is {text!r}"
        assert text.count(tokenizer.bos_token) <= 1 or captioner.model.config.model_type in _BOS_IS_IMAGE, (
            text
        )
        counts.append(_most_frequent(ids, tokenizer))
    if captioner.model.config.model_type in _NO_PLACEHOLDER:
        return 0, 0
    assert counts[0] > 0
    same = captioner.config.frames == 1 or captioner.inputs.type.num_frames is not None
    assert counts[1] == counts[0] if same else counts[1] > counts[0], f"{counts} visual tokens of {shown}"
    return counts[0], counts[1]


def _told_times(captioner: TransformersCaptioner, request: CaptionRequest) -> str:
    """Assert that times in the inputs are those of frames, or of the middle of two; return where they are."""
    if not captioner.shows_video:
        return ""
    inputs = captioner._inputs([request], [tuple(range(FRAMES))])
    text = captioner.processor.tokenizer.decode(inputs["input_ids"][0])
    told = [
        float(seconds or alone or 60 * int(minute) + int(second))
        for seconds, minute, second, alone in _TIME.findall(text.split(PROMPTS[0].text)[0])
    ]
    frames = request.times_s
    right = [*frames, *((a + b) / 2 for a, b in pairwise(frames))]
    for each in told:
        rounding = 1.0 if each.is_integer() else 0.06
        assert min(abs(each - time) for time in right) <= rounding, f"{told} for frames at {frames}"
    if told:
        return "text"
    return "positions" if {*_PAIR_LENGTHS} & {*inputs} else ""


_TIME = re.compile(
    r"(\d+(?:\.\d+)?)(?= ?s(?:ec|econds)?\b)|\b(\d\d):(\d\d)\b|(?<![\w.])(\d+(?:\.\d+)?)(?= ?<)"
)
"""`1.5 seconds`, `00:01`, or a number before a placeholder."""
_BOS_IS_IMAGE = {"kosmos-2", "kosmos-2.5"}
"""Types whose placeholder is the begin token, or a run of ids of which it is one."""
_NO_PLACEHOLDER = {"git", "blip"}
"""Types whose prompt has no placeholder."""


def _most_frequent(ids: list[int], tokenizer: object) -> int:
    """Return how often the most frequent special token occurs, which is the placeholder of patches."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)  # type: ignore[attr-defined]
    return max((ids.count(token) for token in {*ids} & special), default=0)


def main(names: list[str]) -> int:
    """Print a row for each type; return the number of types that fail."""
    failed = 0
    print("| type | frames as | visual tokens of 2, of 4 | times as | one reading for several prompts |")
    print("|---|---|---|---|---|")
    for name in names or TYPES:
        try:
            with TemporaryDirectory() as folder:
                found = check(name, Path(folder))
            few, all_of_them = found.visual_tokens
            tokens = f"{few}, {all_of_them}" if all_of_them else "–"
            shared = "yes" if found.shares_reading else "no"
            print(f"| `{name}` | {found.shows} | {tokens} | {found.times or '–'} | {shared} |", flush=True)
        except Exception as error:
            failed += 1
            cause = error.__cause__ or error
            place = traceback.extract_tb(cause.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            print(
                f"| `{name}` | fails: {type(cause).__name__} {str(cause)[:300]!r} at {where} | | | |",
                flush=True,
            )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
