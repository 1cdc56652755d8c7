"""The child process of `video.sandbox`: run tasks from a socket and send back their results.

Imports nothing but what unpickling a task imports.
"""

import ctypes
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast

HEADER = struct.Struct("<Q")
"""Length of the following message in bytes."""
OUT_OF_MEMORY_STATUS = 86
"""Exit status after a MemoryError."""
_PR_SET_PDEATHSIG = 1

MessageKind = Literal["started", "result", "done", "error"]
"""A task was loaded; one result; no more results; the task raised."""


def main(fd: int, parent: int, data_bytes: int) -> None:
    """Run tasks until the parent closes the socket or exits."""
    _limit_process(parent, data_bytes)
    connection = socket.socket(fileno=fd)
    while (message := _receive(connection)) is not None:
        _serve(connection, message)


def _limit_process(parent: int, data_bytes: int) -> None:
    """Exit together with the parent, and limit private memory."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # preferred by the OOM killer
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(connection: socket.socket, message: bytearray) -> None:
    try:
        task: Callable[[], Any] = pickle.loads(message)
        _send(connection, "started", None)
        result = task()
        results = cast(Iterator[Any], result) if isinstance(result, Iterator) else (result,)
        for result in results:
            _send(connection, "result", result)
    except Exception as error:
        _send(connection, "error", _picklable(error))
    else:
        _send(connection, "done", None)


def _picklable(error: Exception) -> Exception:
    """Return `error`, or a RuntimeError with its message if it cannot be pickled."""
    if any(isinstance(link, MemoryError) for link in _chain(error)):
        os._exit(OUT_OF_MEMORY_STATUS)  # the parent starts another process
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _send(connection: socket.socket, kind: MessageKind, value: Any) -> None:
    message = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
    try:
        connection.sendall(HEADER.pack(len(message)))
        connection.sendall(message)
    except OSError:  # the parent closed the socket
        os._exit(0)


def _receive(connection: socket.socket) -> bytearray | None:
    """Return the next pickled task; None if the parent closed the socket."""
    header = _receive_exactly(connection, HEADER.size)
    return _receive_exactly(connection, HEADER.unpack(header)[0]) if header else None


def _receive_exactly(connection: socket.socket, size: int) -> bytearray | None:
    content = bytearray(size)
    received = 0
    while received < size:
        count = connection.recv_into(memoryview(content)[received:])
        if not count:
            return None
        received += count
    return content
