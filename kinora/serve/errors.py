"""Errors in the form of the interface: `{"error": {"message", "type", "param", "code"}}`."""

import re
from collections.abc import Mapping
from typing import Self

from starlette.responses import JSONResponse

_FLAG = re.compile(r"--([a-z][a-z-]*)")
_NAME = re.compile(r"([a-z_]+)=")


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str = "invalid_value",
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.param, self.code, self.status, self.headers = param, code, status, dict(headers or {})

    def at(self, param: str) -> Self:
        """Return the error as one of a field."""
        self.param = param
        return self

    def answer(self) -> JSONResponse:
        return error_answer(self.status, str(self), param=self.param, code=self.code, headers=self.headers)


def error_answer(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as clients of the interface expect it."""
    error = {"message": message, "type": _type(status), "param": param, "code": code}
    return JSONResponse({"error": error}, status, {"cache-control": "no-store", **(headers or {})})


def from_value_error(error: ValueError, folder: str = "") -> ApiError:
    """Return an error of `kinora.generation` in the words of the interface: fields instead of flags.

    Args:
        folder: path of the job, which messages leave out.
    """
    text = " ".join(str(error).split()).replace(f"{folder}/", "") if folder else str(error)
    found = _FLAG.search(text) or _NAME.match(text)
    param = found[1].replace("-", "_") if found else None
    return ApiError(_FLAG.sub(lambda flag: flag[1].replace("-", "_"), text), param=param)


def _type(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
