"""Serve one member of a dataset's tars over HTTP, whole or by range, without a copy."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from manifests.review.media import MediaPlace
from manifests.review.web.byte_ranges import ByteRange, UnsatisfiableRange, parse_range
from manifests.storage import Storage

IMMUTABLE = "private, max-age=31536000, immutable"
"""Caching of an address that names the digest of its content."""
REVALIDATE = "private, no-cache"


class MediaError(ValueError):
    """The bytes of a medium cannot be read."""


class RangeStream(StreamingResponse):
    """A streaming response that closes its source when the client is gone, too."""

    def __init__(self, chunks: Generator[bytes, None, None], **kwargs: object) -> None:
        super().__init__(chunks, **kwargs)  # pyright: ignore[reportArgumentType]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._chunks.close)


async def serve_media(request: Request, storage: Storage, place: MediaPlace) -> Response:
    """Answer GET or HEAD for one medium: 200, 206 for one range, 304 by entity tag, or 416.

    Raises MediaError if the tar is gone or ends before the medium.
    """
    tag = f'"{place.version}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": tag,
        "cache-control": IMMUTABLE if request.query_params.get("v") == place.version else REVALIDATE,
    }
    if tag in {each.strip() for each in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    fresh = request.headers.get("if-range", tag) == tag
    try:
        asked = parse_range(request.headers.get("range") if fresh else None, place.length)
    except UnsatisfiableRange as error:
        return Response(status_code=416, headers=headers | {"content-range": str(error)})
    span = asked or ByteRange(start=0, stop=place.length)
    headers["content-length"] = str(span.length)
    if asked:
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{place.length}"
    status = 206 if asked else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=place.content_type)
    chunks = await to_thread.run_sync(_open, storage, place, span)
    return RangeStream(chunks, status_code=status, headers=headers, media_type=place.content_type)


def read_whole(storage: Storage, place: MediaPlace) -> bytes:
    """Return all bytes of a medium. Raises MediaError if the tar is gone or ends before its end."""
    with _named_errors(storage, place):
        content = storage.read_range(place.path, place.offset, place.length)
    if len(content) < place.length:
        raise _ends_early(storage, place)
    return content


@contextmanager
def _named_errors(storage: Storage, place: MediaPlace) -> Generator[None, None, None]:
    """Raise MediaError, with the tar and a remedy, for what goes wrong in reading."""
    where = f"{storage.uri}/{place.path}"
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(
            f"{where}: the tar with this clip is gone; restore it, or run `kinora curate` to cut it again"
        ) from error
    except (OSError, ValueError) as error:
        raise MediaError(f"{where}: {error}") from error


def _ends_early(storage: Storage, place: MediaPlace) -> MediaError:
    where = f"{storage.uri}/{place.path}"
    return MediaError(f"{where}: ends before this clip; restore it, or cut the clips again")


def _open(storage: Storage, place: MediaPlace, span: ByteRange) -> Generator[bytes, None, None]:
    """Return the chunks of a range, of which the first was read already: errors come before the answer."""
    chunks = storage.stream_range(place.path, place.offset + span.start, span.length)
    with _named_errors(storage, place):
        first = next(chunks, b"")
    if not first:
        chunks.close()
        raise _ends_early(storage, place)
    primed = _chained(first, chunks, span.length, f"{storage.uri}/{place.path}")
    next(primed)
    return primed


def _chained(
    first: bytes, rest: Generator[bytes, None, None], length: int, where: str
) -> Generator[bytes, None, None]:
    """Yield the chunks of a range after an empty first item. Raises MediaError if they end early."""
    try:
        yield b""  # started here, so that closing it runs `finally`
        length -= len(first)
        yield first
        for chunk in rest:
            length -= len(chunk)
            yield chunk
        if length:
            raise MediaError(f"{where}: ends {length} bytes before the end of this clip")
    finally:
        rest.close()
