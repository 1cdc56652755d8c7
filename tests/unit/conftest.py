"""Places for datasets: a folder, and a bucket of an S3 that runs beside the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing-key-id",
    "AWS_SECRET_ACCESS_KEY": "testing-secret-5f0c",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a running S3."""
    pytest.importorskip("moto", reason="`pip install 'kinora[dev]'` brings an S3 for tests")
    command = [sys.executable, str(Path(__file__).with_name("s3_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


@pytest.fixture
def s3_uri(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of a new bucket; the environment leads boto3 to it, as a user's would."""
    import boto3

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (SETTINGS | {"AWS_ENDPOINT_URL": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid4().hex[:12]}"
    boto3.Session().client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/where"


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test makes its dataset: once in a folder, once on S3."""
    return str(tmp_path / "d") if request.param == "disk" else request.getfixturevalue("s3_uri")


@pytest.fixture(scope="session")
def review_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset with captions of two versions, to be copied."""
    import reviewed_dataset

    path = tmp_path_factory.mktemp("reviewed") / "d"
    reviewed_dataset.make(path)
    return path


@pytest.fixture
def uri(review_template: Path, tmp_path: Path) -> str:
    """A copy of it."""
    return str(shutil.copytree(review_template, tmp_path / "d"))
