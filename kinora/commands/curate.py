"""Curate raw videos and images into a dataset: detect shots, measure them, filter, deduplicate, and cut.

Rerunning continues with what is missing. A changed threshold selects again without decoding.
"""

from dataclasses import asdict, dataclass, field

from rich.console import Group
from rich.text import Text

from kinora.cli.render_plan import render_plan
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from pipeline.config import (
    AnalyzeConfig,
    CurateConfig,
    CutConfig,
    DedupConfig,
    ListConfig,
    RayConfig,
    SelectConfig,
)
from pipeline.errors import NothingToDo
from pipeline.jobs.curate import curate
from pipeline.jobs.report import CurateReport
from pipeline.runtime.progress import show_progress
from pipeline.sources.left_out import describe_left_out
from video.config import SandboxConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    source: str
    """A folder (searched recursively), a quoted glob, a file, an s3:// prefix or object, a list
    (.csv, .jsonl, .parquet) with a `uri` column, or WebDataset tars."""
    dataset: str
    """Dataset: a folder or s3://bucket/prefix; created if it does not exist."""
    limit: int = 0
    """Take at most this many of the files, as a trial; 0 for all. The same ones each time; a later run with a
    larger limit, or none, continues."""
    sample: float = 1.0
    """Take this fraction of the files, as a trial, such as 0.001. The same ones each time, as with limit."""
    dry_run: bool = False
    """Print what would run, without reading any file."""
    max_failed: float = 0.01
    """Fraction of files and clips that may fail; the exit code is 10 above it."""
    listing: ListConfig = field(default_factory=ListConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    cut: CutConfig = field(default_factory=CutConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Curate; exit with code 3 if the source has no files."""
    settings = CurateConfig(
        listing=config.listing,
        analyze=config.analyze,
        select=config.select,
        dedup=config.dedup,
        cut=config.cut,
        sandbox=config.sandbox,
        ray=config.ray,
    )
    try:
        with show_progress() as progress:
            report = curate(
                config.source,
                config.dataset,
                settings,
                limit=config.limit,
                sample=config.sample,
                dry_run=config.dry_run,
                progress=progress,
                command=to_command_line("curate", config),
            )
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    too_many = report.failed_share > config.max_failed
    return Result(asdict(report), describe(report, config.dataset), Exit.FAILED if too_many else Exit.DONE)


def describe(report: CurateReport, dataset: str) -> str | Group:
    """Render the report as text."""
    if report.dry_run:
        return _describe_plan(report)
    left_out = [*describe_left_out(report.left_out)]
    if report.nothing_left:
        done = f"nothing to do: all {report.listed} files are in {dataset} with this configuration"
        return "\n".join([done, *left_out])
    lines = [
        f"files   {report.listed} listed, {report.already_done} already done, "
        f"{report.analyzed} analyzed in {report.seconds.get('analyze', 0):.1f} s{_failed(report.failed)}",
        *left_out,
        f"clips   {report.clips} found, {report.gaps} gaps"
        f"{f', {report.unscored} partly scored' if report.unscored else ''}",
        *([f"score   {report.scored} clips of earlier runs"] if report.scored else []),
        f"select  {report.kept} of {report.decided} kept{_counted('; dropped:', report.dropped)}",
        f"cut     {report.cut} of {report.to_cut} in {report.seconds.get('cut', 0):.1f} s"
        f"{_failed(report.cut_failed)}",
    ]
    if report.failed or report.cut_failed or report.unscored:
        lines.append(f"see `kinora failures --dataset {dataset}` for causes and remedies")
    return "\n".join(lines)


def _describe_plan(report: CurateReport) -> Group:
    new = report.listed - report.already_done
    plan = render_plan(report.plan, f"then the clips of {new} files are selected and cut" if new else "")
    return Group(plan, *map(Text, describe_left_out(report.left_out)))


def _failed(codes: object) -> str:
    return _counted("; failed:", codes)


def _counted(label: str, counts: object) -> str:
    pairs = dict(counts)  # type: ignore[call-overload]
    return f"{label} " + ", ".join(f"{n} {name}" for name, n in pairs.items()) if pairs else ""
