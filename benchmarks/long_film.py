"""Time what a reviewer waits for at a film of 20 minutes, served by `kinora review` out of its tar."""

import http.client
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np

from benchmarks.packable_dataset import MadeMedium, make
from video.encode import VideoWriter

MINUTES, QUICK_MINUTES = 20, 1
SHAPE_HW = (720, 1280)
FPS, LOOP_S = 24, 10
"""Frame rate, and seconds that are encoded once and then repeated."""
TURNS = 5
READ_BYTES = 2**20
"""Bytes that a browser asks for before it shows a frame, at most."""
STRIP_FRAMES = 8


def measure_film(root: Path, *, minutes: int = MINUTES) -> dict[str, float]:
    """Return what a film as the only clip of a dataset takes: its beginning, a seek, a strip of frames."""
    content = film(minutes)
    frames = minutes * 60 * FPS
    height, width = SHAPE_HW
    made = MadeMedium(content=content, num_frames=frames, height=height, width=width, fps=float(FPS))
    dataset = make(root / "dataset", clips=1, medium=lambda clip, window: made)
    media_id = dataset.read("media", ["media_id"])["media_id"][0].as_py()
    with _serving(dataset.uri, root / "state") as connection:
        clip = f"/media/{media_id}"
        begin_s = [_seconds(connection, clip, 0) for _ in range(TURNS)]
        seeks_s = [_seconds(connection, clip, len(content) * (2 * turn + 1) // 10) for turn in range(TURNS)]
        indices = ",".join(str(round(index)) for index in np.linspace(0, frames - 1, STRIP_FRAMES))
        strip_s = _seconds(connection, f"{clip}/frames?indices={indices}")
    return {
        "film_minutes": minutes,
        "film_mb": len(content) / 1e6,
        "film_start_s": median(begin_s),
        "film_seek_s": max(seeks_s),
        "film_strip_s": strip_s,
    }


def film(minutes: int) -> bytes:
    """Return an MP4 of a picture that moves: some seconds, encoded once, and repeated without encoding."""
    height, width = SHAPE_HW
    picture_HWC = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    picture_HWC = picture_HWC.repeat(16, axis=0).repeat(16, axis=1)
    loop = io.BytesIO()
    with VideoWriter(loop, height=height, width=width, fps=FPS, gop=2 * FPS) as writer:
        for index in range(FPS * LOOP_S):
            writer.write(np.roll(picture_HWC, 4 * index, axis=1), index)
    return _repeated(loop.getvalue(), minutes * 60 // LOOP_S)


def _repeated(content: bytes, times: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = None
        for turn in range(times):
            with av.open(io.BytesIO(content), "r") as source:
                video = source.streams.video[0]
                stream = stream or target.add_stream_from_template(video)
                by = round(turn * LOOP_S / Fraction(video.time_base or 1))
                for packet in source.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue  # the end of the stream
                    packet.pts, packet.dts, packet.stream = packet.pts + by, packet.dts + by, stream
                    target.mux(packet)
    return out.getvalue()


@contextmanager
def _serving(uri: str, state: Path) -> Iterator[http.client.HTTPConnection]:
    """Serve the review page; yields a connection to it."""
    flags = ["--dataset", uri, "--state", str(state), "--port", "0"]
    command = [sys.executable, "-m", "kinora", "review", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = next(filter(None, (re.search(r"localhost:(\d+)", line) for line in server.stdout)), None)
            if found is None:
                raise RuntimeError("`kinora review` ended without an address")
            connection = http.client.HTTPConnection("localhost", int(found[1]), timeout=120)
            yield connection
            connection.close()
        finally:
            server.terminate()


def _seconds(connection: http.client.HTTPConnection, address: str, offset: int | None = None) -> float:
    """Return the seconds until an address is answered: from `offset` on its first bytes, else the whole."""
    headers = {"cookie": _session(connection)}
    if offset is not None:
        headers["range"] = f"bytes={offset}-"
    begin = time.monotonic()
    connection.request("GET", address, headers=headers)
    answer = connection.getresponse()
    content = answer.read(READ_BYTES if offset is not None else None)
    seconds = time.monotonic() - begin
    connection.close()  # the rest is not wanted
    if answer.status not in (200, 206) or not content:
        raise RuntimeError(f"{address}: answered with {answer.status}: {content[:200]!r}")
    return seconds


def _session(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/api/session")
    answer = connection.getresponse()
    json.loads(answer.read())
    return str(answer.getheader("set-cookie")).partition(";")[0]
