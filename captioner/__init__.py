"""Video captioning: frames in, captions out."""

__all__ = [
    "auto",
    "captions",
    "config",
    "embedded",
    "facts",
    "frames",
    "outcome",
    "prompts",
    "protocol",
    "train",
    "vlm",
]
