"""Retry failed sources, scorers, questions, cuts and captions with the configuration of their last run.

A failed scorer runs again on its clip alone; nothing is analyzed again.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType

from kinora.captions import refining
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.commands import ask as ask_command
from kinora.commands import caption as caption_command
from kinora.commands import captions_audit
from kinora.commands import curate as curate_command
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.ask.load import ask_spec, load_model
from pipeline.ask.units import SCORER, scorer_of
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.config import CaptionConfig, RayConfig
from pipeline.jobs.ask import AskReport, ask
from pipeline.jobs.audit import AuditReport
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import retry
from pipeline.jobs.report import CaptionReport
from pipeline.planning.asking import asked_before
from pipeline.planning.last_config import last, last_audit, last_curation
from pipeline.runtime.progress import Progress, show_progress
from video.config import SandboxConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    max_failed: float = 0.01
    """Fraction of retried items that may fail again; the exit code is 10 above it."""
    quarantined: bool = False
    """Also retry quarantined files, which crashed their decoding process twice."""
    dry_run: bool = False
    """Print what would run, how long it may take, and why, without running it."""
    audit: bool = True
    """Check new captions against their clips, with the settings of the last check. The exit code is 4 if they
    seem to be on the wrong clips."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Retry each stage that has failures."""
    dataset = Dataset.open(config.dataset)
    stages, imported = _failed_stages(dataset)
    if not stages:
        why = imported or "there are no failures"
        return Result({"retried": 0}, f"nothing to do: {why}")
    data: dict[str, Any] = {}
    texts: list[RenderableType] = [imported] if imported else []
    failed_fractions: list[float] = []
    exit_code = Exit.DONE
    questions = {stage for stage in stages if stage.startswith(f"score {SCORER}")}
    with show_progress() as progress:
        if stages - {"caption"} - questions:
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
            failed_fractions.append(curated.failed_share)
        for asked in _ask(dataset, questions, config, progress):
            data.setdefault("ask", []).append(asdict(asked))
            texts.append(ask_command.describe(asked, config.dataset))
            failed_fractions.append(asked.failed_share)
        if "caption" in stages:
            captioned = _caption(dataset, config, progress)
            data["caption"] = asdict(captioned)
            texts.append(caption_command.describe(captioned, config.dataset))
            failed_fractions.append(captioned.failed_share)
            audited = _audit(dataset, captioned, config, progress)
            if isinstance(audited, str):
                texts.append(audited)
            elif audited is not None:
                data["audit"] = captions_audit.to_data(audited)
                texts.append(captions_audit.describe(audited))
                exit_code = captions_audit.exit_code(audited)
    if config.dry_run:
        return Result(data, Group(*texts))
    left = LiveView(Dataset.open(config.dataset)).failures.num_rows
    texts.append(f"{left} failures remain" if left else "no failures remain")
    if exit_code is Exit.DONE and max(failed_fractions, default=0.0) > config.max_failed:
        exit_code = Exit.FAILED
    return Result({**data, "failures_left": left}, Group(*texts), exit_code)


def _failed_stages(dataset: Dataset) -> tuple[set[str], str]:
    """Return the stages that can run again, and what to do about captions that no stage made."""
    made = ("import", refining.STAGE)
    imports = {commit.config_digest for commit in dataset.commits if commit.stage in made}
    rows = LiveView(dataset).failures.select(["stage", "config"]).to_pylist()
    imported = [row["config"] for row in rows if row["stage"] == "caption" and row["config"] in imports]
    stages = {row["stage"] for row in rows if row["stage"] != "caption" or row["config"] not in imports}
    if not imported:
        return stages, ""
    versions = ", ".join(sorted(set(imported)))
    return stages, (
        f"imported or refined captions that failed: {len(imported)} ({versions}); mend their texts and "
        "import them again with `kinora captions import --version NAME`, or caption these clips with "
        "`kinora caption`"
    )


def _ask(dataset: Dataset, stages: set[str], config: Config, progress: Progress) -> Iterator[AskReport]:
    """Ask the questions of failures again, those of each earlier run with its model."""
    for asked in asked_before(dataset) if stages else ():
        questions = tuple(each for each in asked.questions if f"score {scorer_of(each.name)}" in stages)
        if questions:
            yield ask(
                config.dataset,
                asked.settings,
                config.ray,
                ask_spec(asked.settings, questions),
                load_model,
                mode="all" if config.quarantined else "failed",
                dry_run=config.dry_run,
                progress=progress,
                command=to_command_line("retry", config),
            )


def _caption(dataset: Dataset, config: Config, progress: Progress) -> CaptionReport:
    settings = last(dataset, "caption", CaptionConfig)
    return caption(
        config.dataset,
        settings,
        config.ray,
        caption_spec(settings),
        load_captioner,
        retry=True,
        dry_run=config.dry_run,
        progress=progress,
    )


def _audit(
    dataset: Dataset, report: CaptionReport, config: Config, progress: Progress
) -> AuditReport | str | None:
    """Check the captions of the run; return a line of text where that takes a file that a person has."""
    if not config.audit or config.dry_run:
        return None
    settings, command = last_audit(dataset)
    if "--truth" in command:
        return f"not checked: the captions were last checked against a truth; run `{command}` again"
    return captions_audit.audit_after(
        config.dataset, report, settings, config.ray, progress, to_command_line("retry", config)
    )
