"""An S3 over real HTTP for tests: moto, made atomic. Prints its port, and ends when its stdin does.

moto checks `If-None-Match` and stores the object in two steps, and its server has many threads: of four
writers to one key, two won in 3 of 150 rounds (with Python made to switch threads every microsecond; in 0 of
300 without). So requests take turns here, and an object whose body was cut off is refused, as S3 does.

`s3_faults.answer` tells it, by `POST /_fault/STATUS/BUCKET/KEY`, to fail at an object.
"""

import logging
import os
import sys
from io import BytesIO
from threading import Lock, Thread

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_FAULT = "/_fault/"
_CODES = {403: "AccessDenied", 404: "NoSuchKey"}


def serve() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto, turn = DomainDispatcherApplication(create_backend_app), Lock()
    faults: dict[str, int] = {}

    def in_turn(environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith(_FAULT):
            status, _, key = path.removeprefix(_FAULT).partition("/")
            faults[f"/{key}"] = int(status)
            start_response("200 OK", [])
            return [b""]
        if method in ("GET", "HEAD") and (status := faults.get(path, 200)) != 200:
            if not status:
                os._exit(0)
            start_response(f"{status} {_CODES[status]}", [("Content-Type", "application/xml")])
            body = f"<Error><Code>{_CODES[status]}</Code><Message>no</Message></Error>".encode()
            return [body if method == "GET" else b""]
        wanted = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(
            wanted
        )  # outside of the turn: a slow or dead client holds nobody up
        if len(body) < wanted:
            start_response("400 Bad Request", [])
            return [b""]
        environ["wsgi.input"] = BytesIO(body)
        with turn:
            return list(moto(environ, start_response))

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=MotoRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
