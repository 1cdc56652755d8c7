"""Run a kinora command in its own process and measure its time, memory and Ray object store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

_RUN_AND_REPORT_MEMORY = """
import sys
from pathlib import Path
from kinora.cli.main import main
try:
    code = main(sys.argv[2:])
finally:
    Path(sys.argv[1]).write_text(Path("/proc/self/status").read_text())
sys.exit(code)
"""
_SAMPLE_S = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One finished command."""

    seconds: float
    """Elapsed time, Python's start included."""
    cpu_s: float
    """Processor time of the process and the children that it waited for."""
    peak_rss_mb: float
    """Peak resident memory of the process (VmHWM), in 10^6 bytes."""
    store_mb: float
    """Peak use of Ray's object store: shared memory resident in its raylet, in 10^6 bytes."""
    data: Any
    """Its JSON output."""


def kinora(args: Sequence[str], scratch: Path) -> Run:
    """Run `kinora ARGS --json`. Raises RuntimeError with the end of stderr if its exit code is not 0."""
    status = scratch / "status"
    begin = time.monotonic()
    before = os.times()
    with subprocess.Popen(
        [sys.executable, "-c", _RUN_AND_REPORT_MEMORY, str(status), *args, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        store = _StoreMonitor(process.pid)
        out, err = process.communicate()
        store.stop()
    seconds, after = time.monotonic() - begin, os.times()
    if process.returncode:
        raise RuntimeError(f"kinora {' '.join(args)}: exit code {process.returncode}\n{err[-2000:]}")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return Run(
        seconds=seconds,
        cpu_s=after.children_user + after.children_system - before.children_user - before.children_system,
        peak_rss_mb=int(fields["VmHWM"].split()[0]) * 1024 / 1e6,
        store_mb=store.peak_mb,
        data=json.loads(out.splitlines()[-1]),
    )


class _StoreMonitor:
    """Samples the shared memory of the raylet that a process starts."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid, self._stop = pid, Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        raylet: psutil.Process | None = None
        while not self._stop.wait(_SAMPLE_S):
            try:
                if raylet is None:
                    children = psutil.Process(self._pid).children(recursive=True)
                    raylet = next((child for child in children if child.name() == "raylet"), None)
                else:
                    self.peak_mb = max(self.peak_mb, raylet.memory_info().shared / 1e6)
            except psutil.Error:  # it ended
                raylet = None
