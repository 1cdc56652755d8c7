"""The wheel holds every file of the packages: modules, configurations, templates, prompts and weights."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def test_the_wheel_holds_all_files_of_the_packages(tmp_path: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = sorted({name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]})
    source = tmp_path / "source"
    for folder in folders:
        shutil.copytree(ROOT / folder, source / folder, ignore=_IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    files = {path.relative_to(source).as_posix() for folder in folders for path in _files(source / folder)}
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    built = subprocess.run(
        [*command, str(tmp_path), str(source)], capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files
    assert "trainer/sample/verbs.py" in held


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
