"""Check captions against their clips: do they fit better than shuffled ones, and which claims are supported?

Exits with code 4 if the captions seem to be on the wrong clips. With `--truth`, claims about simulated worlds
are checked exactly. Adds the columns agreement, unsupported, unsupported_rate and claims to the captions.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from captioner.protocol import Captioner
from kinora.captions.world_claims import WorldJudge
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.cli.subconfig import subconfig
from manifests.digest import digest_file
from pipeline.caption.load import load_captioner
from pipeline.config import AuditConfig, CaptionConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.audit import AuditReport, audit
from pipeline.jobs.report import CaptionReport
from pipeline.runtime.progress import Progress, show_progress


@dataclass(frozen=True, kw_only=True)
class Config(AuditConfig):
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    version: str | None = None
    """Caption version to check. Default: the one that was asked for last."""
    truth: str | None = None
    """Ground truth (`truth.jsonl`) written by `kinora worlds render`, to check claims exactly."""
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Check; exit with code 3 if there is nothing to check."""
    try:
        with show_progress() as progress:
            report = audit(
                config.dataset,
                subconfig(config, AuditConfig),
                config.ray,
                version=config.version,
                judge=WorldJudge(config.truth) if config.truth else None,
                judge_digest=digest_file(config.truth) if config.truth else "",
                load_captioner=answering_captioner(config),
                progress=progress,
                command=to_command_line("captions audit", config),
            )
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    return Result(to_data(report), describe(report), exit_code(report))


def audit_after(
    dataset_uri: str,
    report: CaptionReport,
    config: AuditConfig | None,
    ray: RayConfig,
    progress: Progress,
    command: str,
) -> AuditReport | None:
    """Check what a run captioned; None if it captioned nothing, or without a configuration."""
    if config is None or not report.ok:
        return None
    return audit(
        dataset_uri,
        config,
        ray,
        version=report.version,
        load_captioner=answering_captioner(config),
        progress=progress,
        command=command,
    )


def answering_captioner(config: AuditConfig) -> Callable[[], Captioner] | None:
    """Return the loader of the model that answers about claims; None if none is configured.

    Raises ValueError for a captioner that cannot answer questions.
    """
    if config.captioner is None:
        return None
    if config.captioner.kind in ("auto", "embedded", "facts"):
        raise ValueError(
            f"captioner.kind is {config.captioner.kind}; a model that answers questions is of kind vlm"
        )
    return partial(load_captioner, CaptionConfig(captioner=config.captioner))


def to_data(report: AuditReport) -> dict[str, Any]:
    """Return the report as plain data."""
    return asdict(report) | {"unsupported_rate": report.unsupported_rate, "problems": report.problems}


def exit_code(report: AuditReport) -> Exit:
    """Return INTEGRITY if captions seem to be on the wrong clips."""
    return Exit.INTEGRITY if report.problems else Exit.DONE


def describe(report: AuditReport) -> Table:
    """Render the report as a table."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    checked = f"{report.checked} checked, {report.already_done} before, version {report.version}"
    table.add_row("captions", Text(checked))
    if report.unread or report.lost:
        table.add_row(
            "unread", Text(f"{report.unread} clips could not be decoded, {report.lost} tasks' captions lost")
        )
    table.add_row("agreement", Text(_agreement(report)))
    if report.seen_in_part:
        seen = (
            f"{report.seen_in_part} captions have a sentence too long for {report.scorer}: its end is unseen"
        )
        table.add_row("seen", Text(seen))
    if report.claims:
        rate = report.unsupported_rate
        share = "" if rate is None else f": {report.unsupported} unsupported ({rate:.1%})"
        by = ", ".join(f"{count} captions {name}" for name, count in report.claims_by.items())
        table.add_row("claims", Text(f"{report.claims_checked} of {report.claims} checked{share}; {by}"))
    for problem in report.problems:
        table.add_row("PROBLEM", Text(problem, "red"))
    if report.problems and report.suspects:
        table.add_row("look at", Text(", ".join(report.suspects)))
    return table


def _agreement(report: AuditReport) -> str:
    found = report.separation
    if found is None or found.agreement is None:
        return "none: no caption names what could be compared"
    shuffled = "" if found.shuffled is None else f", {found.shuffled:.3f} with shuffled clips"
    about = f"({found.captions} captions, by {report.scorer})"
    text = f"{found.agreement:.3f} with their own clips{shuffled} {about}"
    return text if found.is_judged else f"{text}; too few to judge"
