"""One Ray for all of these tests: starting it costs seconds."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import RayConfig
from pipeline.runtime.session import RaySession


@pytest.fixture(scope="session", autouse=True)
def ray_for_all() -> Iterator[None]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path.rstrip(os.pathsep))  # so that workers find `hostile_hooks`
        yield from _session()


def _session() -> Iterator[None]:
    with RaySession(RayConfig(num_cpus=2)) as session:
        assert session.cpus == 2
        yield
