"""Earlier runs of a stage, read from the log: their configurations and rates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from manifests.dataset import Commit
from manifests.redact import redact_values
from manifests.renamed_fields import rename_keys
from pipeline.config import ADDED, NO_EFFECT, RECORDED, AnalyzeConfig

UNKNOWN = "another configuration, which the log does not hold"
OTHER_CODE = "other code version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Wall time per unit or per byte of a stage."""

    seconds_each: float
    by: str
    """What `seconds_each` is per: `units` or `bytes`."""
    units: int
    """Number of units measured."""
    same: bool
    """Whether measured under the same configuration."""


class History:
    """The commits of one stage."""

    def __init__(self, commits: Sequence[Commit], stage: str) -> None:
        self._commits = [commit for commit in commits if commit.stage == stage]
        self.configs: dict[str, Mapping[str, Any]] = {c.config_digest: c.config for c in self._commits}
        """Every configuration that the stage ran under, by digest."""

    def change(self, digest: str, now: Any) -> str:
        """Describe the difference between the configuration of `digest` and `now`."""
        if digest not in self.configs:
            return UNKNOWN
        earlier, later = rename_keys(type(now), self.configs[digest]), asdict(now)
        if isinstance(now, AnalyzeConfig):  # scorers are no part of it
            earlier, later = ({**each, "scorers": {}} for each in (earlier, later))
        return difference(earlier, later)

    def rate(self, digest: str, bytes_of: Mapping[str, int] | None = None) -> Rate | None:
        """Return the rate of the commits under `digest`, or of all commits if there are none.

        Args:
            bytes_of: input bytes by digest of the configuration; makes the rate one per byte.
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
    """Describe the fields that differ, as `field old -> new`, or `OTHER_CODE` if none does."""
    before, after = _flatten(redact_values(old)), _flatten(redact_values(new))
    common = [name for name in after if name in before and name.split(".")[-1] not in NO_EFFECT]
    changed = [
        f"{name} {_format(before[name])} -> {_format(after[name])}"
        for name in common
        if _format(before[name]) != _format(after[name])
    ]
    added = {name for name in after.keys() - before.keys() if not _is_unset(name, after[name])}
    changed += _format_fields("new", sorted(name for name in added if name.split(".")[-1] not in RECORDED))
    changed += _format_fields("former", sorted(before.keys() - after.keys()))
    return f"other configuration: {', '.join(changed)}" if changed else OTHER_CODE


def _is_unset(name: str, value: Any) -> bool:
    """Return whether a field added later has the value at which it changes nothing."""
    unset = _flatten(ADDED)
    field = name if name in unset else name.split(".")[-1]
    return field in unset and _format(unset[field]) == _format(value)


def _format_fields(kind: str, names: Sequence[str]) -> list[str]:
    listed = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
    return [f"{kind} field {listed}"] if names else []


def _units(commit: Commit) -> int:
    """Return the number of units of a commit. Commits of `select` only count decisions by reason."""
    counts = commit.counts
    return int(counts["units"] if "units" in counts else sum(counts.values()))


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _format(value: Any) -> str:
    """Format a value: None as `none`, an empty string as `''`, 3.0 as `3`."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_format, value)) + "]"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value) or "''"
