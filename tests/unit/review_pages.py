"""Serve a review page in this process for tests, and speak plain HTTP with it."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn

from manifests.dataset import Dataset
from manifests.review.app import PageConfig, make_app
from manifests.review.pictures import SourceSpan
from manifests.web.server import listen, settings
from manifests.web.tokens import TokenStore

JPEG = b"\xff\xd8\xff a strip"
MP4 = b"\0\0\0\x18ftyp a video"


class FakePictures:
    """Notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def media_strip(self, content: bytes, indices: Sequence[int]) -> bytes:
        self.asked.append((len(content), tuple(indices)))
        return JPEG

    def source_strip(self, span: SourceSpan, side: str) -> bytes:
        self.asked.append((span.uri, side))
        return JPEG

    def source_video(self, span: SourceSpan, side: str) -> bytes:
        self.asked.append((span.uri, side, "video"))
        return MP4


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Page:
    """A running server and the session of one browser."""

    port: int
    state: Path
    pictures: FakePictures
    cookie: str = ""
    csrf: str = ""
    host: str = ""

    def request(
        self, method: str, path: str, body: bytes | None = None, *, session: bool = True, **headers: str
    ) -> Answer:
        """Send one request exactly as given; header names are written with underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Host": self.host or f"localhost:{self.port}"}
        if session and self.cookie:
            sent["Cookie"] = self.cookie
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None and "content-length" not in sent:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            found = connection.getresponse()
            names = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, names, found.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: Any) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, value: Any, **headers: Any) -> Answer:
        fields: dict[str, Any] = {"content-type": "application/json", "x-csrf-token": self.csrf} | headers
        return self.request("POST", path, json.dumps(value).encode(), **fields)

    def open_session(self) -> Any:
        """Get a session as the page does."""
        answer = self.get("/api/session")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        self.csrf = answer.json["csrf"]
        return answer.json


@contextmanager
def running(
    dataset: Dataset,
    state: Path,
    *,
    config: PageConfig | None = None,
    tokens: TokenStore | None = None,
    app: Any = None,
) -> Iterator[Page]:
    """Run the server of a dataset's page in a thread."""
    pictures = FakePictures()
    app = app or make_app(dataset, state, pictures, config or PageConfig(), tokens=tokens)
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(settings(app))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield Page(listener.getsockname()[1], state, pictures)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()
