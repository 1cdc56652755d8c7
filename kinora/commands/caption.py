"""Write a new version of the captions of all kept clips; nothing is cut or analysed again."""

from dataclasses import asdict, dataclass, field

from rich.console import Group

from kinora.cli.render_plan import render_plan
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.cli.subconfig import subconfig
from pipeline.caption.load import asking, load
from pipeline.config import CaptionConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.caption import CaptionReport, caption
from pipeline.runtime.progress import shown


@dataclass(frozen=True, kw_only=True)
class Config(CaptionConfig):
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    dry_run: bool = False
    """Say what would run, and caption nothing."""
    max_failed: float = 0.01
    """Share of clips without a good caption, 0 to 1, above which the exit code is 10."""
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Caption; exit code 3 when no clip is cut."""
    settings = subconfig(config, CaptionConfig)
    try:
        with shown() as progress:
            report = caption(
                config.dataset,
                settings,
                config.ray,
                asking(settings),
                load,
                dry_run=config.dry_run,
                progress=progress,
                command=to_command_line("caption", config),
            )
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    too_many = report.failed_share > config.max_failed
    return Result(asdict(report), describe(report, config.dataset), Exit.FAILED if too_many else Exit.DONE)


def describe(report: CaptionReport, dataset: str) -> str | Group:
    """Return the report as lines for a person."""
    left = report.media - report.already_done
    if report.dry_run:
        return render_plan(report.plan, f"as caption version {report.version}")
    if report.nothing_left:
        return f"nothing to do: all {report.media} clips have a caption of version {report.version}"
    lines = [f"{report.ok} of {left} clips captioned in {report.seconds:.1f} s as version {report.version}"]
    if report.failed:
        codes = ", ".join(f"{count} {code}" for code, count in report.failed.items())
        lines.append(f"without a good caption: {codes}. `kinora failures --dataset {dataset}` tells why")
    return "\n".join(lines)
