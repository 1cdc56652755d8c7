"""One Ray for all of these tests: starting it costs seconds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import RayConfig
from pipeline.runtime.session import RaySession


@pytest.fixture(scope="session", autouse=True)
def ray_for_all() -> Iterator[None]:
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests / "ray"), str(tests / "unit"), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path.rstrip(os.pathsep))  # so that workers find the helpers of tests
        yield from _session()


def _session() -> Iterator[None]:
    with RaySession(RayConfig(num_cpus=2)) as session:
        assert session.cpus == 2
        yield


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An S3 of its own for one test; the environment leads boto3 to it, also in the commands that it runs."""
    pytest.importorskip("moto", reason="`pip install 'kinora[dev]'` brings an S3 for tests")
    keys = {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    keys["AWS_DEFAULT_REGION"] = "us-east-1"
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    command = [sys.executable, str(Path(__file__).parents[1] / "unit" / "s3_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        for name, value in (keys | files | {"AWS_ENDPOINT_URL": endpoint}).items():
            monkeypatch.setenv(name, value)
        yield
        server.terminate()
