"""Read many files in one warm process after another, and outlive any of them."""

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("golden_worker.py")
PATHS = (str(WORKER.parents[2]), str(WORKER.parent))
LIMIT_S = 60.0
"""For one file. Far more than any needs, even on a busy machine: it decides only about what hangs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one file gave."""

    outcome: str
    """OK, a VideoErrorCode, `ESCAPED Type` for any other exception, CRASH or HANG."""
    frames: int = 0
    kind: str | None = None
    size: list[int] | None = None
    """[height, width]"""
    problem: str = ""
    times_s: list[float] = field(default_factory=list)
    patches: list[list[list[int]]] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The part that the table of expected outcomes holds."""
        if self.size is None:
            return self.outcome
        return f"{self.outcome} {self.frames} {self.kind} {self.size[1]}x{self.size[0]}"


def run(paths: Iterable[str | Path]) -> Iterator[Result]:
    """Yield the result of each file, in order."""
    worker = None
    try:
        for path in paths:
            worker = worker or _start()
            result = _ask(worker, str(path))
            if result.outcome in ("CRASH", "HANG"):
                _stop(worker)
                worker = None
            yield result
    finally:
        if worker is not None:
            _stop(worker)


def count(results: Iterable[Result]) -> Counter[str]:
    """Return how many results there are of each outcome."""
    return Counter(result.outcome for result in results)


def _start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(WORKER)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _ask(worker: "subprocess.Popen[str]", path: str) -> Result:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps({"path": path}) + "\n")
    worker.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        if not selector.select(LIMIT_S):
            return Result("HANG", problem=f"no answer in {LIMIT_S:.0f} s")
    line = worker.stdout.readline()
    if not line:
        return Result("CRASH", problem=f"the process ended with {worker.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return Result(**answer)


def _stop(worker: "subprocess.Popen[str]") -> None:
    worker.kill()
    worker.communicate()
