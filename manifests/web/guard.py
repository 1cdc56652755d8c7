"""The middleware in front of a server: host, rate, size, other sites, headers and the audit log."""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manifests.web.audit import AuditLog
from manifests.web.headers import RAW
from manifests.web.hosts import HostCheck
from manifests.web.limits import Limits, RateLimit, limited

SAFE = frozenset({"GET", "HEAD"})
_RECORDED = {401, 403, 413, 421, 429}
"""Answers to a GET that go into the audit log."""


class Refused(Exception):
    """A request that is answered with an error before it reaches the application."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class Gate(Protocol):
    """What differs between servers: who is let in, and how errors look."""

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Raise Refused for a request that is not let in."""
        ...

    def about(self, scope: Scope) -> Mapping[str, str]:
        """Return what the audit log says of who sent a request."""
        ...

    def answer(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        ...


class Guard:
    """Lets through requests for this server, within the limits, that the gate admits."""

    def __init__(
        self, app: ASGIApp, gate: Gate, *, command: str, hosts: HostCheck, audit: AuditLog, limits: Limits
    ) -> None:
        """Guard `app`; `command` is the one that printed the server's address, for messages."""
        self._app, self._gate, self._command = app, gate, command
        self._hosts, self._audit, self._limits = hosts, audit, limits
        self._rate = RateLimit(limits.requests_per_s, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']}: this server speaks HTTP only")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["method"] not in SAFE or message["status"] in _RECORDED:
                    self._record(scope, message["status"])
                own = {name for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *((k, v) for k, v in RAW if k not in own)]
            await send(message)

        scope.setdefault("state", {})
        try:
            headers = Headers(scope=scope)
            self._check(scope, headers)
            self._gate.admit(scope, headers)
            await self._app(scope, limited(receive, self._limits.max_body_bytes), send_with_headers)
        except Refused as refused:
            await self._gate.answer(refused)(scope, receive, send_with_headers)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse other hosts, too many requests, and too large ones."""
        if not self._hosts(headers.get("host", "")):
            raise Refused(
                421,
                f"this server is not called by that name; open the address that `kinora {self._command}` "
                "printed, or name it with --allowed-hosts",
            )
        if wait_s := self._rate.wait_s(client_of(scope)):
            raise too_many("requests", wait_s)
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > self._limits.max_url_bytes:
            raise Refused(414, f"the address has more than {self._limits.max_url_bytes} bytes")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limits.max_body_bytes:
            raise Refused(413, f"the request has more than {self._limits.max_body_bytes} bytes")

    def _record(self, scope: Scope, status: int) -> None:
        """Write the request into the audit log, before its answer leaves."""
        self._audit.write(
            method=scope["method"],
            path=scope["path"][:300],
            status=status,
            client=client_of(scope),
            **self._gate.about(scope),
        )


def check_same_site(headers: Headers) -> None:
    """Raise Refused for a request that a page of another site sent."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "this request came from another site")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise Refused(403, "this request came from another site")


def too_many(what: str, wait_s: float) -> Refused:
    """Return the answer to a client that has to wait."""
    wait = str(int(wait_s) + 1)
    return Refused(429, f"too many {what}; try again in {wait} s", **{"retry-after": wait})


def client_of(scope: Scope) -> str:
    """Return the address of the client."""
    return scope["client"][0] if scope.get("client") else "local"
