"""Who is let in: on loopback everybody but pages of other sites, elsewhere who sends the token."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from kinora.serve.errors import error_answer
from manifests.web.guard import SAFE, Refused, check_same_site, client_of, too_many
from manifests.web.limits import Limits, RateLimit
from manifests.web.tokens import TokenStore

_CODES = {
    401: "invalid_api_key",
    403: "cross_site_request",
    413: "request_too_large",
    414: "uri_too_long",
    421: "unknown_host",
    429: "rate_limit_exceeded",
}


class TokenGate:
    """Asks for a bearer token, unless there is none."""

    def __init__(self, tokens: TokenStore | None, limits: Limits) -> None:
        self._tokens = tokens
        self._wrong = RateLimit(limits.logins_per_min / 60, limits.login_burst)

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Refuse what a page of another site sends, and requests without the token."""
        if scope["method"] not in SAFE:
            check_same_site(headers)
        if self._tokens is None:
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._tokens.matches(token.strip()):
            return
        if wait_s := self._wrong.wait_s(client_of(scope)):
            raise too_many("attempts", wait_s)
        raise Refused(
            401,
            "the token is missing or wrong: send `Authorization: Bearer TOKEN`, with the one that "
            "`kinora serve` printed once (`api_key` of a client)",
            **{"www-authenticate": "Bearer"},
        )

    def about(self, scope: Scope) -> Mapping[str, str]:
        return {}

    def answer(self, refused: Refused) -> Response:
        """Return the error in the form of the interface."""
        code = _CODES.get(refused.status)
        return error_answer(refused.status, str(refused), code=code, headers=refused.headers)
