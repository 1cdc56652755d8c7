"""Serve the `/v1/videos` interface, so that programs written for it use your own weights."""

import sys
from dataclasses import dataclass, field

from kinora.cli.result import Exit, Result
from kinora.cli.subconfig import subconfig
from kinora.generation.sign_config import SignConfig
from kinora.safety.config import SafetyConfig
from kinora.serve.config import ServeConfig
from trainer.config import SampleConfig
from trainer.precision import Dtype

try:
    from kinora.serve.run import Settings, run_server
    from manifests.web.tokens import TokenStore
except ImportError as error:
    raise OSError(f"serving needs more packages ({error}); `pip install 'kinora[train,serve]'`") from None


@dataclass(frozen=True, kw_only=True)
class Config(ServeConfig, SampleConfig):
    host: str = "127.0.0.1"
    """Address to listen at. Any other than loopback asks clients for a token."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which clients reach this server, besides localhost and IP addresses."""
    new_token: bool = False
    """Make a new token; the one before is no longer valid."""
    dtype: Dtype = "auto"
    """Numbers that the networks compute in; `auto` is bfloat16 where the device multiplies it natively."""
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    """Checks of prompts and of frames."""
    sign: SignConfig = field(default_factory=SignConfig)
    """Certificate of C2PA manifests."""


def run(config: Config) -> Result:
    """Serve until Ctrl-C. What waits then is made by the next server."""
    settings = Settings(
        serve=subconfig(config, ServeConfig),
        sample=subconfig(config, SampleConfig),
        safety=config.safety,
        sign=config.sign,
        dtype=config.dtype,
        host=config.host,
        allowed_hosts=config.allowed_hosts,
    )
    url = run_server(settings, config.port, lambda url, tokens: _announce(url, config, tokens))
    return Result({"url": url}, "stopped", Exit.DONE)


def _announce(url: str, config: Config, tokens: TokenStore | None) -> None:
    """Print where the interface is and, once, the token that it asks for."""
    lines = [f"{config.model}: {url}v1/videos (base_url={url}v1)"]
    if tokens is not None:
        lines += tokens.announce(config.host, new=config.new_token)
    lines.append("Ctrl-C ends it; videos that wait are made by the next server")
    print("\n".join(lines), flush=True, file=sys.stdout)
