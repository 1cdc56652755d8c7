"""Pack captioned clips into WebDataset shards, bucketed by aspect ratio, duration and resolution."""

from dataclasses import asdict, dataclass, field

from rich.console import Group
from rich.table import Table

from kinora.cli.render_plan import render_plan
from kinora.cli.render_reviews import render_reviews, render_short_spans
from kinora.cli.result import Exit, Result
from kinora.cli.subconfig import subconfig
from pipeline.config import LATEST_CAPTIONS, PackConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.pack import pack
from pipeline.jobs.report import PackReport
from pipeline.runtime.progress import show_progress


@dataclass(frozen=True, kw_only=True)
class Config(PackConfig):
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    out: str
    """Output folder or s3://bucket/prefix: new, empty, or an earlier shard set to replace."""
    at: int | str | None = None
    """Commit number to pack the dataset at, or a time such as 2026-11-29T12:00 (UTC). Default: the latest."""
    dry_run: bool = False
    """Print what would be packed, without writing."""
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Pack; exit with code 3 if no clip has a caption and fits a bucket."""
    try:
        with show_progress() as progress:
            settings = subconfig(config, PackConfig)
            report = pack(
                config.dataset,
                config.out,
                settings,
                config.ray,
                at=config.at,
                dry_run=config.dry_run,
                progress=progress,
            )
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    lines = [*_footage(report, config), *_captions(report), *render_reviews(report.reviews, config)]
    lines += render_short_spans(report.trimmed_to_one_frame)
    if report.dry_run:
        return Result(asdict(report), Group(_table(report), *lines, *_tars(report), render_plan(report.plan)))
    if report.nothing_left:
        text = f"nothing to do: {config.out} already holds these {report.samples} samples"
        if report.former_layout:
            text += ", in the form of an earlier version. Pack into a new folder for the one of today"
        return Result(asdict(report), Group(text, *lines))
    shown = Group(_table(report), *lines, *_tars(report), _summary(report, config.out))
    return Result(asdict(report), shown)


def _table(report: PackReport) -> Table:
    table = Table("bucket", "samples", "footage used", box=None, padding=(0, 3, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, count in report.buckets.items():
        used = report.footage_used.get(name)
        table.add_row(name, str(count), "" if used is None else f"{used:.0%}")
    return table


def _captions(report: PackReport) -> list[str]:
    """Return which captions the samples have, with a warning if they mix versions without being asked to."""
    counts = {version: sum(lengths.values()) for version, lengths in report.captions.items()}
    texts = (
        f"{counts[version]} {version} ({', '.join(f'{count} {name}' for name, count in lengths.items())})"
        for version, lengths in report.captions.items()
    )
    lines = [f"captions ({report.policy}): {', '.join(texts)}"]
    if len(counts) > 1 and report.policy == LATEST_CAPTIONS:
        mixed = ", ".join(f"{version} {count}" for version, count in counts.items())
        lines.append(
            f"warning: captions of {len(counts)} versions: {mixed}. To pack one version, choose it with "
            "`--captions VERSION`; to complete one, run `kinora caption` with its configuration"
        )
    redrawn = ", ".join(f"{count} {change}" for change, count in report.redrawn.items())
    lines += [f"drawn again, because the caption drawn is missing: {redrawn}"] if redrawn else []
    why = ", ".join(f"{count} {reason}" for reason, count in report.without_caption_why.items())
    lines += [f"left out: {why}"] if why else []
    return lines


def _footage(report: PackReport, config: PackConfig) -> list[str]:
    """Return what one epoch sees of the footage, and what to do if that is little."""
    used = report.footage_used.get("all")
    if used is None:
        return []
    lines = [
        f"one epoch sees {used:.0%} of the packed footage: a sample is as long as its bucket, and starts at "
        "a random frame"
    ]
    if used < config.min_footage:
        lines.append(
            f"warning: that is less than min_footage={config.min_footage:g}. Pack longer buckets, or cut "
            "shorter windows (`kinora curate --cut.window_s`, about twice the longest bucket)"
        )
    return lines


def _tars(report: PackReport) -> list[str]:
    """Return how many tars of a split set were written, or would be."""
    if report.layout == "joined" or not report.tars_written:
        return []
    kinds = ("media", "captions")
    written = " and ".join(f"{report.tars_written.get(kind, 0)} of {kind}" for kind in kinds)
    kept = " and ".join(f"{report.tars_kept.get(kind, 0)} of {kind}" for kind in kinds)
    return [f"tars: {'would write' if report.dry_run else 'wrote'} {written}; {kept} stay as they are"]


def _summary(report: PackReport, out: str) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in report.left_out.items())
    lines = [f"{report.samples} samples in {report.shards} shards, {report.bytes / 1e6:.1f} MB, in {out}"]
    lines += [f"fit no bucket: {left_out}"] if left_out else []
    lines += [f"could not record this in the dataset's log: {report.unnoted}"] if report.unnoted else []
    return "\n".join(lines)
