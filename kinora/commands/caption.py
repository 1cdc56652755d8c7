"""Caption all kept clips as a new caption version, without cutting or analyzing them again."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group

from kinora.cli.render_plan import render_plan
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.cli.subconfig import subconfig
from kinora.commands.captions_audit import audit_after, exit_code, to_data
from kinora.commands.captions_audit import describe as describe_audit
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.config import AuditConfig, CaptionConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.audit import AuditReport
from pipeline.jobs.caption import caption
from pipeline.jobs.report import CaptionReport
from pipeline.runtime.progress import show_progress


@dataclass(frozen=True, kw_only=True)
class Config(CaptionConfig):
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    dry_run: bool = False
    """Print what would run, without captioning."""
    max_failed: float = 0.01
    """Fraction of clips that may end without a caption; the exit code is 10 above it."""
    ray: RayConfig = field(default_factory=RayConfig)
    audit: AuditConfig | None = field(default_factory=AuditConfig)
    """How the captions are checked against their clips afterwards; `null` for no check. The exit code is 4 if
    they seem to be on the wrong clips."""


def run(config: Config) -> Result:
    """Caption; exit with code 3 if no clip is cut."""
    settings, command = subconfig(config, CaptionConfig), to_command_line("caption", config)
    try:
        with show_progress() as progress:
            report = caption(
                config.dataset,
                settings,
                config.ray,
                caption_spec(settings),
                load_captioner,
                dry_run=config.dry_run,
                progress=progress,
                command=command,
            )
            audited = audit_after(config.dataset, report, config.audit, config.ray, progress, command)
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    return _result(config, report, audited)


def _result(config: Config, report: CaptionReport, audited: AuditReport | None) -> Result:
    data, text = asdict(report), describe(report, config.dataset)
    too_many = report.failed_share > config.max_failed or report.left > 0
    if audited is None:
        return Result(data, text, Exit.FAILED if too_many else Exit.DONE)
    found = Group(text, describe_audit(audited))
    code = exit_code(audited) or (Exit.FAILED if too_many else Exit.DONE)
    return Result(data | {"audit": to_data(audited)}, found, code)


def describe(report: CaptionReport, dataset: str) -> str | Group:
    """Render the report as text."""
    if report.dry_run:
        return render_plan(report.plan, f"caption version {report.version}")
    if report.nothing_left:
        return (
            f"nothing to do: all {report.media} clips were captioned with version {report.version}, "
            "whose captions now count before those of other versions"
        )
    pending = report.media - report.already_done
    lines = [f"captioned {report.ok} of {pending} clips in {report.seconds:.1f} s, version {report.version}"]
    if report.failed:
        codes = ", ".join(f"{count} {code}" for code, count in report.failed.items())
        lines.append(f"failed: {codes}; see `kinora failures --dataset {dataset}`")
    if report.left:
        lines.append(f"stopped: {report.stopped}; {report.left} clips are left, the same command goes on")
    lines += describe_usage(report)
    lines += [f"a captioner could not be loaded, others did its work: {error}" for error in report.unloaded]
    if report.shares_text:
        count, clip = report.shared
        lines.append(
            f"warning: {count} clips have the same text, as clip {clip}: does it say what they show? See "
            f"`kinora explain --dataset {dataset} --clip {clip}`"
        )
    return "\n".join(lines)


def describe_usage(report: Any) -> list[str]:
    """Return the line of a report on what a server used; none for other models."""
    if not (tokens := report.input_tokens + report.output_tokens):
        return []
    cost = f", cost {report.cost:.4f}" if report.cost else ""
    cached = f", {report.cached_tokens} of them from a cache" if report.cached_tokens else ""
    return [f"{tokens} tokens ({report.input_tokens} read{cached}, {report.output_tokens} written){cost}"]
