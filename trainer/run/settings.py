"""Which settings a resumed run may change: each is used or refused, and none is ignored (docs/trainer.md)."""

from collections.abc import Mapping, Sequence
from typing import Any

Settings = dict[str, Any]
"""Values by dotted field name."""

Rules = tuple[tuple[str, ...], tuple[str, ...]]
"""Fields that are refused, and exceptions that are used. A name that ends with a dot stands for all below."""

REFUSED = ("seed_everything", "data.", "model.", "init_from")
"""Fields that decide what is seen or what the weights mean."""
USED = (
    "data.cache_mb",
    "data.crop.cache_mb",
    "data.num_workers",
    "data.shards",
    "data.validation_clips",
    "model.flow",
    "model.loss.",
    "model.optim.",
    "model.statistics_clips",
    "model.text_encoder",
    "model.vae",
)
"""Exceptions to REFUSED: the next step uses their new values, or the content behind a path is compared."""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Settings:
    """Return the values of nested mappings by dotted name; tuples become lists, as in a checkpoint."""
    flat: Settings = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


NOT_COMPARED = ("out", "resume", "trainer.default_root_dir", "trainer.max_steps")
"""Fields that a resume cannot but set, and repetitions of others."""


def changes(before: Settings, now: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the old and new value of each field of both that changed."""
    compared = [name for name in sorted(now) if name in before and name not in NOT_COMPARED]
    return {name: (before[name], now[name]) for name in compared if before[name] != now[name]}


def is_refused(name: str, rules: Rules = (REFUSED, USED)) -> bool:
    """Return whether a resume refuses a change of this field."""
    refused, used = (
        any(name == field or (field.endswith(".") and name.startswith(field)) for field in fields)
        for fields in rules
    )
    return refused and not used


def check_resume(before: Settings, now: Settings, run: str, rules: Rules = (REFUSED, USED)) -> Sequence[str]:
    """Return a line for each field that is used with another value. Raises ValueError for refused ones."""
    changed = changes(before, now)
    if not now.get("init_from"):
        changed.pop("init_from", None)
    if refused := [name for name in changed if is_refused(name, rules)]:
        raise ValueError(
            f"{run}: cannot go on with {format_changes(changed, refused)}: give the former values, or start "
            f"a new run from its weights with --init-from {run} and another --out"
        )
    return [format_changes(changed, [name]) for name in changed]


def format_changes(changed: Mapping[str, tuple[Any, Any]], names: Sequence[str]) -> str:
    """Return `name: old -> new` for each name."""
    return ", ".join(f"{name}: {changed[name][0]} -> {changed[name][1]}" for name in names)
