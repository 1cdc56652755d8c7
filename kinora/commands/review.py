"""Serve the review page of a dataset, for reviewers with a browser."""

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

from kinora.cli.result import Exit, Result
from kinora.cli.state import state_dir
from kinora.review.pictures import SandboxPictures
from kinora.review.rules import LastRules
from manifests.dataset import Dataset
from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk

try:
    from manifests.review.app import PageConfig, make_app
    from manifests.review.web.desk_routes import desk_routes
    from manifests.review.web.quality_routes import QualityRoutes
    from manifests.review.web.session_routes import REVIEWER
    from manifests.web.hosts import is_loopback
    from manifests.web.server import listen, serve, url_of
    from manifests.web.tokens import TokenStore
except ImportError as error:
    raise OSError(
        f"the review page needs Starlette and uvicorn ({error}); `pip install 'kinora[review]'`"
    ) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    host: str = "127.0.0.1"
    """Address to listen at. Any other than loopback asks reviewers for a token."""
    port: int = 8420
    """Port to listen at; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers reach this server, besides localhost and IP addresses."""
    new_token: bool = False
    """Make a new token; the one before is no longer valid."""
    reviewer: str | None = None
    """Name of the reviewer until they choose another. Default: the user of this machine."""
    reviews_per_clip: int = 1
    """Reviewers that decide on each clip. Two or more do not see each other's decisions until all are in."""
    lease_s: float = 600.0
    """Seconds for which a clip is held for the reviewer who opened it."""
    near_margin: float = 0.1
    """A clip is near a filter's limit if its value is within this fraction of it."""
    seed: int = 0
    """Seed of the order of the queues."""
    state: str | None = None
    """Folder for the index and the audit log. Default: one for each dataset below ~/.local/state/kinora."""


def run(config: Config) -> Result:
    """Serve until Ctrl-C. Decisions are committed to the dataset meanwhile and at the end."""
    dataset = Dataset.open(config.dataset)
    state = Path(config.state) if config.state else state_dir("review", dataset.uri)
    desk_config = ReviewConfig(
        reviews_per_clip=config.reviews_per_clip,
        lease_s=config.lease_s,
        near_margin=config.near_margin,
        seed=config.seed,
    )
    reviewer = config.reviewer or _user()
    if not REVIEWER.fullmatch(reviewer):
        raise ValueError(f"--reviewer {reviewer}: give 1 to 64 letters, digits, spaces or any of . @ ' + -")
    page = PageConfig(address=config.host, allowed_hosts=config.allowed_hosts, reviewer=reviewer)
    tokens = None if is_loopback(config.host) else TokenStore(state)
    listener = listen(config.host, config.port)
    pictures = SandboxPictures()
    try:
        rules = LastRules(dataset)
        with ReviewDesk(config.dataset, state, config=desk_config, rules=rules) as desk:
            quality = QualityRoutes(dataset, desk, rules, desk_config)
            api = [*desk_routes(desk), *quality.routes()]
            app = make_app(dataset, state, pictures, page, tokens=tokens, api=api)
            url = url_of(listener, config.host)
            serve(app, listener, lambda: _announce(url, config, tokens))
    finally:
        listener.close()
        pictures.close()
    return Result({"url": url, "dataset": dataset.uri}, "stopped", Exit.DONE)


def _announce(url: str, config: Config, tokens: TokenStore | None) -> None:
    """Print where the page is and, once, the token that it asks for."""
    lines = [f"review of {config.dataset}: {url}"]
    if tokens is not None:
        lines += tokens.announce(config.host, new=config.new_token)
    lines.append("Ctrl-C ends it; every decision is saved when the page says so")
    print("\n".join(lines), flush=True, file=sys.stdout)


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = ""
    return name if REVIEWER.fullmatch(name) else "reviewer"
