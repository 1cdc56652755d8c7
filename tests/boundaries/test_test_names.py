"""Each test file is named after the module that it tests: `test_`, its path joined by `_`, and any aspect."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("unit", "ray", "train", "web", "golden")
NOT_PYTHON = {"test_deploy.py", "test_ray_cluster_yaml.py"}
"""Tests of files that are no Python module."""
PACKAGES = ("benchmarks", "captioner", "kinora", "manifests", "pipeline", "trainer", "video", "worlds")


def names_a_module(test_file: str) -> bool:
    """Return whether a file name begins with a module or sub-package below a top-level package."""
    package, _, rest = Path(test_file).stem.removeprefix("test_").partition("_")
    return package in PACKAGES and _starts_with_module(ROOT / package, rest)


def _starts_with_module(folder: Path, rest: str) -> bool:
    modules = [path.stem for path in folder.glob("*.py")]
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    names = modules + packages
    return any(rest == name or rest.startswith(f"{name}_") for name in names)


def test_every_test_file_names_its_module():
    files = [path.name for folder in FOLDERS for path in (ROOT / "tests" / folder).glob("test_*.py")]
    assert len(files) > 50
    assert [name for name in sorted(files) if name not in NOT_PYTHON and not names_a_module(name)] == []
    assert {*files} >= NOT_PYTHON


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_video_frames.py", True),
        ("test_video_frames_semantics.py", True),
        ("test_pipeline_media.py", True),
        ("test_pipeline_analyze_shots_transnet.py", True),
        ("test_video.py", False),
        ("test_video_semantics.py", False),
        ("test_video_framesets.py", False),
        ("test_numpy_frames.py", False),
    ],
)
def test_names(name: str, expected: bool):
    assert names_a_module(name) == expected
