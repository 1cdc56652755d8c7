"""Who is let in to the review page: browsers with a session, whose changes carry its CSRF token."""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from manifests.review.web.sessions import Session, Sessions
from manifests.web.guard import SAFE, Refused, check_same_site, client_of, too_many
from manifests.web.limits import Limits, RateLimit

PUBLIC = frozenset({"/", "/api/session"})
"""Answered without a session; so is what lies below `STATIC`."""
STATIC = "/static/"
LOGIN = "/api/session"
CSRF_HEADER = "x-csrf-token"


class SessionGate:
    """Lets in requests of the server's own page, in a session."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self._sessions = sessions
        self._logins = RateLimit(limits.logins_per_min / 60, limits.login_burst)

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Put the session into the scope. Refuse what other sites send, or who has no session or token."""
        session = self._sessions.find(_cookie(headers, self._sessions.cookie))
        scope["state"]["session"] = session
        path, method = scope["path"], scope["method"]
        if method not in SAFE or path == LOGIN:
            check_same_site(headers)
        is_login = path == LOGIN and method not in SAFE and session is None
        if is_login and (wait_s := self._logins.wait_s(client_of(scope))):
            raise too_many("attempts", wait_s)
        if (path in PUBLIC and (method in SAFE or session is None)) or path.startswith(STATIC):
            return
        if session is None:
            raise Refused(401, "no session; reload the page")
        if method not in SAFE and not session.has_csrf(headers.get(CSRF_HEADER, "")):
            raise Refused(403, "the token of this page has expired; reload it")

    def about(self, scope: Scope) -> Mapping[str, str]:
        """Return the reviewer, and the beginning of the session's id."""
        session: Session | None = scope["state"].get("session")
        return {
            "reviewer": session.reviewer if session else "",
            "session": session.id[:12] if session else "",
        }

    def answer(self, refused: Refused) -> Response:
        """Return the error as JSON."""
        return JSONResponse({"error": str(refused)}, refused.status, refused.headers)


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found else None
