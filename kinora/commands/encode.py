"""Precompute the latents and text embeddings of packed shards."""

import sys
from dataclasses import dataclass, field
from typing import Any

from kinora.cli.result import Exit, Result
from kinora.cli.subconfig import subconfig
from manifests.ranges import UnitFloat
from pipeline.config import PoolConfig, RayConfig
from trainer.config import EncodeConfig
from trainer.data.encode import encode
from trainer.data.encode_pool import open_workers
from trainer.data.encode_tasks import OpenWorkers

_SHOWN_FAILURES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(EncodeConfig):
    max_failed: UnitFloat = 0.01
    """Fraction of clips that may fail; the exit code is 10 above it."""
    on_ray: bool = False
    """Encode in `processes` actors on Ray: on the cluster of RAY_ADDRESS, else on this machine."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Resources of each actor on Ray; `processes` is their number."""
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Encode what has not been encoded yet; exit with code 10 if more clips failed than `max_failed`."""
    figures = encode(subconfig(config, EncodeConfig), progress=_print, workers=_workers(config))
    too_many = len(figures["failed"]) > config.max_failed * figures["clips"]
    return Result(figures, _summary(figures), Exit.FAILED if too_many else Exit.DONE)


def _workers(config: Config) -> OpenWorkers:
    if not config.on_ray:
        return open_workers
    from kinora.training.encode_on_ray import on_ray

    return on_ray(config.pool, config.ray)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _summary(figures: dict[str, Any]) -> str:
    new = figures["encoded"] or figures["texts_encoded"]
    done = (
        f"encoded {figures['encoded']} clips and {figures['texts_encoded']} texts"
        if new
        else "nothing to do: everything is encoded"
    )
    lines = [
        f"{done} ({figures['already_encoded']} clips were encoded before): {figures['folder']}, "
        f"{figures['bytes'] / 1e6:.1f} MB, in {figures['seconds']:.0f} s"
    ]
    if figures["texts_truncated"]:
        lines.append(
            f"{figures['texts_truncated']} texts are longer than the {figures['max_tokens']} tokens that the "
            "text encoder takes: their ends are truncated"
        )
    failed = figures["failed"]
    if failed:
        lines.append(f"{len(failed)} clips could not be encoded, and are left out of training:")
        lines += [f"  {row['key']}: {row['error']}" for row in failed[:_SHOWN_FAILURES]]
        lines += (
            [f"  and {len(failed) - _SHOWN_FAILURES} more; see --json"]
            if len(failed) > _SHOWN_FAILURES
            else []
        )
    return "\n".join(lines)
