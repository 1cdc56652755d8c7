"""The server as a process and as a guard: kills, restarts, cancelling, tokens, checks and signed files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from served_videos import SMALL, clip_mp4, serving

from kinora.cli.main import main
from kinora.safety.config import SafetyConfig
from manifests.web.tokens import TokenStore

LONG = SMALL | {"num_inference_steps": "100000"}


@contextmanager
def process(model: Path, state: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command; yield it, its address and what it said."""
    command = [
        sys.executable,
        "-m",
        "kinora",
        "serve",
        "--model",
        str(model),
        "--state",
        str(state),
        "--port",
        "0",
    ]
    server = subprocess.Popen(
        [*command, "--device", "cpu", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
    )
    assert server.stdout is not None
    said = ""
    try:
        while "Ctrl-C" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"base_url=(\S+)/v1\)", said)
        assert found is not None, said
        yield server, found[1].replace("0.0.0.0", "127.0.0.1"), said
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def until(client: httpx2.Client, video_id: str, condition) -> dict:
    while not condition(video := client.get(f"/v1/videos/{video_id}").json()):
        time.sleep(0.02)
    return video


@pytest.mark.slow
def test_no_job_is_lost_by_a_kill_and_an_end(legacy_model, tmp_path):
    """A job is killed in its middle and others while they wait; Ctrl-C ends a server in a job's middle."""
    with process(legacy_model, tmp_path) as (server, url, _), httpx2.Client(base_url=url) as client:
        ids = [client.post("/v1/videos", json=LONG | {"prompt": "x"}).json()["id"]]
        ids += [
            client.post("/v1/videos", json=SMALL | {"prompt": f"{n}", "steps": 2}).json()["id"]
            for n in range(3)
        ]
        video = [("video", ("v.mp4", clip_mp4(), "video/mp4"))]
        ids.append(
            client.post("/v1/videos/edits", data={"prompt": "x", "steps": "2"}, files=video).json()["id"]
        )
        until(client, ids[0], lambda video: video["status"] == "in_progress")
        server.kill()
    with process(legacy_model, tmp_path) as (server, url, _), httpx2.Client(base_url=url) as client:
        states = [client.get(f"/v1/videos/{each}").json()["status"] for each in ids]
        assert {*states} <= {"queued", "in_progress"}
        until(client, ids[0], lambda video: video["status"] == "in_progress")
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) in (0, 130)
    job = json.loads((tmp_path / "videos" / ids[0] / "job.json").read_text())
    assert (job["status"], job["attempts"]) == ("queued", 1)
    with process(legacy_model, tmp_path) as (server, url, _), httpx2.Client(base_url=url) as client:
        until(client, ids[0], lambda video: video["status"] == "in_progress")
        assert client.delete(f"/v1/videos/{ids[0]}").json()["deleted"]
        done = [
            until(client, each, lambda video: video["status"] not in ("queued", "in_progress"))
            for each in ids[1:]
        ]
        assert [each["status"] for each in done] == ["completed"] * 4
        assert client.get(f"/v1/videos/{ids[0]}").status_code == 404
    left = {path.name for path in (tmp_path / "videos").iterdir()}
    assert left == {*ids[1:]}
    assert [path.name for path in (tmp_path / "videos").rglob("*.partial")] == []


@pytest.mark.slow
def test_another_address_asks_for_the_token(legacy_model, tmp_path):
    with process(legacy_model, tmp_path, "--host", "0.0.0.0") as (_, url, said):
        token = re.search(r"token, shown this once: (\S{43})", said)
        assert token is not None
        port = url.rpartition(":")[2]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/v1/videos").status_code == 401
            client.headers["authorization"] = f"Bearer {token[1]}"
            assert client.get("/v1/videos").json()["data"] == []
    stored = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(token[1] in content for content in stored)


def test_a_token_is_asked_for_and_guessing_it_is_slow(legacy_model, tmp_path):
    tokens = TokenStore(tmp_path)
    token = tokens.create()
    with serving(legacy_model, tmp_path, tokens=tokens, host="0.0.0.0") as videos:
        answer = videos.client.get("/v1/videos")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.json()["error"]["type"] == "authentication_error"
        right = {"authorization": f"Bearer {token}"}
        assert videos.client.get("/v1/videos", headers=right).status_code == 200
        wrong = {"authorization": f"Bearer {token[:-1]}"}
        statuses = [videos.client.get("/v1/videos", headers=wrong).status_code for _ in range(8)]
        assert statuses[-1] == 429
        assert videos.client.get("/v1/videos", headers=right).status_code == 200


def test_deleting_a_running_job_ends_it_and_the_next_begins(legacy_model, tmp_path):
    with serving(legacy_model, tmp_path) as videos:
        running = videos.post(prompt="x", **LONG).json()["id"]
        while videos.show(running)["status"] != "in_progress":
            time.sleep(0.01)
        following = videos.post(prompt="y", **SMALL)
        assert videos.client.delete(f"/v1/videos/{running}").json()["deleted"]
        assert videos.make(following)["status"] == "completed"
        assert {path.name for path in (tmp_path / "videos").iterdir()} == {following.json()["id"]}


def test_a_full_queue_is_an_answer(legacy_model, tmp_path):
    with serving(legacy_model, tmp_path, max_queue=2) as videos:
        running = videos.post(prompt="x", **LONG).json()["id"]
        while videos.show(running)["status"] != "in_progress":
            time.sleep(0.01)
        answers = [videos.post(prompt="x", **SMALL) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        error = answers[-1].json()["error"]
        assert (error["code"], error["type"]) == ("queue_full", "rate_limit_error")
        assert answers[-1].headers["retry-after"] == "5"


def test_prompts_and_frames_are_checked_and_recorded(legacy_model, tmp_path, monkeypatch):
    class Unsafe:
        def score(self, rgb_HWC) -> float:
            return 0.99

    monkeypatch.setattr("video.scorers.nsfw.NsfwScorer", Unsafe)
    with serving(
        legacy_model, tmp_path / "block", safety=SafetyConfig(prompts="block", frames="block")
    ) as videos:
        refused = videos.post(prompt="a n u d e man", **SMALL)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (400, "moderation_blocked", "prompt")
        video = videos.make(videos.post(prompt="a red circle", **SMALL))
        assert (video["status"], video["error"]["code"]) == ("failed", "moderation_blocked")
        assert videos.content(video["id"]).status_code == 400
        assert sorted(path.name for path in videos.queue.store.path(video["id"]).iterdir()) == ["job.json"]
    with serving(
        legacy_model, tmp_path / "warn", safety=SafetyConfig(prompts="warn", frames="warn")
    ) as videos:
        video = videos.make(videos.post(prompt="a nude man", **SMALL))
        assert video["status"] == "completed"
        assert video["safety"].startswith(
            "prompts checked (warn): sexual content; frames checked (warn): nsfw 0.99"
        )


def test_files_are_signed(legacy_model, tmp_path, capsys):
    pytest.importorskip("c2pa", reason="`pip install 'kinora[provenance]'`")
    from certificates import write_certificate

    (tmp_path / "certificate").mkdir()
    with serving(
        legacy_model, tmp_path / "state", sign=write_certificate(tmp_path / "certificate")
    ) as videos:
        video = videos.make(videos.post(prompt="a red circle", **SMALL))
        assert video["status"] == "completed", video
        for variant, name in (("video", "a.mp4"), ("thumbnail", "a.jpg"), ("spritesheet", "b.jpg")):
            (tmp_path / name).write_bytes(videos.content(video["id"], variant).content)
            assert main(["provenance", str(tmp_path / name), "--json"]) == 0
            said = json.loads(capsys.readouterr().out)
            assert (said["manifest"]["state"], said["provenance"]["prompt"]) == ("valid", "a red circle")


def test_what_cannot_be_served_is_refused_before_anything_is_loaded(
    legacy_model, tmp_path, capsys, monkeypatch
):
    def serve(*flags: str) -> str:
        assert main(["serve", "--model", str(legacy_model), "--state", str(tmp_path), *flags]) == 2
        return capsys.readouterr().err

    monkeypatch.setattr("kinora.serve.run.load_model", lambda *a, **k: pytest.fail("it was loaded"))
    assert "no such folder" in serve("--model", str(tmp_path / "none"))
    assert "must be 0 to 65535" in serve("--port", "70000")
    assert "belong together" in serve("--sign.key", "key.pem")
    assert "no YAML" in serve("--safety.prompts", "warn", "--safety.rules", str(Path(__file__)))
    assert "max_queue=0 is out of range" in serve("--max-queue", "0")
