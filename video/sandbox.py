"""Run tasks on untrusted files in a child process with limits on time, memory and output.

A file that hangs, crashes the decoder or exhausts memory raises `VideoError` in the parent. The child runs
the whole task (decode and measure, or decode and encode) and returns only its small pickled results, so
pixels are never copied between processes (docs/adr/0008-decode-sandbox.md).
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from video.config import SandboxConfig
from video.errors import VideoError, VideoErrorCode
from video.sandbox_child import HEADER, OUT_OF_MEMORY_STATUS

T = TypeVar("T")

MIB = 2**20
_POLL_INTERVAL_S = 0.05
"""Interval at which time and memory are checked while the child works."""
_START_S = 120.0
"""Time limit for starting the child and importing the task; not counted against the file."""
_DATA_OVER_RESIDENT = 1.5
"""Limit of private memory over the limit of resident memory: libraries reserve more than they touch."""
_EXIT_S = 5.0
"""Time limit for a child to exit after it closed its connection."""
_PROGRAM = """
import sys
numbers, sys.path[:] = map(int, sys.argv[1:4]), sys.argv[4:]
from video.sandbox_child import main
main(*numbers)
"""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class Sandbox:
    """Run tasks in one child process, which starts on first use, is reused, and is replaced when it dies.

    A task is a picklable callable without arguments, such as `functools.partial` of a module-level function.
    Use from one thread only: the child ends with the thread that started it.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self._child: _Child | None = None
        self._end_child: Callable[[], object] = lambda: None

    def call(self, task: Callable[[], T], path: str, *, footage_s: float = 0.0) -> T:
        """Run `task` on the file at `path` and return its result. Raises as `stream` does."""
        (result,) = self.stream(task, path, footage_s=footage_s)
        return result

    def stream(self, task: Callable[[], Any], path: str, *, footage_s: float = 0.0) -> Iterator[Any]:
        """Run `task` and yield its results (one, unless it returns an iterator) as they arrive.

        Args:
            path: the file that the task reads; the time limit grows with its size.
            footage_s: seconds of footage to encode; the time limit grows with it.

        Raises:
            VideoError: TIMED_OUT, OUT_OF_MEMORY, CRASHED or TOO_LARGE; the child is replaced.
            Exception: any exception of the task.
        """
        child = self._running_child()
        ended = False
        try:
            child.send(task, path)
            seconds = self._seconds(path, footage_s)
            while True:
                kind, value = child.receive()
                if kind == "started":
                    child.grant(seconds)
                elif kind == "result":
                    yield value
                else:
                    ended = True
                    break
        finally:
            if not ended or child.resident_bytes() > self.config.memory_mb * MIB // 2:
                self.close()  # retained memory would count against the next file
        if kind == "error":
            raise value

    def close(self) -> None:
        """Kill the child, if there is one. The next task starts another."""
        self._end_child()
        self._child = None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None if it is not running."""
        return self._child.process.pid if self._child else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: object, ___: TracebackType | None) -> None:
        self.close()

    def _running_child(self) -> "_Child":
        if self._child is not None and self._child.process.poll() is not None:
            self.close()  # died between two tasks
        if self._child is None:
            self._child = _Child(self.config)
            self._end_child = weakref.finalize(self, self._child.kill)  # also when the sandbox is forgotten
        return self._child

    def _seconds(self, path: str, footage_s: float) -> float:
        try:
            size_mb = os.stat(path).st_size / 1e6
        except OSError:
            size_mb = 0.0
        config = self.config
        return config.wall_s + config.wall_s_per_mb * size_mb + config.wall_s_per_footage_s * footage_s


@lru_cache(maxsize=1)
def process_sandbox(config: SandboxConfig) -> Sandbox:
    """Return the sandbox of this process, so that the child outlives the single task of a Ray worker."""
    return Sandbox(config)


class _Child:
    """The child process, its socket, and the deadline of its current task."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.socket, child_socket = socket.socketpair()
        self.socket.settimeout(_POLL_INTERVAL_S)
        data_bytes = int(config.memory_mb * MIB * _DATA_OVER_RESIDENT)
        numbers = (child_socket.fileno(), os.getpid(), data_bytes)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *map(str, numbers), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[child_socket.fileno()],
            start_new_session=True,
            env=os.environ | _ONE_THREAD,
        )
        child_socket.close()

    def send(self, task: Callable[[], Any], path: str) -> None:
        """Send a task and start the clock of its start-up."""
        self.path, self.started = path, False
        self.grant(_START_S)
        message = pickle.dumps(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # `receive` raises the reason
            self.socket.sendall(HEADER.pack(len(message)) + message)

    def grant(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def receive(self) -> tuple[str, Any]:
        """Wait for the next message. Raises VideoError if the child dies or exceeds a limit."""
        (size,) = HEADER.unpack(self._receive_exactly(HEADER.size))
        if size > self.config.output_mb * MIB:
            problem = f"gives a result of {size // MIB} MiB, over --sandbox.output-mb {self.config.output_mb}"
            raise VideoError(VideoErrorCode.TOO_LARGE, self.path, problem)
        kind, value = pickle.loads(self._receive_exactly(size))
        self.started = self.started or kind == "started"
        return kind, value

    def _receive_exactly(self, size: int) -> bytearray:
        content = bytearray(size)
        received = 0
        while received < size:
            self._check_limits()
            try:
                count = self.socket.recv_into(memoryview(content)[received:])
            except TimeoutError:
                continue
            except ConnectionResetError:
                count = 0
            if not count:
                raise self._exit_error()
            received += count
        return content

    def _check_limits(self) -> None:
        """Raise VideoError if the deadline or the memory limit is exceeded."""
        if time.monotonic() > self.end:
            if not self.started:
                raise RuntimeError(
                    f"the decoding process did not start in {_START_S:.0f} s: machine overloaded?"
                )
            problem = f"was still being decoded after {self.seconds:.0f} s, its limit"
            raise VideoError(VideoErrorCode.TIMED_OUT, self.path, problem)
        if self.resident_bytes() > self.config.memory_mb * MIB:
            raise self._memory_error()

    def _exit_error(self) -> Exception:
        """Return the error for a child that exited on its own."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_S)
        status = self.process.returncode
        if status == OUT_OF_MEMORY_STATUS:
            return self._memory_error()
        how = f"exit status {status}"
        if status is not None and status < 0:
            how = signal.Signals(-status).name
        if status == -signal.SIGKILL:
            how += ", as by the kernel when the machine is out of memory"
        return VideoError(VideoErrorCode.CRASHED, self.path, f"ended the process that decoded it ({how})")

    def _memory_error(self) -> VideoError:
        problem = f"needs more than the {self.config.memory_mb} MiB of --sandbox.memory-mb to decode"
        return VideoError(VideoErrorCode.OUT_OF_MEMORY, self.path, problem)

    def resident_bytes(self) -> int:
        """Return the child's resident memory; 0 where /proc is missing."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """Kill the child and its process group."""
        if self.process.returncode is None:  # otherwise the id may have been reused
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.socket.close()
