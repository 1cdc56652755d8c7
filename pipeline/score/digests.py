"""The digest and the columns of each scorer that a configuration enables."""

import json
from typing import Any

from captioner.embedding import model_digest
from manifests.digest import digest_parts
from manifests.scores import ScorerRequest
from pipeline.columns import (
    EMBEDDING_COLUMNS,
    HEAD_COLUMNS,
    HEURISTIC_COLUMNS,
    LOGO_COLUMNS,
    NSFW_COLUMNS,
    TEXT_COLUMNS,
    Column,
)
from pipeline.config import ScorersConfig
from pipeline.score.own import own_columns, own_version

_VERSIONS = {"text": 1, "logo": 1, "nsfw": 1, "aesthetic": 1, "embedding": 1}
"""Increment when a change of a scorer's code changes its columns for the same settings."""
_FRAMES = ("frames", "side_px", "frames_per_s", "budget_mb")
"""Fields of `ScorersConfig` that decide which frames all scorers see."""


def scorer_columns(config: ScorersConfig) -> dict[str, tuple[Column, ...]]:
    """Return the columns of each enabled scorer, by name. Imports the scorers of `own`."""
    aesthetic = HEAD_COLUMNS if config.aesthetic == "head" else HEURISTIC_COLUMNS
    enabled = {
        "text": (config.text, TEXT_COLUMNS),
        "logo": (config.logo, LOGO_COLUMNS),
        "nsfw": (config.nsfw, NSFW_COLUMNS),
        "aesthetic": (config.aesthetic != "off", aesthetic),
        "embedding": (config.embedding, EMBEDDING_COLUMNS),
    }
    columns = {name: each for name, (is_on, each) in enabled.items() if is_on}
    return columns | {name: own_columns(name) for name in config.own}


def all_columns(config: ScorersConfig) -> list[Column]:
    """Return the columns of all enabled scorers."""
    return [column for columns in scorer_columns(config).values() for column in columns]


def scorer_requests(config: ScorersConfig) -> dict[str, ScorerRequest]:
    """Return each enabled scorer with its digest and columns, by name."""
    return {
        name: ScorerRequest(
            scorer=name,
            digest=_digest(name, config),
            columns={column.name: column.type for column in columns},
        )
        for name, columns in scorer_columns(config).items()
    }


def _digest(name: str, config: ScorersConfig) -> str:
    frames = {field: getattr(config, field) for field in _FRAMES}
    version = _VERSIONS[name] if name in _VERSIONS else own_version(name)
    return digest_parts("scorer", name, version, json.dumps(frames | _settings(name, config), sort_keys=True))


def _settings(name: str, config: ScorersConfig) -> dict[str, Any]:
    """Return the settings of one scorer, files by their content."""
    model = {"clip_model": model_digest(config.clip_model), "clip_weights": model_digest(config.clip_weights)}
    if name == "text":
        return {"min_text_score": config.min_text_score, "min_text_length": config.min_text_length}
    if name == "aesthetic" and config.aesthetic == "head":
        return {"kind": "head", "head": model_digest(config.aesthetic_head), **model}
    return model if name == "embedding" else {}
