"""Run only what failed again: sources, scorers, cuts and captions, under the configuration of their last run.

A source of whose clips a scorer failed at one is analysed again, all of it; its clips keep what they have.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group

from kinora.cli.result import Exit, Result
from kinora.commands import caption as caption_command
from kinora.commands import curate as curate_command
from manifests import live_view
from manifests.dataset import Dataset
from pipeline.caption.load import asking, load
from pipeline.config import CaptionConfig, RayConfig
from pipeline.jobs.caption import CaptionReport, caption
from pipeline.jobs.curate import retry
from pipeline.planning.last_config import last, last_curation
from pipeline.runtime.progress import Progress, shown
from video.config import SandboxConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    max_failed: float = 0.01
    """Share of what is retried that may fail again, 0 to 1; above it the exit code is 10."""
    quarantined: bool = False
    """Also try files in quarantine again: those that ended the process which decoded them, twice."""
    dry_run: bool = False
    """Only say what would run, about how long, and why."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Retry each stage that has failures."""
    dataset = Dataset.open(config.dataset)
    stages = {row["stage"] for row in live_view.failures(dataset).select(["stage"]).to_pylist()}
    if not stages:
        return Result({"retried": 0}, "nothing failed, so there is nothing to retry")
    data: dict[str, Any] = {}
    texts: list[str | Group] = []
    shares: list[float] = []
    with shown() as progress:
        if stages - {"caption"}:
            settings = last_curation(dataset, config.ray, config.sandbox)
            curated = retry(
                config.dataset,
                settings,
                quarantined=config.quarantined,
                dry_run=config.dry_run,
                progress=progress,
            )
            data["curate"] = asdict(curated)
            texts.append(curate_command.describe(curated, config.dataset))
            shares.append(curated.failed_share)
        if "caption" in stages:
            captioned = _caption(dataset, config, progress)
            data["caption"] = asdict(captioned)
            texts.append(caption_command.describe(captioned, config.dataset))
            shares.append(captioned.failed_share)
    if config.dry_run:
        return Result(data, Group(*texts))
    left = live_view.failures(Dataset.open(config.dataset)).num_rows
    texts.append(f"{left} failures are left" if left else "nothing is left that failed")
    exit_code = Exit.FAILED if max(shares) > config.max_failed else Exit.DONE
    return Result({**data, "failures_left": left}, Group(*texts), exit_code)


def _caption(dataset: Dataset, config: Config, progress: Progress) -> CaptionReport:
    settings = last(dataset, "caption", CaptionConfig)
    return caption(
        config.dataset,
        settings,
        config.ray,
        asking(settings),
        load,
        retry=True,
        dry_run=config.dry_run,
        progress=progress,
    )
