"""The clients that people have call every verb: openai and litellm, in an environment of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import video_clients
from served_videos import Videos, clip_mp4, serving, still_png

pytestmark = pytest.mark.slow

ENVIRONMENT = Path(__file__).parents[2] / ".bench" / "clients"
PACKAGES = ("openai==3.57.0", "litellm==1.110.2")


@pytest.fixture(scope="module")
def python() -> str:
    """Return an interpreter with the clients."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        (ENVIRONMENT / "complete").touch()
    return str(python)


@pytest.fixture(scope="module")
def videos(legacy_model, tmp_path_factory) -> Iterator[Videos]:
    with serving(legacy_model, tmp_path_factory.mktemp("state")) as videos:
        yield videos


def call(python: str, client: str, videos: Videos, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what came back by the name of each call."""
    (folder / "still.png").write_bytes(still_png())
    (folder / "clip.mp4").write_bytes(clip_mp4())
    command = [python, str(video_clients.__file__), client, f"http://localhost:{videos.port}/v1"]
    environment = os.environ | {"PYTHONPATH": "", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    done = subprocess.run(
        [*command, str(folder / "still.png"), str(folder / "clip.mp4")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {each.pop("call"): each for each in json.loads(done.stdout.splitlines()[-1])}


def test_the_official_client(python, videos, tmp_path):
    said = call(python, "openai", videos, tmp_path)
    assert (said["create"]["status"], said["create"]["object"]) in {
        ("queued", "video"),
        ("in_progress", "video"),
    }
    verbs = {
        "poll": ("text", 9, "1"),
        "create with an image": ("animate", 9, "1"),
        "create with a video": ("edit", 9, "1.125"),
        "edit": ("edit", 9, "1.125"),
        "extend": ("extend", 17, "2.125"),
        "extend by id": ("extend", 17, "2"),
        "remix": ("edit", 9, "1"),
        "loop": ("loop", 8, "1"),
        "connect": ("connect", 26, "3"),
        "draft": ("text", 9, "1"),
        "prompts over time": ("text", 9, "1"),
        "create and poll": ("text", 9, "1"),
    }
    for name, (verb, frames, seconds) in verbs.items():
        found = said[name]
        assert (found["status"], found["error"]) == ("completed", None), (name, found)
        assert (found["verb"], found["frames"], found["seconds"]) == (verb, frames, seconds), name
    assert said["draft"]["size"] == "64x64"
    assert said["poll"]["seed"] == "5"
    assert said["content video"]["start"][8:16] == b"ftyp".hex()
    assert {said[f"content {name}"]["start"][:6] for name in ("thumbnail", "spritesheet")} == {"ffd8ff"}
    assert len({*said["list"]["ids"]}) == 12
    assert said["delete"] == {"id": said["poll"]["id"], "deleted": True, "object": "video.deleted"}
    assert said["retrieve what is deleted"]["code"] == "not_found"
    assert (said["a size that is none"]["param"], said["a size that is none"]["code"]) == (
        "size",
        "invalid_value",
    )
    assert said["no image"]["param"] == "input_reference"


def test_litellm(python, videos, tmp_path):
    said = call(python, "litellm", videos, tmp_path)
    for name in ("poll", "create with an image", "create with a video", "remix", "edit", "extend", "loop"):
        assert said[name]["status"] == "completed", (name, said[name])
    assert said["extend"]["seconds"] == "2"
    assert said["content video"]["start"][8:16] == b"ftyp".hex()
    assert said["content thumbnail"]["start"][:6] == "ffd8ff"
    assert len(said["list"]["ids"]) == 4
    assert "expected WIDTHxHEIGHT" in said["a size that is none"]["message"]
    assert "no known video or image format" in said["a path"]["message"]
