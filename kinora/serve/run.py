"""Put a server together: the model, the jobs, the worker, the application."""

import os
import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from starlette.types import ASGIApp

from kinora.generation.checks import Checks
from kinora.generation.provenance import private
from kinora.generation.sign_config import SignConfig
from kinora.generation.weights import check_weights
from kinora.safety.config import SafetyConfig
from kinora.serve.app import limits_of, make_app
from kinora.serve.config import ServeConfig
from kinora.serve.intake import Intake
from kinora.serve.queue import JobQueue
from kinora.serve.routes import VideoRoutes
from kinora.serve.store import JobStore
from kinora.serve.worker import Worker
from manifests.web.hosts import is_loopback
from manifests.web.server import listen, serve, url_of
from manifests.web.tokens import TokenStore
from trainer.config import SampleConfig
from trainer.precision import Dtype
from trainer.sample.model import TextToVideo, load_model


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of a server."""

    serve: ServeConfig
    sample: SampleConfig
    safety: SafetyConfig
    sign: SignConfig
    dtype: Dtype = "auto"
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    page: bool = False
    """Whether the playground is served, too."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready, and makes videos in its thread."""

    app: ASGIApp
    queue: JobQueue


def state_of(config: ServeConfig) -> Path:
    """Return the folder of the jobs."""
    if config.state is not None:
        return Path(config.state)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "kinora" / "serve"


@contextmanager
def open_server(
    settings: Settings,
    tokens: TokenStore | None,
    load: Callable[..., TextToVideo] = load_model,
) -> Generator[Server]:
    """Load the model, take up the jobs and begin to make them; end all that with the block.

    Raises ValueError or OSError for what cannot be served.
    """
    if find_spec("python_multipart") is None:  # Starlette reads uploads with it
        raise OSError("serving needs python-multipart; `pip install 'kinora[serve]'`")
    if find_spec("python_multipart") is None:  # Starlette reads uploads with it
        raise OSError("serving needs python-multipart; `pip install 'kinora[serve]'`")
    config = settings.serve
    weights = check_weights(config.model)
    checks = Checks(settings.safety, settings.sign)
    state = state_of(config)
    store = JobStore(state)
    try:
        model = load(weights, device=config.device, dtype=settings.dtype, offload=config.offload)
        queue = JobQueue(store, max_queue=config.max_queue, keep_s=3600 * config.keep_hours)
        name = private(str(config.model))
        intake = Intake(model, name, queue, checks.policy, config, settings.sample)
        worker = Worker(model, queue, checks)
        worker.start()
        limits = limits_of(config.max_upload_mb)
        app = make_app(
            VideoRoutes(queue, intake, limits.max_body_bytes),
            state,
            limits=limits,
            address=settings.host,
            allowed_hosts=settings.allowed_hosts,
            tokens=tokens,
            page=settings.page,
        )
        try:
            yield Server(app, queue)
        finally:
            worker.close()
            intake.close()
    finally:
        store.close()


def run_server(settings: Settings, port: int, announce: Callable[[str, TokenStore | None], None]) -> str:
    """Serve until SIGINT or SIGTERM, and return the address.

    Args:
        announce: is given the address and, away from loopback, the token when all is ready.
    """
    tokens = None if is_loopback(settings.host) else TokenStore(state_of(settings.serve))
    listener = listen(settings.host, port)
    try:
        with open_server(settings, tokens) as server:
            _allow_many_connections()
            url = url_of(listener, settings.host)
            serve(server.app, listener, lambda: announce(url, tokens), max_connections=None)
    finally:
        listener.close()
    return url


def _allow_many_connections() -> None:
    """Raise the limit of open files as far as it goes: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
