"""Ask a server with OpenAI's chat completions, again where that may help.

A try that times out, loses its connection or is answered with 408, 409, 425, 429, 5xx or something that is no
chat completion is made again after a wait: the server's Retry-After, or exponential back-off with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). While a server asks to wait, no
other request is sent either. Other statuses are final.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import Random
from typing import Any, cast

import httpx2

from captioner.config import EndpointConfig
from captioner.protocol import ReplyToken
from manifests.records import Outcome

_AGAIN = {408, 409, 425, 429}
_FOR_ALL = {401, 402, 403, 404, 405}
"""Statuses that every other request would get too: a wrong key, model or address."""
_BACKOFF_S = 0.5
_MAX_BODY_BYTES = 8 * 2**20
_QUOTED = 200
"""Characters of an answer that an error quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A chat completion."""

    text: str
    ended: bool
    """False if it stopped at the token limit."""
    refused: bool
    """Whether the server's filter, or the model by a field of its own, refused."""
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    fingerprint: str
    tokens: tuple[ReplyToken, ...] = ()
    """Those of the text, where the server gives probabilities."""


class RequestFailed(Exception):
    """A request that got no chat completion."""

    def __init__(self, message: str, *, outcome: Outcome = Outcome.ERROR, for_all: bool = False) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.for_all = for_all
        """Whether any other request would fail as well."""


class _Again(Exception):
    """A try after which another may help."""

    def __init__(
        self, message: str, *, wait_s: float | None = None, outcome: Outcome = Outcome.ERROR
    ) -> None:
        super().__init__(message)
        self.wait_s, self.outcome = wait_s, outcome


class ChatClient:
    """An async client of one server; use it as a context manager."""

    def __init__(self, config: EndpointConfig, api_key: str = "") -> None:
        self._config, self._resume_s = config, 0.0
        self._url = f"{config.url.rstrip('/')}/chat/completions"
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx2.Limits(max_connections=config.concurrency)
        self._http = httpx2.AsyncClient(headers=headers, timeout=config.timeout_s, limits=limits)

    async def __aenter__(self) -> "ChatClient":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def ask(self, body: Mapping[str, Any], seed: str) -> Reply:
        """Return the server's reply, after as many tries as the configuration allows.

        Args:
            seed: of the jitter of the waits.

        Raises RequestFailed.
        """
        jitter = Random(seed)
        for attempt in range(1, self._config.tries + 1):
            await self._wait_for_turn()
            try:
                async with asyncio.timeout(self._config.timeout_s):
                    return await self._try(body)
            except (TimeoutError, httpx2.TimeoutException):
                again = _Again(f"no answer within {self._config.timeout_s:g} s", outcome=Outcome.TIMEOUT)
            except httpx2.TransportError as error:
                again = _Again(f"{type(error).__name__}: {error}".rstrip(": "))
            except _Again as caught:
                again = caught
            if attempt == self._config.tries:
                tries = f"{attempt} tries" if attempt > 1 else "one try"
                raise RequestFailed(f"{self._url}: {again} (after {tries})", outcome=again.outcome)
            if again.wait_s is not None:
                wait_s = min(again.wait_s, self._config.max_wait_s)
                self._resume_s = max(self._resume_s, time.monotonic() + wait_s)
            else:
                await asyncio.sleep(jitter.uniform(0, min(self._config.max_wait_s, _BACKOFF_S * 2**attempt)))
        raise AssertionError("the last try returns or raises")

    async def _wait_for_turn(self) -> None:
        while (wait_s := self._resume_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)

    async def _try(self, body: Mapping[str, Any]) -> Reply:
        async with self._http.stream("POST", self._url, json=body) as response:
            content = await _read(response)
        status = response.status_code
        if status in _AGAIN or status >= 500:
            wait_s = _retry_after_s(response.headers.get("retry-after"))
            raise _Again(_status_message(status, content), wait_s=wait_s)
        if status != HTTPStatus.OK:
            raise RequestFailed(
                f"{self._url}: {_status_message(status, content)}", for_all=status in _FOR_ALL
            )
        return _reply(content)


async def _read(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > _MAX_BODY_BYTES:
            raise _Again(f"an answer of more than {_MAX_BODY_BYTES // 2**20} MiB")
    return bytes(content)


def _reply(content: bytes) -> Reply:
    """Parse a chat completion. Raises _Again for anything else."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        text, finish = _text(message.get("content")), choice.get("finish_reason")
        usage: Mapping[str, Any] = body.get("usage") or {}
        details: Mapping[str, Any] = usage.get("prompt_tokens_details") or {}
        return Reply(
            text=text,
            ended=finish != "length",
            refused=finish == "content_filter" or bool(message.get("refusal")),
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(details.get("cached_tokens")),
            fingerprint=str(body.get("system_fingerprint") or ""),
            tokens=_tokens(choice),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _Again(f"not a chat completion: {_quote(content)}") from error


def _tokens(choice: Mapping[str, Any]) -> tuple[ReplyToken, ...]:
    """Return the tokens of a choice with their alternatives; none from a server that gives none."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(
        ReplyToken(
            text=str(each["token"]),
            alternatives={str(one["token"]): float(one["logprob"]) for one in each.get("top_logprobs") or ()},
        )
        for each in content
    )


def _text(content: Any) -> str:
    """Return the text of a message: a string, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = cast(list[Mapping[str, Any]], content)
    return "".join(str(part.get("text", "")) for part in parts)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _status_message(status: int, content: bytes) -> str:
    known = status in HTTPStatus._value2member_map_
    name = f" {HTTPStatus(status).phrase}" if known else ""
    return f"HTTP {status}{name}: {_quote(content)}"


def _quote(content: bytes) -> str:
    """Return the message of an error body, or its first characters."""
    text = content.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
        found = body.get("error", body)
        text = str(found.get("message", found) if isinstance(found, dict) else found)
    except (ValueError, AttributeError, RecursionError):
        pass
    text = " ".join(text.split())
    return f"{text[:_QUOTED]}..." if len(text) > _QUOTED else text or "an empty answer"


def _retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
