"""Every diff of CONTRIBUTING.md applies to this tree and compiles; four of them are run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("video", "manifests", "captioner", "pipeline", "kinora")
RECIPES = dict(
    re.findall(
        r"^### Add (?:an? )?(.+?)\n.*?^```diff\n(.+?)^```$",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
)

ANALYZER = """
import numpy as np
from video.config import SandboxConfig
from video.encode import mp4_bytes
from video.probe import probe
from pipeline.analyze.decode_pass import decode_pass
from pipeline.config import AnalyzeConfig

frames_THWC = np.zeros((12, 64, 64, 3), np.uint8)
frames_THWC[..., 0] = 200
open("red.mp4", "wb").write(mp4_bytes(frames_THWC, 12))
(clip,) = decode_pass("red.mp4", probe("red.mp4"), AnalyzeConfig(), SandboxConfig()).clips
print(round(clip.columns["warmth"], 1))
"""
RULE = """
from pipeline.config import SelectConfig
from pipeline.select.rules import check_rules

clip = {"kind": "video", "height": 64, "width": 64, "start_pts": 0, "end_pts": 2}
clip |= {"time_base_num": 1, "time_base_den": 1, "brightness": 0.1}
clip |= {f"border_{side}": 0.0 for side in ("top", "bottom", "left", "right")}
for config in (SelectConfig(), SelectConfig(min_brightness=0.3)):
    print([check.rule.reason for check in check_rules(clip, config) if check.broken])
"""
BUCKET = """
from manifests.buckets import assign, parse_bucket
from pipeline.config import PackConfig

buckets = [parse_bucket(name) for name in PackConfig().buckets]
print(assign(num_frames=40, height=64, width=64, buckets=buckets, max_crop=0.2).name)
"""
COMMAND = """
from kinora.cli.main import main
from manifests.dataset import Commit, Dataset

dataset = Dataset.create("dataset")
print(main(["gaps", "--dataset", "dataset", "--json"]))
"""


def apply(diff: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Apply a diff to the files in `folder`, as if it were in no repository."""
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", "--verbose", "-"]
    return subprocess.run(
        command, cwd=folder, env=env, input=diff, capture_output=True, text=True, check=False
    )


def files_of(diff: str) -> tuple[list[str], list[str]]:
    """Return the paths that a diff changes, and those that it creates."""
    pairs = re.findall(r"^--- (\S+)\n\+\+\+ b/(\S+)$", diff, re.MULTILINE)
    return [new for old, new in pairs if old != "/dev/null"], [
        new for old, new in pairs if old == "/dev/null"
    ]


def copy_files(paths: list[str], folder: Path) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)


def test_there_is_a_recipe_for_each():
    names = {"analyzer", "scorer", "rule", "captioner", "stage", "bucket", "family of worlds", "command"}
    assert set(RECIPES) == names


@pytest.mark.parametrize("name", RECIPES)
def test_the_diff_applies_and_compiles(tmp_path, name):
    changed, created = files_of(RECIPES[name])
    copy_files(changed, tmp_path)
    result = apply(RECIPES[name], tmp_path)
    assert result.returncode == 0, result.stderr
    assert not [path for path in created if (ROOT / path).exists()]
    for path in [*changed, *created]:
        text = (tmp_path / path).read_text()
        assert path in created or text != (ROOT / path).read_text()
        if path.endswith(".py"):
            compile(text, path, "exec")


def test_a_diff_that_does_not_fit_is_found(tmp_path):
    changed, _ = files_of(RECIPES["rule"])
    copy_files(changed, tmp_path)
    (tmp_path / "pipeline/select/rules.py").write_text("RULES = ()\n")
    assert apply(RECIPES["rule"], tmp_path).returncode != 0


@pytest.mark.parametrize(
    ("name", "code", "printed"),
    [
        ("analyzer", ANALYZER, "0.8\n"),
        ("rule", RULE, "[]\n['too_dark']\n"),
        ("bucket", BUCKET, "33x64x64\n"),
        ("command", COMMAND, '{"gaps": {}}\n3\n'),
    ],
)
def test_the_recipe_works(tmp_path, name, code, printed):
    tree = tmp_path / "tree"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("weights", "__pycache__", "train")
        )
    assert apply(RECIPES[name], tree).returncode == 0
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.stdout == printed, result.stderr
