"""The process in which foreign files are opened and decoded: takes tasks from a socket, sends back results.

Started by `video.sandbox` alone. It imports what a task names, and nothing else.
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
from typing import Any, Literal

HEADER = struct.Struct("<Q")
"""Before each message: its length in bytes."""
NO_MEMORY = 86
"""Exit status that says so."""
_PR_SET_PDEATHSIG = 1

Kind = Literal["begun", "result", "done", "error"]
"""What a message of this process is: a task is loaded; one result; there are no more; the task raised."""


def main(fd: int, parent: int, data_bytes: int) -> None:
    """Serve until the parent closes its end, or ends."""
    _bind(parent, data_bytes)
    connection = socket.socket(fileno=fd)
    while (packed := _receive(connection)) is not None:
        _serve(connection, packed)


def _bind(parent: int, data_bytes: int) -> None:
    """Bind this process to its parent's life and to a limit of memory."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # of all processes, the kernel should take this one first
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:  # it ended before it could be bound to
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(connection: socket.socket, packed: bytearray) -> None:
    try:
        task: Callable[[], Any] = pickle.loads(packed)
        _send(connection, "begun", None)
        results = task()
        for result in results if isinstance(results, Iterator) else (results,):
            _send(connection, "result", result)
    except Exception as error:
        _send(connection, "error", _portable(error))
    else:
        _send(connection, "done", None)


def _portable(error: Exception) -> Exception:
    """Return `error`, or what says the same, such that another process can raise it."""
    if any(isinstance(link, MemoryError) for link in _chain(error)):
        os._exit(NO_MEMORY)  # its memory is worth nothing now; the parent starts another process
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _send(connection: socket.socket, kind: Kind, value: Any) -> None:
    message = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
    try:
        connection.sendall(HEADER.pack(len(message)))
        connection.sendall(message)
    except OSError:  # nobody wants it any more
        os._exit(0)


def _receive(connection: socket.socket) -> bytearray | None:
    """Return the next task, packed; None when the parent has closed its end."""
    header = _exactly(connection, HEADER.size)
    return _exactly(connection, HEADER.unpack(header)[0]) if header else None


def _exactly(connection: socket.socket, size: int) -> bytearray | None:
    content = bytearray(size)
    at = 0
    while at < size:
        got = connection.recv_into(memoryview(content)[at:])
        if not got:
            return None
        at += got
    return content
