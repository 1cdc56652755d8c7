"""Read the body of a request: multipart, URL-encoded or JSON, all to the same nested values."""

import json
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.requests import Request

from kinora.serve.errors import ApiError

MAX_PARTS = 100
"""Most fields, and most files, of one request."""
_MAX_DEPTH = 4
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


@asynccontextmanager
async def read_body(request: Request, max_bytes: int) -> AsyncGenerator[dict[str, Any]]:
    """Yield the fields of a body; files are `UploadFile`, which close at the end.

    Names with brackets are nested as clients of the interface write them: `name[]` is an item of a list,
    `name[key]` a field of an object. Raises ApiError for a body of another kind, or one that cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        yield _json(await request.body())
        return
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise ApiError(
            "content-type: send multipart/form-data or application/json",
            code="unsupported_media_type",
            status=415,
        )
    form = request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS, max_part_size=max_bytes)
    async with form as fields:
        yield nested(fields.multi_items())


def nested(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of parts by name. A name that comes twice is a list. Raises ApiError."""
    found: dict[str, Any] = {}
    for name, value in items:
        base, bracket, _ = name.partition("[")
        keys = _BRACKETS.findall(name[len(base) :]) if bracket else []
        if len(keys) > _MAX_DEPTH or "".join(f"[{key}]" for key in keys) != name[len(base) :]:
            raise ApiError(f"{name[:80]}: no name of a field", param=base[:80])
        _insert(found, base, keys, value)
    return found


def _insert(into: dict[str, Any], name: str, keys: list[str], value: Any) -> None:
    if not keys:
        into[name] = [*_as_list(into[name]), value] if name in into else value
        return
    key, rest = keys[0], keys[1:]
    if key and not key.isdigit():
        _insert(_child(into, name, {}), key, rest, value)
        return
    items: list[Any] = _child(into, name, [])
    if not rest or not rest[0] or rest[0].isdigit():
        items.append(value)  # of lists in lists the parts stand in a row
        return
    if not (items and isinstance(items[-1], dict) and rest[0] not in items[-1]):
        items.append({})
    _insert(cast(dict[str, Any], items[-1]), rest[0], rest[1:], value)


def _child(into: dict[str, Any], name: str, empty: Any) -> Any:
    child = into.setdefault(name, empty)
    if type(child) is not type(empty):
        raise ApiError(f"{name}: is given in two ways", param=name)
    return child


def _as_list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else [value]


def _json(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content or b"{}")
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ApiError(r"the body holds half a character, such as \ud83d alone; send whole ones") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError("the body is no JSON object")
    return cast(dict[str, Any], body)
