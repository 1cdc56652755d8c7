"""The addresses of the interface."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from kinora.serve.body import read_body
from kinora.serve.errors import ApiError
from kinora.serve.intake import Action, Intake
from kinora.serve.jobs import Job
from kinora.serve.queue import JobQueue
from kinora.serve.worker import SHEET, THUMBNAIL

POLL_AFTER_MS = "500"
"""How often a client is asked to look after its video."""
MAX_PAGE = 100
NOTES = "x-kinora-notes"
"""Header with what a person should know of a request, such as fields that are ignored."""
VIDEO_ID = "x-kinora-video-id"
"""Header with the id of the job, of an answer that is the file itself."""
_SYNC_S = 0.05
_TYPES = {".mp4": "video/mp4", ".png": "image/png", ".jpg": "image/jpeg"}


class VideoRoutes:
    """Answers requests; the work is the queue's and the intake's."""

    def __init__(self, queue: JobQueue, intake: Intake, max_body_bytes: int) -> None:
        self._queue, self._intake, self._max_body = queue, intake, max_body_bytes

    def routes(self) -> list[Route]:
        one = "/v1/videos/{video_id}"
        return [
            Route("/v1/videos", self._creates("create"), methods=["POST"]),
            Route("/v1/videos", self.page, methods=["GET"]),
            Route("/v1/videos/sync", self.sync, methods=["POST"]),
            Route("/v1/videos/edits", self._creates("edit"), methods=["POST"]),
            Route("/v1/videos/extensions", self._creates("extend"), methods=["POST"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/content", self.content, methods=["GET", "HEAD"]),
            Route(f"{one}/remix", self.remix, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Answer with the videos, newest first unless `order=asc`."""
        query = request.query_params
        limit = query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
            raise ApiError(f"limit: must be from 1 to {MAX_PAGE}", param="limit")
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise ApiError("order: must be asc or desc", param="order")
        data, has_more = self._queue.page(
            after=query.get("after"), limit=int(limit), newest_first=order == "desc"
        )
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        answer = {"object": "list", "data": data, "has_more": has_more, "first_id": None, "last_id": None}
        return _json(answer | ends)

    async def show(self, request: Request) -> Response:
        """Answer with a video and, while it is not finished, when to ask again."""
        shown = self._queue.show(request.path_params["video_id"])
        waits = shown["status"] in ("queued", "in_progress")
        return _json(shown, {"openai-poll-after-ms": POLL_AFTER_MS} if waits else {})

    async def delete(self, request: Request) -> Response:
        """Delete a video; one that waits or is made is cancelled."""
        video_id = request.path_params["video_id"]
        await to_thread.run_sync(self._queue.delete, video_id)
        return _json({"id": video_id, "object": "video.deleted", "deleted": True})

    async def content(self, request: Request) -> Response:
        """Answer with the video, whole or by range, or with one of its pictures."""
        job = self._queue.get(request.path_params["video_id"])
        file = self._queue.file(job)
        variant = request.query_params.get("variant", "video")
        names = {"video": file.name, "thumbnail": THUMBNAIL, "spritesheet": SHEET}
        if variant not in names:
            raise ApiError(f"variant: must be one of {', '.join(names)}", param="variant")
        path = file.with_name(names[variant])
        if not path.is_file():
            text = f"{job.id}: its {variant} is gone from the disk of the server"
            raise ApiError(text, param="video_id", code="not_found", status=404)
        name = f"{job.id}{path.suffix}" if variant == "video" else f"{job.id}-{path.name}"
        headers = {"content-disposition": f'inline; filename="{name}"', "cache-control": "private, no-cache"}
        return FileResponse(path, headers=headers, media_type=_TYPES[path.suffix])

    async def remix(self, request: Request) -> Response:
        """Begin an edit of a finished video, after another prompt."""
        video_id = request.path_params["video_id"]
        job = await self._created(request, "edit", {"video": {"id": self._queue.get(video_id).id}})
        return _shown(job, self._queue.show(job.id))

    async def sync(self, request: Request) -> Response:
        """Make a video and answer with its file. The job stays, also where the client goes away."""
        job = await self._created(request, "create", {})
        while not self._queue.get(job.id).is_done:
            if await request.is_disconnected():
                return Response(status_code=499)
            await asyncio.sleep(_SYNC_S)
        job = self._queue.get(job.id)
        if job.status == "failed":
            text = f"{job.id}: {job.error}"
            status = 500 if job.error_code in ("server_error", "storage_failed") else 400
            raise ApiError(text, code=job.error_code or "server_error", status=status)
        file = self._queue.file(job)
        headers = {VIDEO_ID: job.id, **_note_headers(job)}
        return FileResponse(file, headers=headers, media_type=_TYPES[file.suffix])

    def _creates(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def create(request: Request) -> Response:
            job = await self._created(request, action, {})
            return _shown(job, self._queue.show(job.id))

        return create

    async def _created(self, request: Request, action: Action, more: Mapping[str, Any]) -> Job:
        """Store the job of a request, and return it. Nothing stays of one that is refused or breaks off."""
        self._queue.check_room()
        job_id = f"video_{secrets.token_hex(16)}"
        with self._queue.store.new_folder(job_id) as folder:
            async with read_body(request, self._max_body) as values:
                make = partial(self._intake.make, job_id, folder, {**values, **more}, action)
                job = await to_thread.run_sync(make)
            await to_thread.run_sync(self._queue.add, job)
        return job


def _shown(job: Job, shown: dict[str, Any]) -> Response:
    return _json(shown, {"openai-poll-after-ms": POLL_AFTER_MS, **_note_headers(job)})


def _note_headers(job: Job) -> dict[str, str]:
    text = "; ".join(job.notes).encode("ascii", "backslashreplace").decode()
    return {NOTES: text[:2000]} if text else {}


def _json(body: Any, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, headers={"cache-control": "no-store", **(headers or {})})
