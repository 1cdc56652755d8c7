"""Video captioning: frames in, captions out."""

__all__ = [
    "agreement",
    "auto",
    "captions",
    "claims",
    "clip_scorer",
    "config",
    "embedded",
    "facts",
    "frames",
    "loops",
    "measured_scorer",
    "outcome",
    "prompts",
    "protocol",
    "separation",
    "text_config",
    "text_model",
    "train",
    "upsample",
    "vlm",
]
