"""Run a command and measure the processor time of every process that it starts.

`getrusage(RUSAGE_CHILDREN)` does not see all of them: Ray's raylet ignores SIGCHLD, so the time of a worker
that ends before the raylet does is never added to an ancestor. A control group counts all processes, also
those that detached or have ended. Where no group can be made, processes are sampled instead.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

if TYPE_CHECKING:
    import psutil

SAMPLE_S = 0.05
GRACE_S = 20.0
"""How long processes that outlive the command may go on before they are killed."""
_FORK_S = 1.0
"""How long a new process may still show the environment of the process that forked it."""
_MARK = "KINORA_BENCH_RUN"
_JOIN = 'echo 0 > "$0" && exec "$@"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """One finished command."""

    code: int
    stdout: str
    stderr: str
    wall_s: float
    """Until the command itself ended."""
    cpu_s: float
    """User and system time of the command and of all processes below it."""


class CpuMeter(Protocol):
    """Counts the processor time of a process and its descendants."""

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command line that starts `command` under this meter."""
        ...

    def env(self) -> dict[str, str]:
        """Return the variables to set for it."""
        ...

    def pids(self) -> list[int]:
        """Return the processes that are alive."""
        ...

    def cpu_s(self) -> float:
        """Return the seconds of all processes so far, ended ones included."""
        ...

    def close(self) -> None: ...


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], meter: CpuMeter | None = None
) -> Finished:
    """Run a command to its end. Processes that outlive it have `GRACE_S` to end, then they are killed."""
    meter = meter or CgroupMeter.create() or SamplingMeter()
    command, env = meter.command(command), {**env, **meter.env()}
    try:
        # files, not pipes: a process that outlives the command would hold a pipe open
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            begin = time.monotonic()
            done = subprocess.run(command, cwd=cwd, env=env, stdout=out, stderr=err, check=False)
            wall_s = time.monotonic() - begin
            _wait(meter, GRACE_S)
            out.seek(0)
            err.seek(0)
            return Finished(
                code=done.returncode,
                stdout=out.read(),
                stderr=err.read(),
                wall_s=wall_s,
                cpu_s=meter.cpu_s(),
            )
    finally:
        _wait(meter, 0)
        meter.close()


def _wait(meter: CpuMeter, grace_s: float) -> None:
    """Wait until no process is left; after `grace_s` kill those that are."""
    deadline = time.monotonic() + grace_s
    while pids := meter.pids():
        if time.monotonic() > deadline:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        time.sleep(SAMPLE_S)


class CgroupMeter:
    """A control group (version 2) of its own; exact."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def create(cls) -> "CgroupMeter | None":
        """Make a group below this process's own; None where the system does not let us."""
        parent = _own_cgroup()
        if parent is None:
            return None
        meter = cls(parent / f"kinora-bench-{uuid4().hex[:12]}")
        try:
            meter._folder.mkdir()
        except OSError:
            return None
        joined = subprocess.run(meter.command(["true"]), capture_output=True, check=False)
        if joined.returncode == 0 and (meter._folder / "cpu.stat").exists():
            return meter
        meter.close()
        return None

    def command(self, command: Sequence[str]) -> list[str]:
        return ["sh", "-c", _JOIN, str(self._folder / "cgroup.procs"), *command]

    def env(self) -> dict[str, str]:
        return {}

    def pids(self) -> list[int]:
        return [int(line) for line in (self._folder / "cgroup.procs").read_text().split()]

    def cpu_s(self) -> float:
        fields = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def close(self) -> None:
        self._folder.rmdir()


def _own_cgroup() -> Path | None:
    """Return the folder of this process's version 2 control group; None if there is none."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except FileNotFoundError:  # not Linux
        return None
    mount = next((fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"), None)
    path = next((path for number, _, path in groups if number == "0"), None)
    return None if mount is None or path is None else Path(mount) / path.lstrip("/")


class SamplingMeter:
    """Samples all processes that carry a mark in their environment; misses what each does after its last
    sample, and processes shorter than `SAMPLE_S`."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._mark = uuid4().hex
        self._seconds: dict[tuple[int, float], float] = {}
        self._ours: dict[int, psutil.Process] = {}
        self._others: set[int] = set()
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def command(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def env(self) -> dict[str, str]:
        return {_MARK: self._mark}

    def pids(self) -> list[int]:
        self._sample()
        return [pid for pid, process in self._ours.items() if self._is_alive(process)]

    def cpu_s(self) -> float:
        return sum(self._seconds.values())

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _is_alive(self, process: "psutil.Process") -> bool:
        try:
            return process.is_running() and process.status() != self._psutil.STATUS_ZOMBIE
        except self._psutil.NoSuchProcess:
            return False

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            alive = set(self._psutil.pids())
            self._others &= alive
            for pid in alive - self._others:
                try:
                    process = self._ours.get(pid) or self._psutil.Process(pid)
                    if pid not in self._ours and process.environ().get(_MARK) != self._mark:
                        if time.time() - process.create_time() > _FORK_S:
                            self._others.add(pid)
                        continue
                    times = process.cpu_times()
                except self._psutil.Error:  # it ended, or is another user's
                    continue
                self._ours[pid] = process
                self._seconds[pid, process.create_time()] = times.user + times.system
            for pid in self._ours.keys() - alive:
                del self._ours[pid]
