"""How model types of transformers take pictures, where their processors do not say it.

Every other type takes a clip as one video if its processor has a video processor, else as one image for each
frame, each with a placeholder in the prompt. Held by tests/unit/test_captioner_vlm_types.py, type by type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelType:
    """How a model type takes the frames of a clip."""

    shows: Literal["auto", "video", "images", "image"] = "auto"
    """`image`: a single image per prompt, so a clip is captioned from one frame."""
    places: bool = True
    """Whether the prompt needs a placeholder per picture; some processors write their own."""
    video_argument: str = "videos"
    """Argument of the processor that takes the frames of a video."""
    num_frames: int | None = None
    """The only number of frames of a video that the processor writes placeholders for."""
    layout: str = "{places}\n{text}\n"
    """Prompt of a model without a chat template."""
    one_by_one: bool = False
    """Whether an answer depends on what else is in a batch."""
    draws: bool = False
    """Whether answers begin with noise, also at temperature 0."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of the processor."""


_OWN_PLACES = ModelType(shows="image", places=False, layout="{text}")
_TYPES = {
    "blip": _OWN_PLACES,
    "blip-2": _OWN_PLACES,
    "cosmos3_edge": ModelType(options={"return_mm_token_type_ids": True}),  # its model wants them
    "diffusion_gemma": ModelType(one_by_one=True, draws=True),
    "florence2": _OWN_PLACES,
    "fuyu": _OWN_PLACES,
    "git": _OWN_PLACES,
    "instructblip": _OWN_PLACES,
    "kosmos-2": ModelType(shows="image", layout="<grounding>{text}", places=False),
    "kosmos-2.5": _OWN_PLACES,
    "instructblipvideo": ModelType(
        shows="video", places=False, layout="{text}", video_argument="images", num_frames=4
    ),
    "hunyuan_vl": ModelType(one_by_one=True),  # it counts images through the whole batch
    "kimi_k25": ModelType(shows="images"),  # its video processor fails from two frames on (5.23)
    "minimax_m3_vl": ModelType(options={"do_resize": True}),  # else sides must be multiples of 28
    "nemotron_h_omni": ModelType(shows="images"),  # it takes one video per call, and fails on it (5.23)
    "paligemma": ModelType(layout="{places}{text}"),  # its processor writes the line break
}
NOT_CAPTIONERS = {
    "evolla": "it describes proteins",
    "got_ocr2": "it transcribes documents",
    "mistral4": "it sees no pictures",
    "pi0": "it moves robots",
    "pix2struct": "it answers questions about documents",
    "pp_formulanet": "it transcribes formulas",
    "shieldgemma2": "it classifies images",
    "udop": "it reads documents with the place of each word",
    "vision-encoder-decoder": "it has no processor of images and prompts",
}
"""Types behind `AutoModelForImageTextToText` that cannot caption, and why."""


def model_type(name: str) -> ModelType:
    """Return how a `model_type` of transformers takes pictures.

    Raises ValueError for a type that is no captioner.
    """
    if reason := NOT_CAPTIONERS.get(name):
        raise ValueError(f"captioner.vlm.model: a model of type {name} cannot caption: {reason}; {REMEDY}")
    return _TYPES.get(name, ModelType())


REMEDY = (
    "use a model of videos or of several images, such as Qwen/Qwen2.5-VL-3B-Instruct or "
    "google/gemma-3-4b-it, or serve this one and set captioner.kind to endpoint"
)
