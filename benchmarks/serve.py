"""Measure what serving adds: `kinora bench serve --model DIR`.

A server runs in a process of its own with one thread. The time from request to `completed` is that of the
server's own clock, taken in turns with `sample` and `write_result` of the same video in this process, as
`kinora generate` runs them, both with the model loaded. Then: loads of the model while two clients send jobs;
growth of the server's memory over 100 jobs; and jobs that are missing after kills at random times.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from rich.table import Table

from kinora.bench.figures import Figures
from kinora.evaluation.config import EvaluationConfig
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import prepare
from kinora.generation.request import Request as VideoRequest
from kinora.generation.run import sample_chunks, write_result
from trainer.config import SampleConfig
from trainer.sample.model import TextToVideo, load_model

PROMPT, SIZE, SECONDS = "a red circle moves left over a gray background", (96, 96), 2.0
TURNS, JOBS, KILLS = 9, 100, 5
WARM_JOBS = 10
"""Jobs before memory is first read: caches of libraries fill with them."""
_ADDRESS = re.compile(r"base_url=(\S+)\)")


def bench(*, quick: bool, seed: int, config: EvaluationConfig, out: Path) -> Figures:
    """Measure the four figures with one model."""
    turns, jobs, kills = (2, 4, 1) if quick else (TURNS, JOBS, KILLS)
    with TemporaryDirectory() as folder:
        figures = _times(config.model, Path(folder), turns, seed)
        figures |= _memory(config.model, Path(folder), jobs)
        figures |= _kills(config.model, Path(folder), kills, random.Random(seed))
    return Figures(figures=figures, text=_table(figures))


class _Served:
    """A server in a process."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self._log = process, url, log

    def call(self, path: str = "", body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        with urlopen(Request(f"{self.url}/videos{path}", data, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    def finish(self, video_id: str) -> dict[str, Any]:
        while (video := self.call(f"/{video_id}"))["status"] in ("queued", "in_progress"):
            time.sleep(0.05)
        return video

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def loads(self) -> int:
        """Return how often the file of the weights was opened."""
        return self._log.read_text().count("model.safetensors")


@contextmanager
def _server(model: str, state: Path) -> Generator[_Served]:
    log = state.with_suffix(".opened")
    log.touch()
    program = (
        "import sys\n"
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "sys.addaudithook(lambda event, args: event == 'open' and str(args[0]).endswith('model.safetensors')"
        " and log.write('model.safetensors\\n'))\n"
        "from kinora.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "serve", "--model", model, "--state", str(state), "--port", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            while not (found := _ADDRESS.search(said)):
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"the server ended: {said}")
                said += line
            yield _Served(process, found[1].removesuffix("/v1") + "/v1", log)
        finally:
            process.kill()


def _times(model: str, folder: Path, turns: int, seed: int) -> dict[str, float]:
    loaded = load_model(model, device="cpu")
    size = f"{SIZE[0]}x{SIZE[1]}"
    request = {"prompt": PROMPT, "size": size, "seconds": SECONDS}
    served_s, alone_s = list[float](), list[float]()
    with _server(model, folder / "times") as server:
        for turn in range(turns + 1):  # the first warms both up
            served = server.finish(server.call(body=request | {"seed": seed + turn})["id"])
            alone = _alone(loaded, seed + turn, folder / f"{turn}.mp4")
            if turn:
                served_s.append(_seconds(folder / "times", served["id"]))
                alone_s.append(alone)
        pair = [server.call(body=request | {"seed": each})["id"] for each in range(2)]
        for video_id in pair:
            server.finish(video_id)
        loads = server.loads()
    return {
        "request_over_generate": median(served_s) / median(alone_s),
        "request_s": median(served_s),
        "generate_s": median(alone_s),
        "model_loads": loads,
    }


def _alone(model: TextToVideo, seed: int, out: Path) -> float:
    """Return the seconds of one video as `kinora generate` makes it."""
    started = time.perf_counter()
    request = VideoRequest(prompt=PROMPT, size=SIZE, seconds=SECONDS, seed=seed)
    with MediaReader() as reader:
        prepared = prepare(model, request, SampleConfig(), reader)
    [chunks] = sample_chunks(model, [prepared])
    write_result(model, prepared, chunks, out, "")
    return time.perf_counter() - started


def _seconds(state: Path, video_id: str) -> float:
    job = json.loads((state / "videos" / video_id / "job.json").read_text())
    return job["completed_s"] - job["created_s"]


def _memory(model: str, folder: Path, jobs: int) -> dict[str, float]:
    """Return the growth of memory over jobs of few steps."""
    request = {"prompt": PROMPT, "size": f"{SIZE[0]}x{SIZE[1]}", "seconds": SECONDS, "steps": 2}
    with _server(model, folder / "memory") as server:
        for number in range(WARM_JOBS):
            server.finish(server.call(body=request | {"seed": number})["id"])
        before = server.rss_mb()
        for number in range(jobs):
            server.finish(server.call(body=request | {"seed": number})["id"])
        return {"rss_growth_mb_100_jobs": (server.rss_mb() - before) * 100 / jobs, "rss_mb": server.rss_mb()}


def _kills(model: str, folder: Path, kills: int, rng: random.Random) -> dict[str, float]:
    """Kill servers at random times in the middle of work; count jobs that were answered and are lost."""
    state, sent = folder / "kills", list[str]()
    request = {"prompt": PROMPT, "size": "64x64", "seconds": 1.0, "steps": 2}
    for kill in range(kills):
        with _server(model, state) as server:
            for number in range(6):
                sent.append(server.call(body=request | {"seed": 10 * kill + number})["id"])
            time.sleep(rng.uniform(0, 0.5))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    with _server(model, state) as server:
        done = [server.finish(video_id) for video_id in sent]
    lost = sum(video["status"] != "completed" for video in done)
    return {"jobs_lost_in_kills": lost, "jobs_sent": len(sent), "kills": kills}


def _table(figures: dict[str, float]) -> Table:
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}")
    return table
