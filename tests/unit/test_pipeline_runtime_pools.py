"""Pools that cannot run are refused with both numbers; scorers always leave a CPU for analysis."""

import pytest

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.pools import PoolsUnfit, capacity, check_pools, share_cpus

LAPTOP = [{"CPU": 2.0}]


@pytest.mark.parametrize(
    ("stage", "pool", "message"),
    [
        ("caption", PoolConfig(gpus=1), r"ray\.caption takes .*'GPU': 1.* for an actor.*'GPU': 0\.0"),
        ("cut", PoolConfig(cpus=4), r"ray\.cut takes \{'CPU': 4\} for a task.*\{'CPU': 2\.0\}"),
        ("analyze", PoolConfig(label="decode"), r"ray\.analyze takes .*'decode': 0\.001.*'decode': 0\.0"),
        (
            "caption",
            PoolConfig(min_size=3),
            r"keeps 3 actors .* room for 2: .* at most 2",
        ),
    ],
)
def test_a_pool_that_cannot_run_is_refused_with_both_numbers(stage, pool, message):
    with pytest.raises(PoolsUnfit, match=message):
        check_pools([stage], RayConfig(**{stage: pool}), LAPTOP)


def test_pools_that_fit_pass():
    check_pools(["analyze", "score", "cut", "caption", "pack"], RayConfig(), LAPTOP)
    check_pools(["caption"], RayConfig(caption=PoolConfig(min_size=4, cpus=0.5)), LAPTOP)
    assert capacity(PoolConfig(cpus=1.5), [{"CPU": 4.0}, {"CPU": 1.0}, {"CPU": 3.0}]) == 4
    assert capacity(PoolConfig(gpus=0.5, label="a"), [{"CPU": 9.0, "GPU": 2.0, "a": 1.0}, {"CPU": 9.0}]) == 4


@pytest.mark.parametrize(
    ("cpus", "score", "expected"),
    [
        (1, PoolConfig(max_size=1), (0.5, 0.5, 1)),
        (2, PoolConfig(max_size=1), (1.0, 1.0, 1)),
        (2, PoolConfig(max_size=2), (1.0, 1.0, 1)),
        (2, PoolConfig(cpus=2, max_size=1), (0.6666, 1.3333, 1)),
        (8, PoolConfig(max_size=4), (1.0, 1.0, 4)),
        (8, PoolConfig(max_size=99), (1.0, 1.0, 7)),
        (8, PoolConfig(min_size=7, max_size=7), (1.0, 1.0, 7)),
    ],
)
def test_scorers_leave_cpus_for_a_task_of_analysis(cpus, score, expected):
    tasks, actors = share_cpus(PoolConfig(), score, cpus)
    assert (tasks.cpus, actors.cpus, actors.max_size) == expected
    assert tasks.cpus + max(1, actors.min_size) * actors.cpus <= cpus


@pytest.mark.parametrize(("cpus", "least"), [(2, 2), (8, 8), (1, 2)])
def test_scorers_that_would_hold_every_cpu_are_refused(cpus, least):
    with pytest.raises(PoolsUnfit, match=rf"takes {least + 1} CPUs, and Ray has {cpus}\. .*min-size"):
        share_cpus(PoolConfig(), PoolConfig(min_size=least, max_size=least), cpus)


def test_scorers_on_nodes_of_their_own_share_nothing():
    pools = PoolConfig(label="decode"), PoolConfig(label="gpu", min_size=8, max_size=8)
    assert share_cpus(*pools, 1) == pools
