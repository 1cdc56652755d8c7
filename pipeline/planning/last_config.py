"""The configurations that a dataset was made with, read from its log. A retry runs under them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_type_hints

from manifests.caption_checks import STAGE as AUDIT
from manifests.dataset import Dataset
from manifests.renamed_fields import rename_keys
from pipeline.config import (
    AnalyzeConfig,
    AuditConfig,
    CurateConfig,
    CutConfig,
    DedupConfig,
    RayConfig,
    ScorersConfig,
    SelectConfig,
)
from video.config import SandboxConfig

C = TypeVar("C")


def last_curation(dataset: Dataset, ray: RayConfig, sandbox: SandboxConfig | None = None) -> CurateConfig:
    """Return the configuration of the newest commit of each stage, or its defaults.

    `ray` and `sandbox` never change results, so they come from the current run.
    """
    analyze = last(dataset, "analyze", AnalyzeConfig)
    if scored := [commit.config for commit in dataset.commits if commit.stage == "score"]:
        analyze = replace(analyze, scorers=build(ScorersConfig, scored[-1]["scorers"]))
    return CurateConfig(
        analyze=analyze,
        select=last(dataset, "select", SelectConfig),
        dedup=last(dataset, "dedup", DedupConfig),
        cut=last(dataset, "cut", CutConfig),
        sandbox=sandbox or SandboxConfig(),
        ray=ray,
    )


def last(dataset: Dataset, stage: str, config: type[C]) -> C:
    """Return the configuration of the newest commit of `stage`, or the defaults."""
    configs = [commit.config for commit in dataset.commits if commit.stage == stage]
    return build(config, configs[-1] if configs else {})


def last_audit(dataset: Dataset) -> tuple[AuditConfig, str]:
    """Return the settings of the newest check of captions, or the defaults, and the command that ran it."""
    audits = [commit for commit in dataset.commits if commit.stage == AUDIT]
    if not audits:
        return AuditConfig(), ""
    return build(AuditConfig, audits[-1].config["settings"]), audits[-1].command


def build(config: type[C], values: Mapping[str, Any]) -> C:
    """Build a configuration from its stored JSON. Renames old fields and ignores removed ones."""
    hints = get_type_hints(config)
    names = {field.name for field in fields(config)}  # type: ignore[arg-type]
    current = rename_keys(config, values)
    return config(**{name: _value(hints[name], value) for name, value in current.items() if name in names})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    inner = next((each for each in (hint, *get_args(hint)) if is_dataclass(each)), None)
    return build(inner, value) if inner and isinstance(value, Mapping) else value  # type: ignore[arg-type]
