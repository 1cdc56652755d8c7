"""Engines of vLLM on Ray: what they need before they start, and a real vLLM that captions.

The slow tests take an environment that has vLLM (vllm_environment.py).
"""

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import speaking_model  # pyright: ignore[reportMissingImports]  # in tests/unit
import vlm_models  # pyright: ignore[reportMissingImports]  # in tests/unit
from safetensors.torch import load_file, save_file
from small_dataset import write_dataset  # pyright: ignore[reportMissingImports]  # in tests/unit
from vllm_environment import vllm_python  # pyright: ignore[reportMissingImports]  # in tests/unit

from captioner.config import CaptionerConfig, VllmConfig, VlmConfig
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptionRequest
from captioner.vlm import TransformersCaptioner
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from pipeline.ask.load import ask_spec, load_model
from pipeline.caption import engines
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.config import AskConfig, CaptionConfig, PoolConfig, RayConfig
from pipeline.jobs.ask import ask
from pipeline.jobs.caption import caption

RAY = RayConfig(num_cpus=2)
SAYS = "A dog."
DENSE = Prompt(name="dense", text="Describe the video.")
SHORT = Prompt(name="short", text="What moves, and where to?")
SETTINGS: dict[str, Any] = {
    "dtype": "float32",
    "max_model_len": 2048,
    "max_new_tokens": 12,
    "gpu_memory_utilization": 0.1,
    "engine_args": {"enforce_eager": True, "block_size": 32},
}


def config(model: Path, **more: Any) -> CaptionConfig:
    vllm = VllmConfig(**{"model": str(model), **SETTINGS, **more})
    return CaptionConfig(captioner=CaptionerConfig(kind="vllm", vllm=vllm))


def test_engines_get_what_they_import_and_no_more() -> None:
    content = engines._packages()
    names = {*zipfile.ZipFile(io.BytesIO(content)).namelist()}
    packages = {"captioner/__init__.py", "manifests/__init__.py"}
    assert packages | {"captioner/vllm_engine.py", "captioner/vlm_inputs.py", "manifests/digest.py"} <= names
    assert not names & {"captioner/vllm_client.py", "captioner/outcome.py", "manifests/dataset.py"}
    assert len(content) < 90_000  # Ray keeps larger arguments in its object store


def test_an_interpreter_that_does_not_fit_is_named_with_the_remedy(tmp_path: Path) -> None:
    remedy = rf"pip install vllm ray=={engines.ray.__version__}.*--captioner.vllm.python /opt/vllm/bin/python"
    needs = PoolConfig()
    with pytest.raises(ValueError, match=rf"captioner.vllm.python: {sys.executable} has no vLLM; .*{remedy}"):
        engines._check_interpreter(VllmConfig(model="m"), needs)
    missing = str(tmp_path / "python")
    with pytest.raises(ValueError, match=rf"{missing}: it cannot be run: .*{remedy}"):
        engines._check_interpreter(VllmConfig(model="m", python=missing), needs)
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\necho \'{"python": [3, 9], "ray": "", "vllm": true}\'\n')
    old.chmod(0o755)
    with pytest.raises(ValueError, match=rf"has python 3.9, ray none, and this Ray takes python 3.*{remedy}"):
        engines._check_interpreter(VllmConfig(model="m", python=str(old)), needs)


def test_gpus_that_are_not_there_are_an_error_with_the_numbers() -> None:
    nodes = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}]
    assert engines._needs(VllmConfig(model="m", engines=4), nodes).gpus == 1
    assert engines._needs(VllmConfig(model="m", engines=2, tensor_parallel_size=2), nodes).gpus == 2
    assert engines._needs(VllmConfig(model="m", gpus=0), nodes).gpus == 0
    assert engines._needs(VllmConfig(model="m"), [{"CPU": 1.0}]) == PoolConfig(cpus=0)
    with pytest.raises(ValueError, match=r"engines is 1, each with 4 GPUs .*room for 0"):
        engines._needs(VllmConfig(model="m", tensor_parallel_size=4), nodes)
    with pytest.raises(ValueError, match=r"engines is 3.* room for 2 \(the largest node has 2 GPUs\)"):
        engines._needs(VllmConfig(model="m", engines=3, tensor_parallel_size=2), nodes)


def test_gpus_of_readers_are_an_error() -> None:
    with (
        pytest.raises(ValueError, match=r"ray.caption.gpus: .*tensor_parallel_size"),
        engines.running_engines(config(Path("m")), "caption", PoolConfig(gpus=1), load_captioner),
    ):
        pass


def test_the_object_store_has_room_for_frames_unless_its_size_is_chosen() -> None:
    chosen = replace(RAY, object_store_bytes=2**27)
    assert engines.with_room_for_frames(chosen, config(Path("m"))) == chosen
    facts = CaptionConfig(captioner=CaptionerConfig(kind="facts"))
    assert engines.with_room_for_frames(RAY, facts) == RAY
    grown = engines.with_room_for_frames(RAY, config(Path("m"))).object_store_bytes
    assert RAY.object_store_bytes <= grown <= 4 * 2**30


# A real vLLM.


@pytest.fixture(scope="module")
def python() -> str:
    return vllm_python()


@pytest.fixture(autouse=True)
def small_cpu_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


def build(kind: str, folder: Path) -> Path:
    """Save a tiny model that vLLM 0.32 reads: it knows CLIP's weights by their names on the hub alone."""
    vlm_models.build(kind, folder, widen=2)
    path = folder / "model.safetensors"
    if kind == "llava":
        tower = "vision_tower."
        renamed = {name.replace(tower, f"{tower}vision_model."): w for name, w in load_file(path).items()}
        save_file(renamed, path, metadata={"format": "pt"})
    return folder


def about(clip_id: str, *, frames: int, step_s: float) -> list[CaptionRequest]:
    """Return two prompts about frames at uneven times; wide, as Qwen2.5-VL counts times and places alike."""
    pixels = np.random.default_rng(len(clip_id)).integers(0, 255, (frames, 64, 448, 3), dtype=np.uint8)
    times = tuple(round(step_s * k**1.5, 2) for k in range(frames))
    return [
        CaptionRequest(clip_id=clip_id, media_id=clip_id, frames_THWC=pixels, times_s=times, prompt=prompt)
        for prompt in (DENSE, SHORT)
    ]


def raw(answers: list[CaptionAnswer]) -> dict[tuple[str, str], str]:
    """Return the answers by clip and prompt, without a character that is cut off, which vLLM leaves out."""
    assert {answer.outcome for answer in answers} <= {Outcome.TRUNCATED, Outcome.DEGENERATE, Outcome.EMPTY}
    return {(answer.clip_id, answer.prompt_digest): answer.raw.rstrip("\ufffd") for answer in answers}


def by_transformers(model: Path) -> TransformersCaptioner:
    return TransformersCaptioner(VlmConfig(model=str(model), dtype="float32", max_new_tokens=12), name="m")


def still_there(processes: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Return the processes that have not ended within a minute."""
    deadline = time.monotonic() + 60
    while (left := processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def vllm_processes() -> list[psutil.Process]:
    """Return vLLM's own processes below this one, not the actors."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("VLLM"):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen2_5_vl", "llava"])
def test_vllm_says_what_transformers_says_of_the_same_frames_and_times(
    kind: str, python: str, tmp_path: Path
) -> None:
    model = build(kind, tmp_path / kind)
    requests = [
        *about("a", frames=6, step_s=0.1),
        *about("bb", frames=1, step_s=0.1),
        *about("ccc", frames=9, step_s=0.15),
    ]
    own = by_transformers(model).caption(requests)
    settings = config(model, python=python)
    with engines.running_engines(settings, "caption", PoolConfig(max_size=1), load_captioner) as load:
        captioner = load(settings)
        answers = captioner.caption(requests)
    assert raw(answers) == raw(own)
    shown = {answer.clip_id: answer.frames_shown for answer in own}
    assert {answer.clip_id: answer.frames_shown for answer in answers} == shown
    by_key = {(answer.clip_id, answer.prompt_digest): answer.confidence for answer in own}
    for answer in answers:
        assert answer.confidence == pytest.approx(by_key[answer.clip_id, answer.prompt_digest], rel=1e-3)
    usage: Any = captioner.usage  # pyright: ignore[reportAttributeAccessIssue]
    assert usage.cached_tokens >= 2 * 32  # second prompts found frames of the first
    assert usage.output_tokens == 6 * 12
    assert not still_there(vllm_processes)


@pytest.mark.slow
def test_vllm_reads_the_times_and_an_engine_that_ends_is_started_again(python: str, tmp_path: Path) -> None:
    """Qwen3-VL has the time of each pair of frames as text in its prompt."""
    model = build("qwen3_vl", tmp_path / "model")
    soon, late = about("a", frames=6, step_s=0.1), about("bb", frames=6, step_s=9.0)
    own = by_transformers(model)
    inputs = [own._inputs([request], [tuple(range(6))]) for request in (*soon, *late)]
    lengths = [each["input_ids"].shape[1] for each in inputs]
    assert lengths[0] != lengths[2]
    settings = config(model, python=python)
    with engines.running_engines(settings, "caption", PoolConfig(max_size=1), load_captioner) as load:
        captioner: Any = load(settings)
        before = raw(captioner.caption(soon))
        assert captioner.usage.input_tokens == sum(lengths[:2])
        captioner.caption(late)
        assert captioner.usage.input_tokens == sum(lengths)
        core = vllm_processes()
        assert core
        core[0].kill()
        assert not still_there(lambda: [core[0]] if core[0].is_running() else [])
        assert raw(captioner.caption(soon)) == before
    assert not still_there(vllm_processes)


@pytest.mark.slow
def test_a_job_captions_a_dataset_by_vllm(python: str, tmp_path: Path) -> None:
    model = build("qwen3_vl", tmp_path / "model")
    speaking_model.make_say(model, SAYS)
    dataset = write_dataset(tmp_path)
    settings = config(model, python=python, max_new_tokens=64)
    report = caption(dataset.uri, settings, RAY, caption_spec(settings), load_captioner)
    assert (report.ok, report.failed, report.left) == (3, {}, 0)
    assert report.output_tokens == 3 * 2 * (len(SAYS) + 1)
    assert 0 < report.cached_tokens < report.input_tokens
    joint = replace(settings, captioner=replace(settings.captioner, joint_prompt="lengths"))
    assert caption(dataset.uri, joint, RAY, caption_spec(joint), load_captioner).ok == 3
    for version in (report.version, caption_spec(joint).version):
        rows = LiveView(Dataset.open(dataset.uri)).read("captions", version=version).to_pylist()
        assert len(rows) == 3
        assert {row["captioner"] for row in rows} == {"vllm"}
        assert {row["text"] for row in rows} == {row["short"] for row in rows} == {SAYS}
        assert {len(row["frames_shown"]) for row in rows} == {8}
        assert {json.loads(row["decoding"])["max_new_tokens"] for row in rows} == {64}
    assert {row["medium"] for row in rows} == {SAYS}


@pytest.mark.slow
def test_vllm_answers_questions_with_probabilities(python: str, tmp_path: Path) -> None:
    model = build("qwen3_vl", tmp_path / "model")
    speaking_model.make_say(model, "A")
    dataset = write_dataset(tmp_path)
    settings = AskConfig(captioner=config(model, python=python).captioner, only=("medium",))
    report = ask(dataset.uri, settings, RAY, ask_spec(settings), load_model)
    assert (report.ok, report.failed, report.by_words) == (3, {}, 0)
    assert dict(report.answers["medium"]) == {"live_action": 3}


@pytest.mark.slow
def test_a_model_that_vllm_cannot_run_ends_the_job_with_the_cause(python: str, tmp_path: Path) -> None:
    model = build("qwen3_vl", tmp_path / "model")
    dataset = write_dataset(tmp_path)
    for more, message in (
        ({"engine_args": {"kv_cach": 1}}, r"engine_args: kv_cach: no argument of vLLM"),
        ({"max_model_len": 64}, r"cannot caption a clip of 8 frames in vLLM .*64"),
    ):
        settings = config(model, python=python, **more)
        with pytest.raises(ValueError, match=message):
            caption(dataset.uri, settings, RAY, caption_spec(settings), load_captioner)
