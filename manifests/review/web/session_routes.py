"""Routes of the session: open one, log in with the token, change the reviewer's name."""

import json
import re
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from manifests.review.web.errors import BadRequest
from manifests.review.web.sessions import Session, Sessions, cookie_header
from manifests.web.tokens import TokenStore

REVIEWER = re.compile(r"[^\W_](?:[\w .@'+-]{0,62}[\w.])?")
"""Form of a reviewer's name: letters and digits of any script, and a few signs within."""


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body. Raises BadRequest for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequest("content-type: send application/json")
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from None
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest(r"the body holds half a character, such as \ud83d alone; send whole ones") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is no JSON object")
    return body  # pyright: ignore[reportUnknownVariableType]


def checked_reviewer(name: object) -> str:
    """Return a reviewer's name without outer spaces. Raises BadRequest for one of another form."""
    text = name.strip() if isinstance(name, str) else ""
    if not REVIEWER.fullmatch(text):
        raise BadRequest("reviewer: give 1 to 64 letters, digits, spaces or any of . @ ' + -")
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRoutes:
    """Opens sessions. Without a `TokenStore` everybody who reaches the server gets one."""

    sessions: Sessions
    tokens: TokenStore | None
    reviewer: str
    """Name of the reviewer of a new session."""
    dataset: str

    async def show(self, request: Request) -> Response:
        """Answer with the session; open one where no token is needed."""
        session: Session | None = request.state.session
        if session is not None:
            return JSONResponse(self._about(session))
        if self.tokens is not None:
            return JSONResponse({"needs_token": True})
        return self._opened(self.reviewer)

    async def change(self, request: Request) -> Response:
        """Log in with the token, or change the name of the reviewer."""
        body = await json_body(request)
        session: Session | None = request.state.session
        if session is None and self.tokens is not None:
            token = body.get("token", "")
            matches = isinstance(token, str) and await to_thread.run_sync(self.tokens.matches, token)
            if not matches:
                return JSONResponse({"error": "that is not the token; `kinora review` printed it once"}, 401)
            return self._opened(checked_reviewer(body.get("reviewer", self.reviewer)))
        if session is None:
            return self._opened(checked_reviewer(body.get("reviewer", self.reviewer)))
        session.reviewer = checked_reviewer(body.get("reviewer"))
        return JSONResponse(self._about(session))

    def _opened(self, reviewer: str) -> Response:
        cookie, session = self.sessions.open(reviewer)
        answer = JSONResponse(self._about(session))
        answer.headers["set-cookie"] = cookie_header(self.sessions.cookie, cookie)
        return answer

    def _about(self, session: Session) -> dict[str, Any]:
        return {"reviewer": session.reviewer, "csrf": session.csrf, "dataset": self.dataset}
