"""Serve a page on this machine to try prompts, images, videos and every verb."""

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
except ImportError as error:
    raise OSError(f"the page needs more packages ({error}); `pip install 'kinora[train,serve]'`") from None


@dataclass(frozen=True, kw_only=True)
class Config(ServeConfig, SampleConfig):
    port: int = 8430
    """Port of this machine to listen at; 0 takes a free one."""
    dtype: Dtype = "auto"
    """Numbers that the networks compute in; `auto` is bfloat16 where the device multiplies it natively."""
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    """Checks of prompts and of frames."""
    sign: SignConfig = field(default_factory=SignConfig)
    """Certificate of C2PA manifests."""


def run(config: Config) -> Result:
    """Serve until Ctrl-C. The jobs are those of `kinora serve` with the same state folder."""
    settings = Settings(
        serve=subconfig(config, ServeConfig),
        sample=subconfig(config, SampleConfig),
        safety=config.safety,
        sign=config.sign,
        dtype=config.dtype,
        page=True,
    )
    url = run_server(settings, config.port, lambda url, tokens: _announce(url, config))
    return Result({"url": url}, "stopped", Exit.DONE)


def _announce(url: str, config: Config) -> None:
    lines = [
        f"playground of {config.model}: {url}",
        f"programs reach the same model at {url}v1/videos",
        "Ctrl-C ends it; videos that wait are made by the next server",
    ]
    print("\n".join(lines), flush=True, file=sys.stdout)
