"""Serve the application with uvicorn until it is interrupted."""

import errno
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from manifests.web.hosts import is_loopback

_MAX_CONNECTIONS = 256


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError with a remedy if the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OverflowError as error:
        listener.close()
        raise ValueError(f"--port {port}: must be 0 to 65535") from error
    except OSError as error:
        listener.close()
        no_address = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        wrong = "--host" if no_address else "--port"
        raise OSError(
            f"{address}:{port}: cannot listen there ({error.strerror}); choose another {wrong}"
        ) from error
    return listener


def url_of(listener: socket.socket, address: str) -> str:
    """Return the address of the page for a browser on this machine."""
    port = listener.getsockname()[1]
    shown = "localhost" if is_loopback(address) and address != "::1" else address
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(shown, shown)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"


def serve(
    app: ASGIApp,
    listener: socket.socket,
    started: Callable[[], None],
    max_connections: int | None = _MAX_CONNECTIONS,
) -> None:
    """Serve until SIGINT or SIGTERM, which is raised again after the open answers were given."""
    started()
    uvicorn.Server(settings(app, max_connections)).run(sockets=[listener])


def settings(app: ASGIApp, max_connections: int | None = _MAX_CONNECTIONS) -> uvicorn.Config:
    """Return the configuration of the server. Above `max_connections` it answers 503 in plain text."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=3,
    )
