"""Routes of pixels: the clip by range, its poster, the frames that a model saw, and its source around it."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from manifests.review.media import MediaPlace, is_id
from manifests.review.pictures import Pictures, Side, SourceSpan
from manifests.review.web.byte_ranges import UnsatisfiableRange, parse_range
from manifests.review.web.errors import BadRequest, NotFound
from manifests.review.web.media_response import IMMUTABLE, MediaError, read_whole, serve_media
from manifests.storage import Storage

MAX_FRAMES = 32
"""Most frames of one strip."""
MAX_STRIP_MEDIA_BYTES = 256 * 2**20
_CACHE_BYTES = 64 * 2**20


class MediaSource(Protocol):
    """Where media lie, and what is known of them."""

    def place(self, media_id: str) -> MediaPlace | None:
        """Return the place of a medium, None if the dataset has none of that id."""
        ...

    def poster(self, media_id: str) -> bytes | None:
        """Return the JPEG thumbnail of a medium's clip, None if there is none."""
        ...

    def source_span(self, media_id: str) -> SourceSpan | None:
        """Return the span of the source that a medium shows."""
        ...


class MediaRoutes:
    """Serves pixels of a dataset, by media id."""

    def __init__(self, storage: Storage, source: MediaSource, pictures: Pictures) -> None:
        self._storage, self._source, self._pictures = storage, source, pictures
        self._cache = ByteCache(_CACHE_BYTES)

    async def media(self, request: Request) -> Response:
        """Answer with the clip, or a range of it."""
        return await serve_media(request, self._storage, await self._place(request))

    async def poster(self, request: Request) -> Response:
        """Answer with the thumbnail of the clip."""
        place = await self._place(request)
        poster = await to_thread.run_sync(self._source.poster, place.media_id)
        if poster is None:
            raise NotFound(f"{place.media_id}: the dataset has no thumbnail of this clip")
        return _jpeg(poster)

    async def frames(self, request: Request) -> Response:
        """Answer with a strip of the frames that `indices` names."""
        place = await self._place(request)
        indices = _indices(request.query_params.get("indices", ""))
        key = f"{place.media_id} {place.version} {indices}"

        def decode() -> bytes:
            if place.length > MAX_STRIP_MEDIA_BYTES:
                raise MediaError(f"{place.media_id}: has {place.length} bytes, too many for stills")
            return self._pictures.media_strip(read_whole(self._storage, place), indices)

        return _jpeg(await to_thread.run_sync(self._cache.get, key, decode))

    async def around(self, request: Request) -> Response:
        """Answer with a strip of the source before or after the clip."""
        return _jpeg(await self._around(request, self._pictures.source_strip, "strip"))

    async def around_video(self, request: Request) -> Response:
        """Answer with a short video of the source before or after the clip, or a range of it."""
        data = await self._around(request, self._pictures.source_video, "video")
        headers = {"accept-ranges": "bytes", "cache-control": IMMUTABLE}
        try:
            asked = parse_range(request.headers.get("range"), len(data))
        except UnsatisfiableRange as error:
            return Response(status_code=416, headers=headers | {"content-range": str(error)})
        if asked is None:
            return Response(data, media_type="video/mp4", headers=headers)
        headers["content-range"] = f"bytes {asked.start}-{asked.stop - 1}/{len(data)}"
        return Response(data[asked.start : asked.stop], 206, headers, "video/mp4")

    async def _around(self, request: Request, make: Callable[[SourceSpan, Side], bytes], kind: str) -> bytes:
        place = await self._place(request)
        side = request.path_params["side"]
        if side not in ("before", "after"):
            raise NotFound("a source has a side before and one after the clip")
        span = await to_thread.run_sync(self._source.source_span, place.media_id)
        if span is None:
            raise NotFound(f"{place.media_id}: the dataset does not say where its source lies")
        key = f"{place.media_id} {span.source_key} {side} {kind}"
        return await to_thread.run_sync(self._cache.get, key, lambda: make(span, side))

    async def _place(self, request: Request) -> MediaPlace:
        media_id = request.path_params["media_id"]
        if not is_id(media_id):
            raise BadRequest("that is no media id")
        place = await to_thread.run_sync(self._source.place, media_id)
        if place is None:
            raise NotFound(f"{media_id}: the dataset has no such media; it may have been cut again")
        return place


class ByteCache:
    """The last results, up to a number of bytes in all."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._items: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the bytes of `key`, made now if they are not held."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        made = make()
        with self._lock:
            if key not in self._items:
                self._items[key] = made
                self._bytes += len(made)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._items.popitem(last=False)[1])
        return made


def _indices(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and len(word) < 8 for word in words) or len(words) > MAX_FRAMES:
        raise BadRequest(f"indices: give 1 to {MAX_FRAMES} frame numbers, separated by commas")
    return tuple(int(word) for word in words)


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": IMMUTABLE})
