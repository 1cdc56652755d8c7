"""Sessions of browsers, in memory: a restart of the server ends them, and the page asks for a new one."""

import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from manifests.web.tokens import hash_token

COOKIE = "kinora_review"
"""Name of the cookie, or its beginning: browsers share cookies between the ports of one host."""
MAX_SESSIONS = 1000
MAX_AGE_S = 14 * 24 * 3600.0


@dataclass(kw_only=True, slots=True)
class Session:
    """One browser."""

    id: str
    """Hash of the cookie."""
    csrf: str
    """What every request that changes something must send in a header."""
    reviewer: str
    made_s: float = field(default_factory=time.monotonic)

    def has_csrf(self, sent: str) -> bool:
        """Return whether `sent` is the token of this session, in constant time."""
        return hmac.compare_digest(self.csrf.encode(), sent.encode(errors="replace"))


class Sessions:
    """The open sessions; the oldest ends when there are too many."""

    def __init__(self, cookie: str = COOKIE) -> None:
        """Make none yet; `cookie` names their cookie, unlike that of other servers on this host."""
        self.cookie = cookie
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = Lock()

    def open(self, reviewer: str) -> tuple[str, Session]:
        """Open a session. Returns the value of its cookie, which is not stored, and the session."""
        cookie = secrets.token_urlsafe(32)
        session = Session(id=hash_token(cookie), csrf=secrets.token_urlsafe(32), reviewer=reviewer)
        with self._lock:
            self._sessions[session.id] = session
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie, session

    def find(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie; None if there is none, or it is too old."""
        if not cookie:
            return None
        with self._lock:
            session = self._sessions.get(hash_token(cookie))
            if session and time.monotonic() - session.made_s > MAX_AGE_S:
                del self._sessions[session.id]
                return None
            return session


def cookie_header(name: str, value: str) -> str:
    """Return the `Set-Cookie` header of a session: for this site alone, and not for scripts."""
    return f"{name}={value}; Path=/; Max-Age={int(MAX_AGE_S)}; HttpOnly; SameSite=Strict"
