"""One Ray for all of these tests: starting it costs seconds."""

from collections.abc import Iterator

import pytest

from pipeline.config import RayConfig
from pipeline.jobs.session import RaySession


@pytest.fixture(scope="session", autouse=True)
def ray_for_all() -> Iterator[None]:
    with RaySession(RayConfig(num_cpus=2)) as session:
        assert session.cpus == 2
        yield
