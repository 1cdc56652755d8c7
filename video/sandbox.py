"""Run tasks on foreign files in a process that can be killed: a file that hangs, explodes or lies ends as a
`VideoError`, never as the end, or the memory, of the process that asked.

What runs there is the whole task (decode and measure, or decode and encode); only its small results come
back, pickled. So pixels cross no boundary (docs/adr/0008-decode-sandbox.md).
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
from video.sandbox_child import HEADER, NO_MEMORY

T = TypeVar("T")

MIB = 2**20
_LOOK_EVERY_S = 0.05
"""How often time and memory are looked at while the child works."""
_START_S = 120.0
"""Seconds in which a child must start and import what a task needs; not counted against the file."""
_DATA_OVER_RESIDENT = 1.5
"""Private memory that may be asked for, over what may be resident: libraries reserve more than they touch."""
_EXIT_S = 5.0
"""Seconds in which a child that closed its connection must have ended."""
_PROGRAM = """
import sys
numbers, sys.path[:] = map(int, sys.argv[1:4]), sys.argv[4:]
from video.sandbox_child import main
main(*numbers)
"""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class Sandbox:
    """One warm child process, started when first needed, reused from task to task, and replaced when it died.

    A task is a callable without arguments that pickle can name (`functools.partial` of a function at the top
    of a module). For one thread: the child ends with the thread that started it.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self._child: _Child | None = None
        self._end_child: Callable[[], object] = lambda: None

    def call(self, task: Callable[[], T], path: str, *, footage_s: float = 0.0) -> T:
        """Return what `task`, working on the file at `path`, returns. Raises as `stream` does."""
        (result,) = self.stream(task, path, footage_s=footage_s)
        return result

    def stream(self, task: Callable[[], Any], path: str, *, footage_s: float = 0.0) -> Iterator[Any]:
        """Yield what `task` yields (or the one thing that it returns), each as soon as it is there.

        Args:
            path: the foreign file; its size grants time.
            footage_s: seconds of footage to be encoded; grants time.

        Raises:
            VideoError: TIMED_OUT, OUT_OF_MEMORY, CRASHED or TOO_LARGE; the child is replaced.
            Exception: whatever the task raises.
        """
        child = self._warm()
        ended = False
        try:
            child.send(task, path)
            seconds = self._seconds(path, footage_s)
            while True:
                kind, value = child.receive()
                if kind == "begun":
                    child.give(seconds)
                elif kind == "result":
                    yield value
                else:
                    ended = True
                    break
        finally:
            if not ended or child.resident_bytes() > self.config.memory_mb * MIB // 2:
                self.close()  # what it hoards would be held against the next file
        if kind == "error":
            raise value

    def close(self) -> None:
        """Kill the child, if there is one. The next task starts another."""
        self._end_child()
        self._child = None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None where none runs."""
        return self._child.process.pid if self._child else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: object, ___: TracebackType | None) -> None:
        self.close()

    def _warm(self) -> "_Child":
        if self._child is not None and self._child.process.poll() is not None:
            self.close()  # died between two tasks: nobody's fault
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
    """Return the one sandbox of this process: a Ray worker runs many tasks, and its child stays warm."""
    return Sandbox(config)


class _Child:
    """The process, the socket to it, and how long it may still work on the task in hand."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(_LOOK_EVERY_S)
        data_bytes = int(config.memory_mb * MIB * _DATA_OVER_RESIDENT)
        numbers = (theirs.fileno(), os.getpid(), data_bytes)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *map(str, numbers), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=os.environ | _ONE_THREAD,
        )
        theirs.close()

    def send(self, task: Callable[[], Any], path: str) -> None:
        """Hand over a task, and begin to count the time of starting."""
        self.path, self.begun = path, False
        self.give(_START_S)
        message = pickle.dumps(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # then `receive` tells why
            self.socket.sendall(HEADER.pack(len(message)) + message)

    def give(self, seconds: float) -> None:
        """Grant the task `seconds` from now on."""
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def receive(self) -> tuple[str, Any]:
        """Wait for the next message. Raises VideoError when the child dies or passes a limit."""
        (size,) = HEADER.unpack(self._exactly(HEADER.size))
        if size > self.config.output_mb * MIB:
            problem = f"gives a result of {size // MIB} MiB, over --sandbox.output-mb {self.config.output_mb}"
            raise VideoError(VideoErrorCode.TOO_LARGE, self.path, problem)
        kind, value = pickle.loads(self._exactly(size))
        self.begun = self.begun or kind == "begun"
        return kind, value

    def _exactly(self, size: int) -> bytearray:
        content = bytearray(size)
        at = 0
        while at < size:
            self._look()
            try:
                got = self.socket.recv_into(memoryview(content)[at:])
            except TimeoutError:
                continue
            except ConnectionResetError:
                got = 0
            if not got:
                raise self._death()
            at += got
        return content

    def _look(self) -> None:
        """Raise VideoError when time is up or memory is over its limit."""
        if time.monotonic() > self.end:
            if not self.begun:
                raise RuntimeError(
                    f"the decoding process did not start in {_START_S:.0f} s: machine overloaded?"
                )
            problem = f"was still being decoded after {self.seconds:.0f} s, its limit"
            raise VideoError(VideoErrorCode.TIMED_OUT, self.path, problem)
        if self.resident_bytes() > self.config.memory_mb * MIB:
            raise self._over_memory()

    def _death(self) -> Exception:
        """Return why the child ended on its own."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_S)
        status = self.process.returncode
        if status == NO_MEMORY:
            return self._over_memory()
        how = f"exit status {status}"
        if status is not None and status < 0:
            how = signal.Signals(-status).name
        if status == -signal.SIGKILL:
            how += ", as by the kernel when the machine is out of memory"
        return VideoError(VideoErrorCode.CRASHED, self.path, f"ended the process that decoded it ({how})")

    def _over_memory(self) -> VideoError:
        problem = f"needs more than the {self.config.memory_mb} MiB of --sandbox.memory-mb to decode"
        return VideoError(VideoErrorCode.OUT_OF_MEMORY, self.path, problem)

    def resident_bytes(self) -> int:
        """Return the child's resident memory; 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """Kill the child and whatever it started."""
        if self.process.returncode is None:  # else its number may already be another's
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.socket.close()
