"""A local server with chat completions that answers by a script: rightly, wrongly, late or not at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server sends to one request."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    close: bool = False
    """Whether the connection is closed in the middle of the body."""


Script = Callable[[int, dict[str, Any]], Answer]
"""Takes the number of a request, from 0, and its body."""


def completion(
    text: Any,
    *,
    finish: str = "stop",
    tokens: tuple[int, int] | None = (100, 10),
    likely: Sequence[tuple[str, Mapping[str, float]]] = (),
) -> Answer:
    """Return a chat completion; `likely` are its tokens, each with those of the likeliest ones."""
    body: dict[str, Any] = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
    if likely:
        content = [
            {
                "token": token,
                "logprob": log(chances[token]),
                "top_logprobs": [{"token": each, "logprob": log(chance)} for each, chance in chances.items()],
            }
            for token, chances in likely
        ]
        body["choices"][0]["logprobs"] = {"content": content}
    if tokens:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return Answer(body=json.dumps(body))


@dataclass
class ChatServer:
    """A running server and what it was asked."""

    script: Script
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], headers: Mapping[str, str]) -> Answer:
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self.arrived_s.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        answer = self.script(number, body)
        time.sleep(answer.delay_s)
        with self._lock:
            self._at_once -= 1
        return answer


@contextmanager
def serve(script: Script) -> Iterator[ChatServer]:
    """Run a server with a script."""
    chat = ChatServer(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = chat.answer(body, dict(self.headers.items()))
            content = answer.body.encode()
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content) + 10 * answer.close))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:  # the client gave up
                pass

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
