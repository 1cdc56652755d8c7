"""The fields of a request: names of the interface, of vLLM-Omni and of Kinora, as text or as JSON."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from kinora.generation.config import RequestConfig
from kinora.generation.request import Direction
from kinora.serve.errors import ApiError, from_value_error
from trainer.config import SampleConfig

MAX_TEXT = 32_000
"""Most characters of a prompt."""
REFERENCES = (
    "input_reference",
    "image_reference",
    "video_reference",
    "image",
    "video",
    "connect",
    "from_draft",
)
"""Fields that give images and videos."""


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text")
    if len(value) > MAX_TEXT or "\0" in value:
        raise ValueError(f"has {len(value)} characters, over {MAX_TEXT}, or holds a NUL")
    return value


def number(value: Any) -> float:
    found = math.nan if isinstance(value, bool) else float(value)
    if not math.isfinite(found):
        raise ValueError("is no number")
    return found


def whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("is no whole number")
    return int(value)


def flag(value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise ValueError("is neither true nor false")
    return known[str(value).lower()]


def direction(value: Any) -> str:
    if value not in get_args(Direction):
        raise ValueError(f"is none of {', '.join(get_args(Direction))}")
    return value


def items(value: Any) -> list[Any]:
    """Return a list; a text is one as JSON, or a single item."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    return cast(list[Any], value) if isinstance(value, list) else [value]


def whole_numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(whole, items(value)))


def numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(number, items(value)))


def prompts(value: Any) -> tuple[tuple[float, str], ...]:
    """Return pairs of a second and a prompt; also from a list without pairs, as multipart sends it."""
    given = items(value)
    if not any(isinstance(each, list) for each in given):
        given = [given[at : at + 2] for at in range(0, len(given), 2)]
    if any(not isinstance(pair, list) or len(pair) != 2 for pair in given):
        raise ValueError('must be pairs of a second and a prompt, such as [[1.5, "a blue circle"]]')
    return tuple((number(start_s), text(prompt)) for start_s, prompt in given)


Parser = Callable[[Any], Any]
REQUEST_FIELDS: Mapping[str, tuple[str, Parser]] = {
    "prompt": ("prompt", text),
    "negative_prompt": ("negative_prompt", text),
    "prompt_at": ("prompt_at", prompts),
    "at_frame": ("at_frame", whole_numbers),
    "strength": ("strength", number),
    "extend": ("extend", direction),
    "loop": ("loop", flag),
    "draft": ("draft", flag),
    "size": ("size", text),
    "seconds": ("seconds", number),
    "frames": ("frames", whole),
    "num_frames": ("frames", whole),
    "seed": ("seed", whole),
}
"""By the name of a field, that of `RequestConfig` and how its value is read."""
SAMPLE_FIELDS: Mapping[str, tuple[str, Parser]] = {
    "steps": ("steps", whole),
    "num_inference_steps": ("steps", whole),
    "guidance": ("guidance", number),
    "guidance_scale": ("guidance", number),
    "condition_guidance": ("condition_guidance", number),
    "sigmas": ("sigmas", numbers),
    "window_latents": ("window_latents", whole),
    "overlap_latents": ("overlap_latents", whole),
}
_OTHERS = ("model", "width", "height", "fps", "new_part_only", *REFERENCES)
_IGNORED = ("user", "metadata")
"""Fields that change nothing of a video."""
_REFUSED = {
    "flow_shift": "cannot be set: give `sigmas`, the noise levels of the steps",
    "n": "one request makes one video: send several",
    "audio": "no sound is made: leave it out",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """The fields of a request, but for its images and videos."""

    request: dict[str, Any]
    """Fields of `RequestConfig`."""
    sample: SampleConfig
    new_part_only: bool
    references: dict[str, Any]
    notes: tuple[str, ...]


def read_fields(values: dict[str, Any], *, model: str, fps: float, defaults: SampleConfig) -> Fields:
    """Return the fields of a request. Raises ApiError for those that it cannot do.

    Args:
        model: name of the served model, and `fps` its rate.
        defaults: how videos are sampled where the request does not say.
    """
    values = {**values, **_extra(values.pop("extra_params", None))}
    values = {name: value for name, value in values.items() if value is not None}
    for name in _REFUSED.keys() & values.keys():
        raise ApiError(f"{name}: {_REFUSED[name]}", param=name)
    request, sample = _read(values, REQUEST_FIELDS), _read(values, SAMPLE_FIELDS)
    if "width" in values or "height" in values:
        width, height = (_parsed(name, whole, values.get(name)) for name in ("width", "height"))
        request["size"] = f"{width}x{height}"
    if "fps" in values and _parsed("fps", number, values["fps"]) != fps:
        raise ApiError(f"fps: this model makes {fps:g} frames a second: leave it out", param="fps")
    changes = {field.name: getattr(defaults, field.name) for field in fields(SampleConfig)} | sample
    if "steps" in sample and "sigmas" not in sample:
        changes["sigmas"] = ()
    try:
        config = SampleConfig(**changes)
        RequestConfig(**request)
    except ValueError as error:
        raise from_value_error(error) from None
    return Fields(
        request=request,
        sample=config,
        new_part_only=_parsed("new_part_only", flag, values.get("new_part_only", False)),
        references={name: values[name] for name in REFERENCES if name in values},
        notes=_notes(values, model),
    )


def _extra(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError("extra_params: no JSON object", param="extra_params")
    return cast(dict[str, Any], found)


def _read(values: dict[str, Any], known: Mapping[str, tuple[str, Parser]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (field, parser) in known.items():
        if name in values:
            if field in found:
                raise ApiError(f"{name}: `{field}` is given under another name too", param=name)
            found[field] = _parsed(name, parser, values[name])
    return found


def _parsed(name: str, parser: Parser, value: Any) -> Any:
    try:
        return parser(value)
    except (ValueError, TypeError, OverflowError) as error:
        shown = repr(value) if isinstance(value, str | int | float) else type(value).__name__
        raise ApiError(f"{name}: {shown[:80]} cannot be used ({error})", param=name) from None


def _notes(values: dict[str, Any], model: str) -> tuple[str, ...]:
    unknown = sorted(values.keys() - {*REQUEST_FIELDS, *SAMPLE_FIELDS, *_OTHERS, *_IGNORED})
    notes = [f"{', '.join(unknown)[:200]}: unknown, and ignored"] if unknown else []
    asked = values.get("model")
    if isinstance(asked, str) and asked != model:
        notes.append(f"model: {asked[:80]} was asked for; {model} is served")
    return tuple(notes)
