"""Run only what failed again, under the configurations that the dataset was made with."""

from dataclasses import fields
from typing import Any, TypeVar

from manifests.store import Dataset
from pipeline.config import AnalyzeConfig, CurateConfig, CutConfig, RayConfig, SelectConfig

C = TypeVar("C")


def last_curation(dataset: Dataset, ray: RayConfig) -> CurateConfig:
    """Return the configuration of the newest commit of each stage; the defaults where there is none."""
    return CurateConfig(
        analyze=last(dataset, "analyze", AnalyzeConfig),
        select=last(dataset, "select", SelectConfig),
        cut=last(dataset, "cut", CutConfig),
        ray=ray,
    )


def last(dataset: Dataset, stage: str, config: type[C]) -> C:
    """Return the configuration of `stage` in its newest commit, or the defaults.

    Fields that this version of Kinora no longer has are left out.
    """
    found: dict[str, Any] = {}
    for commit in dataset.commits:
        if commit.stage == stage:
            found = dict(commit.config)
    known = {field.name for field in fields(config)}  # type: ignore[arg-type]
    return config(**{name: value for name, value in found.items() if name in known})
