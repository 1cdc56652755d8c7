"""Video captioning: frames in, captions out."""

__all__ = [
    "auto",
    "captions",
    "config",
    "embedded",
    "facts",
    "frames",
    "prompts",
    "protocol",
    "train",
    "vlm",
]
