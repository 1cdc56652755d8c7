"""Decode the clips of the next batch while the captioner works on this one."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from captioner.captions import ClipFrames

ReadClip = Callable[[Any], ClipFrames]
"""Reads the clip of a unit, which has a `key`."""


class ReadAhead:
    """Reads clips on threads of its own. Decoders release Python's lock, and GPUs need no processor."""

    def __init__(self, read: ReadClip, threads: int) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read-clips")
        self._started: dict[str, Future[ClipFrames]] = {}

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, units: Sequence[Any]) -> None:
        """Begin to read clips that a later call of `take` returns."""
        for unit in units:
            if unit.key not in self._started:
                self._started[unit.key] = self._pool.submit(self._read, unit)

    def take(self, units: Sequence[Any]) -> list[ClipFrames | Exception]:
        """Return each clip, or the error that reading it raised."""
        self.start(units)
        return [_outcome(self._started.pop(unit.key)) for unit in units]


def _outcome(future: Future[ClipFrames]) -> ClipFrames | Exception:
    try:
        return future.result()
    except Exception as error:
        return error
