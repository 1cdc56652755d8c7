"""The web application of the review page: routes, errors, and the guard in front of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from manifests.dataset import Dataset, DatasetError
from manifests.digest import digest_parts
from manifests.review.dataset_media import DatasetMedia
from manifests.review.messages import ReviewError
from manifests.review.pictures import PictureError, Pictures
from manifests.review.web.errors import BadRequest, NotFound
from manifests.review.web.media_response import MediaError
from manifests.review.web.media_routes import MediaRoutes
from manifests.review.web.session_gate import SessionGate
from manifests.review.web.session_routes import SessionRoutes
from manifests.review.web.sessions import COOKIE, Sessions
from manifests.storage import is_disk_full
from manifests.web.audit import AuditLog
from manifests.web.guard import Guard
from manifests.web.hosts import HostCheck
from manifests.web.limits import BodyTooLarge, Limits
from manifests.web.static_files import StaticFiles
from manifests.web.tokens import TokenStore


@dataclass(frozen=True, kw_only=True, slots=True)
class PageConfig:
    """How the page is served."""

    address: str = "127.0.0.1"
    """Address that the server listens at."""
    allowed_hosts: tuple[str, ...] = ()
    """Other names under which browsers reach it."""
    reviewer: str = "reviewer"
    """Name of the reviewer of a new session."""
    limits: Limits = field(default_factory=Limits)


def make_app(
    dataset: Dataset,
    state_dir: Path,
    pictures: Pictures,
    config: PageConfig,
    *,
    tokens: TokenStore | None = None,
    api: Sequence[Route] = (),
) -> ASGIApp:
    """Return the ASGI application.

    Args:
        state_dir: folder of the audit log.
        tokens: the token to ask for; None asks for none, for a server on loopback.
        api: the routes of the desk.
    """
    sessions = Sessions(f"{COOKIE}_{digest_parts(dataset.uri)[:8]}")
    opened = SessionRoutes(sessions=sessions, tokens=tokens, reviewer=config.reviewer, dataset=dataset.uri)
    media = MediaRoutes(dataset.storage, DatasetMedia(dataset), pictures)
    static = StaticFiles("manifests.web", "manifests.review")
    read = ["GET", "HEAD"]
    routes = [
        Route("/", static.index, methods=read),
        Route("/static/{name}", static.file, methods=read),
        Route("/api/session", opened.show, methods=read),
        Route("/api/session", opened.change, methods=["POST"]),
        Route("/media/{media_id}", media.media, methods=read),
        Route("/media/{media_id}/poster", media.poster, methods=read),
        Route("/media/{media_id}/frames", media.frames, methods=read),
        Route("/media/{media_id}/source/{side}", media.around, methods=read),
        Route("/media/{media_id}/source/{side}/video", media.around_video, methods=read),
        *api,
    ]
    handlers: dict[Any, Any] = {
        BadRequest: _answer(400),
        ReviewError: _answer(400),
        DatasetError: _answer(503),
        OSError: _storage_failed,
        BodyTooLarge: _answer(413),
        NotFound: _answer(404),
        MediaError: _answer(410),
        PictureError: _answer(422),
        Exception: _unexpected,
        404: _unknown,
        405: _unknown,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(
        app,
        SessionGate(sessions, config.limits),
        command="review",
        hosts=HostCheck(config.address, config.allowed_hosts),
        audit=AuditLog(state_dir),
        limits=config.limits,
    )


def _answer(status: int) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status, {"cache-control": "no-store"})

    return handler


async def _storage_failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 507 if is_disk_full(error) else 503)


async def _unexpected(request: Request, error: Exception) -> Response:
    text = f"the server failed ({type(error).__name__}); its output says more, and `kinora review` keeps on"
    return JSONResponse({"error": text}, 500)


async def _unknown(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is nothing at this address"}, 404)
