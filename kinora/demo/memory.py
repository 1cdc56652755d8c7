"""Peak memory of a process tree."""

from threading import Event, Thread

import psutil


class PeakMemory:
    """Context manager that samples the resident memory of this process and its descendants.

    Counts shared pages once (proportional set size) where the system supports it.
    """

    def __init__(self, interval_s: float = 2.0) -> None:
        self.peak_mb = 0.0
        self._interval_s, self._stop = interval_s, Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, tree_mb(psutil.Process()))
            if self._stop.wait(self._interval_s):
                return


def tree_mb(process: psutil.Process) -> float:
    """Return the memory of `process` and its descendants now, in megabytes (10^6 bytes)."""
    return sum(_own_mb(p) for p in [process, *process.children(recursive=True)])


def _own_mb(process: psutil.Process) -> float:
    try:
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.rss) / 1e6
    except psutil.Error:  # the process has ended
        return 0.0
