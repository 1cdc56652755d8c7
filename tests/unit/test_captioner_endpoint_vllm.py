"""The endpoint captioner against the server of a real vLLM (vllm_environment.py)."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import vlm_models
from speaking_model import make_say
from vllm_environment import vllm_python

from captioner.config import EndpointConfig
from captioner.endpoint import EndpointCaptioner
from captioner.prompts import Prompt
from captioner.protocol import CaptionRequest
from manifests.records import LENGTHS, Outcome

pytestmark = pytest.mark.slow
SAYS = "A dog."
FRAMES = 3


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model that says one text."""
    python = vllm_python()
    model = tmp_path_factory.mktemp("model")
    vlm_models.build("qwen2_5_vl", model, widen=2)
    make_say(model, SAYS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "2048", "--block-size", "32"]
    command += ["--limit-mm-per-prompt", f'{{"image": {FRAMES}}}', "--enable-prompt-tokens-details"]
    settings = '{"backend": "xgrammar", "disable_any_whitespace": true}'
    command += ["--structured-outputs-config", settings]
    env = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    env.pop("PYTHONPATH", None)
    log = model / "server.log"
    with log.open("w") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as server:
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def _wait_until_up(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)


def requests(clip_id: str, *prompts: Prompt) -> list[CaptionRequest]:
    pixels = np.random.default_rng(len(clip_id)).integers(0, 255, (5, 96, 160, 3), dtype=np.uint8)
    times = tuple(0.4 * k for k in range(5))
    return [
        CaptionRequest(clip_id=clip_id, media_id=clip_id, frames_THWC=pixels, times_s=times, prompt=prompt)
        for prompt in prompts
    ]


def test_vllm_answers_each_prompt_and_lengths_by_schema(url: str) -> None:
    captioner = EndpointCaptioner(
        EndpointConfig(url=url, model="tiny", frames=FRAMES, max_new_tokens=64, timeout_s=600.0)
    )
    plain = Prompt(name="dense", text="Describe the video."), Prompt(name="short", text="In ten words.")
    joint = Prompt(name="lengths", text="Describe it thrice.", lengths=LENGTHS)
    asked = [
        request for clip_id in ("a", "bb", "ccc", "dddd") for request in requests(clip_id, *plain, joint)
    ]
    answers = captioner.caption(asked)
    assert len(answers) == len(asked)
    assert {answer.outcome for answer in answers} == {Outcome.OK}, [answer.detail for answer in answers]
    assert {answer.text for answer in answers} == {SAYS}
    assert {answer.frames_shown for answer in answers} == {(0, 2, 4)}
    by_schema = [answer for answer in answers if answer.prompt_digest == joint.digest]
    assert [answer.texts for answer in by_schema] == [dict.fromkeys(LENGTHS, SAYS)] * 4
    usage = captioner.usage
    assert usage.output_tokens > 8 * len(SAYS)
    assert 0 < usage.cached_tokens < usage.input_tokens  # later prompts found the pictures of the first


def test_more_pictures_than_the_server_takes_are_refused_with_its_reason(url: str) -> None:
    config = EndpointConfig(url=url, model="tiny", frames=FRAMES + 1, timeout_s=600.0)
    with pytest.raises(ValueError, match=r"trial request with 4 pictures failed.*HTTP 400.*At most 3 image"):
        EndpointCaptioner(config)


def test_a_model_that_is_not_there_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"HTTP 404.*other.*does not exist"):
        EndpointCaptioner(EndpointConfig(url=url, model="other", frames=FRAMES, timeout_s=600.0))
