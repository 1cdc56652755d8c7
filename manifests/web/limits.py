"""Limits on requests: bytes of a body, and requests a second of a client."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from starlette.types import Message, Receive


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one client may send."""

    max_body_bytes: int = 256 * 1024
    max_url_bytes: int = 8 * 1024
    requests_per_s: float = 60.0
    """Sustained requests of one client a second."""
    burst: int = 300
    """Requests of one client at once."""
    logins_per_min: float = 6.0
    login_burst: int = 6


class BodyTooLarge(Exception):
    """A request has more bytes than it may: 413."""


class RateLimit:
    """A token bucket for each client."""

    _MAX_CLIENTS = 10_000

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait_s(self, client: str) -> float:
        """Count a request of `client`; return 0, or the seconds until the next one is answered."""
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(client, (float(self._burst), now))
            left = min(self._burst, left + (now - then) * self._per_s)
            wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
            self._left[client] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > self._MAX_CLIENTS:
                self._left.popitem(last=False)
            return wait_s


def limited(receive: Receive, max_bytes: int) -> Receive:
    """Return `receive` that raises BodyTooLarge after `max_bytes` of body."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise BodyTooLarge(f"the request has more than {max_bytes} bytes; send less at once")
        return message

    return counted
