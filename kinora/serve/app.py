"""The web application: routes, errors in the form of the interface, and the guard in front of them."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kinora.serve.errors import ApiError, error_answer
from kinora.serve.gate import TokenGate
from kinora.serve.routes import VideoRoutes
from manifests.storage import is_disk_full
from manifests.web.audit import AuditLog
from manifests.web.guard import Guard
from manifests.web.hosts import HostCheck
from manifests.web.limits import BodyTooLarge, Limits
from manifests.web.static_files import StaticFiles
from manifests.web.tokens import TokenStore

COMMAND = {False: "serve", True: "playground"}
"""The command of a server without and with the page."""


def limits_of(max_upload_mb: int) -> Limits:
    """Return what one client may send."""
    return Limits(max_body_bytes=max_upload_mb * 2**20, requests_per_s=200.0, burst=2000)


def make_app(
    videos: VideoRoutes,
    state: Path,
    *,
    limits: Limits,
    address: str,
    allowed_hosts: tuple[str, ...] = (),
    tokens: TokenStore | None = None,
    page: bool = False,
) -> ASGIApp:
    """Return the ASGI application.

    Args:
        state: folder of the audit log.
        address: what the server listens at.
        tokens: the token to ask for; None asks for none, for a server on loopback.
        page: whether the playground is served, too.
    """
    routes = videos.routes()
    if page:
        static = StaticFiles("manifests.web", "kinora.serve")
        read = ["GET", "HEAD"]
        routes += [
            Route("/", static.index, methods=read),
            Route("/static/{name}", static.file, methods=read),
        ]
    handlers: dict[Any, Any] = {
        ApiError: _api_error,
        BodyTooLarge: _too_large,
        ClientDisconnect: _gone,
        HTTPException: _http_error,
        OSError: _storage_failed,
        Exception: _unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(
        app,
        TokenGate(tokens, limits),
        command=COMMAND[page],
        hosts=HostCheck(address, allowed_hosts),
        audit=AuditLog(state),
        limits=limits,
    )


async def _api_error(request: Request, error: ApiError) -> Response:
    return error.answer()


async def _too_large(request: Request, error: BodyTooLarge) -> Response:
    return error_answer(413, str(error), code="request_too_large")


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _http_error(request: Request, error: HTTPException) -> Response:
    known: Mapping[int, tuple[str, str]] = {
        404: (f"{request.url.path[:200]}: there is nothing at this address", "not_found"),
        405: (f"{request.method}: this address does not answer it", "method_not_allowed"),
    }
    message, code = known.get(error.status_code, (str(error.detail), "invalid_value"))
    return error_answer(error.status_code, message, code=code, headers=error.headers)


async def _storage_failed(request: Request, error: OSError) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    full = is_disk_full(error)
    text = "the disk of the server is full" if full else f"the server cannot store it ({error.strerror})"
    return error_answer(507 if full else 503, text, code="storage_failed")


async def _unexpected(request: Request, error: Exception) -> Response:
    text = f"the server failed ({type(error).__name__}); its output says more, and it goes on"
    return error_answer(500, text, code="server_error")
