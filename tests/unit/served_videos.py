"""Serve videos in this process for tests, over plain HTTP."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
import uvicorn

pytest.importorskip("python_multipart", reason="`pip install 'kinora[serve]'` brings what serving needs")

from kinora.generation.sign_config import SignConfig
from kinora.safety.config import SafetyConfig
from kinora.serve.config import ServeConfig
from kinora.serve.queue import JobQueue
from kinora.serve.run import Settings, open_server
from manifests.web.server import listen, settings
from manifests.web.tokens import TokenStore
from trainer.config import SampleConfig
from video.encode import mp4_bytes

SMALL = {"size": "32x32", "num_frames": "5"}


@dataclass
class Videos:
    """A running server, with a client of its interface."""

    client: httpx2.Client
    queue: JobQueue
    state: Path
    port: int

    def post(
        self, path: str = "", *, files: Sequence[tuple[str, Any]] = (), **values: Any
    ) -> httpx2.Response:
        """Send a request as the official client does: multipart, also without a file."""
        fields = [(name, (None, text)) for name, text in values.items()]
        return self.client.post(f"/v1/videos{path}", files=[*fields, *files])

    def json(self, path: str = "", **values: Any) -> httpx2.Response:
        return self.client.post(f"/v1/videos{path}", json=values)

    def make(self, answer: httpx2.Response) -> dict[str, Any]:
        """Wait for the video of an answer; return it as it is when it is finished."""
        assert answer.status_code == 200, answer.text
        while (video := self.show(answer.json()["id"]))["status"] in ("queued", "in_progress"):
            time.sleep(0.02)
        return video

    def show(self, video_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/videos/{video_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def content(self, video_id: str, variant: str = "video", **headers: str) -> httpx2.Response:
        return self.client.get(f"/v1/videos/{video_id}/content", params={"variant": variant}, headers=headers)


@contextmanager
def serving(
    model: Path,
    state: Path,
    *,
    tokens: TokenStore | None = None,
    safety: SafetyConfig | None = None,
    sign: SignConfig | None = None,
    host: str = "127.0.0.1",
    page: bool = False,
    steps: int = 2,
    **config: Any,
) -> Iterator[Videos]:
    """Run a server of a model in threads of this process."""
    asked = Settings(
        serve=ServeConfig(model=str(model), state=str(state), device="cpu", **config),
        sample=SampleConfig(steps=steps),
        safety=safety or SafetyConfig(),
        sign=sign or SignConfig(),
        host=host,
        page=page,
    )
    with open_server(asked, tokens) as opened:
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        server = uvicorn.Server(settings(opened.app, None))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            with httpx2.Client(base_url=f"http://localhost:{port}", timeout=60) as client:
                yield Videos(client, opened.queue, state, port)
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            listener.close()


def clip(frames: int = 9, height: int = 32, width: int = 32) -> np.ndarray:
    """Return frames_THWC of a moving square."""
    frames_THWC = np.full((frames, height, width, 3), 90, np.uint8)
    for t in range(frames):
        frames_THWC[t, 8:16, 2 * t : 2 * t + 8] = (250, 30, 30)
    return frames_THWC


def clip_mp4(frames: int = 9) -> bytes:
    return mp4_bytes(clip(frames), 8)


def still_png() -> bytes:
    return cv2.imencode(".png", clip()[0])[1].tobytes()
