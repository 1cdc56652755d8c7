"""The middleware in front of everything: host, rate, size, session, CSRF, headers and the audit log."""

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manifests.review.web.audit import AuditLog
from manifests.review.web.headers import RAW
from manifests.review.web.hosts import HostCheck
from manifests.review.web.limits import Limits, RateLimit, limited
from manifests.review.web.sessions import Session, Sessions

SAFE = frozenset({"GET", "HEAD"})
PUBLIC = frozenset({"/", "/api/session"})
"""Answered without a session; so is what lies below `STATIC`."""
STATIC = "/static/"
LOGIN = "/api/session"
CSRF_HEADER = "x-csrf-token"
_RECORDED = {401, 403, 413, 421, 429}
"""Answers to a GET that go into the audit log."""


class Refused(Exception):
    """A request that is answered with an error before it reaches the application."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class Guard:
    """Lets through requests of this server's own page, in a session, within the limits."""

    def __init__(
        self, app: ASGIApp, *, hosts: HostCheck, sessions: Sessions, audit: AuditLog, limits: Limits
    ) -> None:
        self._app, self._hosts, self._sessions = app, hosts, sessions
        self._audit, self._limits = audit, limits
        self._rate = RateLimit(limits.requests_per_s, limits.burst)
        self._logins = RateLimit(limits.logins_per_min / 60, limits.login_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']}: this server speaks HTTP only")
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        session: Session | None = None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["method"] not in SAFE or message["status"] in _RECORDED:
                    self._record(scope, session, message["status"])
                own = {name for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *((k, v) for k, v in RAW if k not in own)]
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_request(scope, headers)
            session = self._sessions.find(_cookie(headers, self._sessions.cookie))
            self._check_session(scope, headers, session)
            scope.setdefault("state", {})["session"] = session
            await self._app(scope, limited(receive, self._limits.max_body_bytes), send_with_headers)
        except Refused as refused:
            answer = JSONResponse({"error": str(refused)}, refused.status, refused.headers)
            await answer(scope, receive, send_with_headers)

    def _check_request(self, scope: Scope, headers: Headers) -> None:
        """Refuse other hosts, too many requests, and too large ones."""
        if not self._hosts(headers.get("host", "")):
            raise Refused(
                421,
                "this server is not called by that name; open the address that `kinora review` printed, or "
                "name it with --allowed-hosts",
            )
        if wait_s := self._rate.wait_s(_client(scope)):
            raise Refused(
                429,
                "too many requests; the page tries again by itself",
                **{"retry-after": str(int(wait_s) + 1)},
            )
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > self._limits.max_url_bytes:
            raise Refused(414, f"the address has more than {self._limits.max_url_bytes} bytes")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limits.max_body_bytes:
            raise Refused(413, f"the request has more than {self._limits.max_body_bytes} bytes")

    def _check_session(self, scope: Scope, headers: Headers, session: Session | None) -> None:
        """Refuse requests of other sites, without a session, or without its CSRF token."""
        path, method = scope["path"], scope["method"]
        if method not in SAFE or path == LOGIN:
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                raise Refused(403, "this request came from another site")
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != headers.get("host"):
                raise Refused(403, "this request came from another site")
        is_login = path == LOGIN and method not in SAFE and session is None
        if is_login and (wait_s := self._logins.wait_s(_client(scope))):
            raise _too_many("attempts", wait_s)
        if (path in PUBLIC and (method in SAFE or session is None)) or path.startswith(STATIC):
            return
        if session is None:
            raise Refused(401, "no session; reload the page")
        if method not in SAFE and not session.has_csrf(headers.get(CSRF_HEADER, "")):
            raise Refused(403, "the token of this page has expired; reload it")

    def _record(self, scope: Scope, session: Session | None, status: int) -> None:
        """Write the request into the audit log, before its answer leaves."""
        self._audit.write(
            method=scope["method"],
            path=scope["path"][:300],
            status=status,
            client=_client(scope),
            reviewer=session.reviewer if session else "",
            session=session.id[:12] if session else "",
        )


def _too_many(what: str, wait_s: float) -> Refused:
    wait = str(int(wait_s) + 1)
    return Refused(429, f"too many {what}; try again in {wait} s", **{"retry-after": wait})


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "local"


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found else None
