"""Ranges declared in configuration fields are checked, whoever makes the configuration."""

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, get_type_hints

import pytest

import captioner.config
import captioner.train.config
import pipeline.config
import trainer.config
from kinora.cli.main import main
from manifests.ranges import NonNegativeFloat, PositiveInt, Range, check_ranges, check_values
from pipeline.config import AnalyzeConfig, CutConfig, PackConfig, PoolConfig, SelectConfig
from trainer.config import CropConfig, DitConfig, FlowConfig, OptimConfig, SampleConfig, TextChoice, VaeConfig


@dataclass(frozen=True)
class Example:
    sizes: tuple[PositiveInt, ...] = (1, 2)
    pair: tuple[PositiveInt, NonNegativeFloat] = (1, 0.0)
    limit: NonNegativeFloat | None = None
    open: Annotated[float, Range(above=0, below=1)] = 0.5

    __post_init__ = check_ranges


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": (3, 0)}, "sizes=0 is out of range: Example.sizes must be at least 1"),
        ({"pair": (1, -0.5)}, r"pair=-0\.5 is out of range: Example\.pair must be at least 0"),
        ({"limit": math.nan}, "limit=nan"),
        ({"limit": math.inf}, "limit=inf"),
        ({"open": 0.0}, r"open=0\.0 is out of range: Example\.open must be above 0 and below 1"),
        ({"open": 1}, "open=1"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        Example(**values)


def test_values_at_the_bounds_and_none_pass() -> None:
    assert Example(sizes=(1,), pair=(1, 0), limit=None, open=0.999) == Example((1,), (1, 0), None, 0.999)
    assert replace(Example(), limit=0.0).limit == 0


def test_arguments_of_a_function_are_checked_by_its_signature() -> None:
    def build(size: PositiveInt, name: str = "") -> None: ...

    check_values(build, {"size": 1, "name": "x", "other": -1}, "build")
    with pytest.raises(ValueError, match=r"size=0 is out of range: build\.size"):
        check_values(build, {"size": 0}, "build")


@pytest.mark.parametrize(
    ("base", "field", "value"),
    [
        (OptimConfig(lr=1e-3), "ema_decay", 1.5),
        (OptimConfig(lr=1e-3), "ema_decay", 1.0),
        (OptimConfig(lr=1e-3), "clip_norm", -1.0),
        (OptimConfig(lr=1e-3), "lr", 0.0),
        (OptimConfig(lr=1e-3), "lr", math.nan),
        (OptimConfig(lr=1e-3), "warmup_steps", -1),
        (TextChoice(), "drop_prob", 7.0),
        (FlowConfig(), "clean_prob", -0.1),
        (FlowConfig(), "shift_tokens", 0),
        (SampleConfig(), "steps", 0),
        (CropConfig(), "lengths", (1, 0)),
        (VaeConfig(), "time_factor", 0),
        (DitConfig(width=8, depth=1, heads=2), "patch", 0),
        (PackConfig(), "max_crop", 1.2),
        (CutConfig(), "crf", 52),
        (AnalyzeConfig(), "shot_threshold", -0.5),
        (SelectConfig(), "max_black", 2.0),
        (PoolConfig(), "cpus", -1.0),
    ],
)
def test_configurations_refuse_values_out_of_range(base, field, value) -> None:
    with pytest.raises(ValueError, match=f"{field}=.* is out of range"):
        replace(base, **{field: value})


def test_every_number_of_a_configuration_has_a_range() -> None:
    """A new field cannot be forgotten: seeds, which may be any integer, are the only numbers without one."""
    bare = []
    for module in (trainer.config, captioner.config, captioner.train.config, pipeline.config):
        for cls in vars(module).values():
            if not (isinstance(cls, type) and is_dataclass(cls)) or cls.__module__ != module.__name__:
                continue
            hints = get_type_hints(cls, include_extras=True)
            numbers = {int, float, int | None, float | None, tuple[int, ...], tuple[float, ...]}
            bare += [f.name for f in fields(cls) if hints[f.name] in numbers and f.name != "seed"]
            assert not any(hints[f.name] in numbers for f in fields(cls)) or "seed" in hints, cls
    assert not bare


def test_the_command_line_ends_with_2(capsys) -> None:
    assert main(["pack", "--dataset", "d", "--out", "o", "--max-crop", "1.5"]) == 2
    error = capsys.readouterr().err
    assert "max_crop=1.5 is out of range: PackConfig.max_crop must be" in error
    assert "at least 0 and at most 1" in error
