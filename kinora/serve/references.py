"""Images and videos of a request: uploads, data URLs and ids of other videos. Nothing is fetched."""

import base64
import binascii
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from starlette.datastructures import UploadFile

from kinora.generation.inputs import MediaReader
from kinora.serve.errors import ApiError, from_value_error
from kinora.serve.jobs import JOB_ID, Job

_URL_FIELDS = ("image_url", "video_url", "url")
_HOW = "send the bytes as a file, a data URL, or the id of a finished video"


class Given(NamedTuple):
    """An image or video in the folder of a job."""

    name: str
    """Name of its file."""
    kind: Literal["image", "video"]
    seconds: float | None
    """Duration as its header says."""
    job: Job | None
    """The job whose video it is."""


class References:
    """Puts what a request refers to into the folder of its job, and looks at the bytes."""

    def __init__(
        self,
        folder: Path,
        reader: MediaReader,
        find: Callable[[str], tuple[Job, Path]],
        *,
        max_seconds: float,
    ) -> None:
        """Make it for one job; `find` returns another job with its video, or raises ApiError."""
        self._folder, self._reader, self._find, self._max_seconds = folder, reader, find, max_seconds
        self._count = 0

    def take(self, field: str, value: Any) -> Given:
        """Return what a field refers to. Raises ApiError for what cannot be read."""
        value = self._unwrapped(field, value)
        path = self._folder / f"input-{self._count}"
        self._count += 1
        job = None
        if isinstance(value, UploadFile):
            with path.open("xb") as file:
                shutil.copyfileobj(value.file, file)
        elif isinstance(value, str) and value.startswith("data:"):
            path.write_bytes(_data(field, value))
        elif isinstance(value, str) and JOB_ID.fullmatch(value):
            job, source = self._find(value)
            _link(source, path)
        else:
            raise ApiError(f"{field}: {_problem(value)}; {_HOW}", param=field)
        return self._looked_at(field, path, job)

    def _unwrapped(self, field: str, value: Any) -> Any:
        """Return the upload or text of a reference, which may be an object, also as JSON."""
        if isinstance(value, list) and len(cast(list[Any], value)) == 1:
            value = value[0]
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                raise ApiError(f"{field}: no JSON object", param=field) from None
        if not isinstance(value, dict):
            return value
        found = cast(dict[str, Any], value)
        if "file_id" in found:
            raise ApiError(f"{field}: file_id: there are no files here; {_HOW}", param=field)
        named = [found[name] for name in ("id", *_URL_FIELDS) if found.get(name) is not None]
        if len(named) != 1:
            raise ApiError(f"{field}: give one of id, {', '.join(_URL_FIELDS)}", param=field)
        inner = named[0]
        return inner["url"] if isinstance(inner, dict) and "url" in inner else inner

    def _looked_at(self, field: str, path: Path, job: Job | None) -> Given:
        try:
            found = self._reader.probe(path, field)
        except ValueError as error:
            raise from_value_error(error, str(self._folder)).at(field) from None
        seconds = found.duration_s
        if seconds is not None and seconds > self._max_seconds:
            text = f"{field}: {seconds:.0f} s are too long: give {self._max_seconds:g} s at most"
            raise ApiError(text, param=field)
        return Given(path.name, found.kind, seconds, job)


def _data(field: str, url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise ApiError(f"{field}: the data URL has no comma before its data", param=field)
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise ApiError(f"{field}: the data URL is no base64", param=field) from None


def _problem(value: Any) -> str:
    if isinstance(value, str) and value.lower().startswith(("http:", "https:", "file:", "ftp:")):
        return "nothing is fetched from an address"
    if isinstance(value, str):
        return f"`{value[:80]}` is neither a data URL nor the id of a video"
    return f"{type(value).__name__} is no image or video"


def _link(source: Path, path: Path) -> None:
    """Give a finished video a second name, or copy it where the file system has none."""
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise ApiError("the video is gone", param="id", code="not_found", status=404) from None
    except OSError:
        shutil.copyfile(source, path)
