"""The configurations that a dataset was made with: what a retry runs under."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from manifests.dataset import Dataset
from manifests.renamed_fields import rename_keys
from pipeline.config import AnalyzeConfig, CurateConfig, CutConfig, DedupConfig, RayConfig, SelectConfig
from video.config import SandboxConfig

C = TypeVar("C")


def last_curation(dataset: Dataset, ray: RayConfig, sandbox: SandboxConfig | None = None) -> CurateConfig:
    """Return the configuration of the newest commit of each stage; the defaults where there is none.

    `ray` and `sandbox` are of the run, not of the dataset: they change nothing in what comes out.
    """
    return CurateConfig(
        analyze=last(dataset, "analyze", AnalyzeConfig),
        select=last(dataset, "select", SelectConfig),
        dedup=last(dataset, "dedup", DedupConfig),
        cut=last(dataset, "cut", CutConfig),
        sandbox=sandbox or SandboxConfig(),
        ray=ray,
    )


def last(dataset: Dataset, stage: str, config: type[C]) -> C:
    """Return the configuration of `stage` in its newest commit, or the defaults where it never ran."""
    found = [commit.config for commit in dataset.commits if commit.stage == stage]
    return build(config, found[-1] if found else {})


def build(config: type[C], values: Mapping[str, Any]) -> C:
    """Make a configuration from what JSON kept of it. Fields that it no longer has are left out."""
    hints = get_type_hints(config)
    names = {field.name for field in fields(config)}  # type: ignore[arg-type]
    current = rename_keys(config, values)
    return config(**{name: _value(hints[name], value) for name, value in current.items() if name in names})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    inner = next((kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)), None)
    return build(inner, value) if inner and isinstance(value, Mapping) else value  # type: ignore[arg-type]
