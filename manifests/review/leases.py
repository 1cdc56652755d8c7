"""Leases of media: who works on what, for how long. In memory: they end with the process."""

from collections.abc import Callable
from threading import Lock
from time import monotonic


class Leases:
    """Leases that end after `lease_s` seconds of a monotonic clock, which no change of the time disturbs."""

    def __init__(self, lease_s: float, clock: Callable[[], float] = monotonic) -> None:
        self.lease_s, self._clock = lease_s, clock
        self._lock = Lock()
        self._ends: dict[int, dict[str, float]] = {}

    def take(self, row: int, reviewer: str, *, seats: int) -> float:
        """Hold a media, or renew the lease; return its seconds, 0 if others hold all `seats`."""
        with self._lock:
            held = self._held(row)
            if reviewer not in held and len(held) >= seats:
                return 0.0
            self._ends.setdefault(row, {})[reviewer] = self._clock() + self.lease_s
            return self.lease_s

    def release(self, row: int, reviewer: str) -> None:
        """End the lease of a reviewer."""
        with self._lock:
            self._ends.get(row, {}).pop(reviewer, None)

    def holders(self, row: int) -> list[str]:
        """Return who holds a media."""
        with self._lock:
            return sorted(self._held(row))

    def rows(self) -> dict[int, list[str]]:
        """Return the holders of all media that are held."""
        with self._lock:
            return {row: sorted(held) for row in [*self._ends] if (held := self._held(row))}

    def _held(self, row: int) -> dict[str, float]:
        """Return the leases of a media that have not ended."""
        now = self._clock()
        held = {name: end for name, end in self._ends.get(row, {}).items() if end > now}
        if held:
            self._ends[row] = held
        else:
            self._ends.pop(row, None)
        return held
