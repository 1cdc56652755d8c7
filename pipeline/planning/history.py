"""What the log tells of earlier runs of a stage: under which configurations, and how fast."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from manifests.dataset import Commit
from manifests.redact import redact_values
from manifests.renamed_fields import rename_keys
from pipeline.config import NO_EFFECT

UNKNOWN = "another configuration, of which the log tells nothing"
OTHER_CODE = "other code version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How long a stage took before, by the clock, for each of what it is counted in."""

    seconds_each: float
    by: str
    """What is counted: `units` or `bytes`."""
    units: int
    """How many units were measured."""
    same: bool
    """Whether under this very configuration."""


class History:
    """The commits of one stage."""

    def __init__(self, commits: Sequence[Commit], stage: str) -> None:
        self._commits = [commit for commit in commits if commit.stage == stage]
        self.configs: dict[str, Mapping[str, Any]] = {c.config_digest: c.config for c in self._commits}
        """By digest, every configuration that the stage ran under."""

    def change(self, digest: str, now: Any) -> str:
        """Say what is other in `now`, a configuration, than in the one that `digest` names."""
        if digest not in self.configs:
            return UNKNOWN
        return difference(rename_keys(type(now), self.configs[digest]), asdict(now))

    def rate(self, digest: str, bytes_of: Mapping[str, int] | None = None) -> Rate | None:
        """Return the rate of the commits under `digest`, or of all where there are none under it.

        Args:
            bytes_of: by digest of a configuration, the bytes that went in under it: then the rate is by byte.
        """
        mine = [commit for commit in self._commits if commit.config_digest == digest and _units(commit)]
        used = mine or [commit for commit in self._commits if _units(commit)]
        units = sum(map(_units, used))
        seconds = sum(commit.seconds for commit in used)
        if not units or not seconds:
            return None
        names = {commit.config_digest for commit in used}
        total = sum((bytes_of or {}).get(name, 0) for name in names)
        by = "bytes" if total else "units"
        return Rate(seconds_each=seconds / (total or units), by=by, units=units, same=bool(mine))


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the fields that differ, as `field old -> new`; another code version where none does."""
    before, after = _flat(redact_values(old)), _flat(redact_values(new))
    both = [name for name in after if name in before and name.split(".")[-1] not in NO_EFFECT]
    changed = [
        f"{name} {_text(before[name])} -> {_text(after[name])}"
        for name in both
        if _text(before[name]) != _text(after[name])
    ]
    changed += _fields("new", sorted(after.keys() - before.keys()))
    changed += _fields("former", sorted(before.keys() - after.keys()))
    return f"other configuration: {', '.join(changed)}" if changed else OTHER_CODE


def _fields(what: str, names: Sequence[str]) -> list[str]:
    shown = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
    return [f"{what} field {shown}"] if names else []


def _units(commit: Commit) -> int:
    """Return how many units a commit is of; `select` counts decisions by reason alone."""
    counts = commit.counts
    return int(counts["units"] if "units" in counts else sum(counts.values()))


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _text(value: Any) -> str:
    """Return a value for a person: `none` and an empty text are named, 3.0 is 3."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value) or "''"
