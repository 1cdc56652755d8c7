"""Import captions that people already have: JSONL, CSV, Parquet, or text beside the source files.

Rows are matched by media id, clip id, sample key, or source and span; what matches nothing is listed. With
`--format label-studio`, annotations are recorded as reviews.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.cli.subconfig import subconfig
from kinora.exchange.config import ImportConfig
from kinora.exchange.import_captions import ImportReport, import_captions
from kinora.exchange.label_studio_reviews import import_annotations
from manifests.ranges import UnitFloat

POSITIONAL = "path"
_LISTED = 5
"""Problems and unmatched rows printed; `--json` and `--unmatched` list more."""


@dataclass(frozen=True, kw_only=True)
class Config(ImportConfig):
    path: str
    """A .jsonl, .csv, .tsv, .parquet, .txt or .caption file, or a folder of them."""
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    format: Literal["captions", "label-studio"] = "captions"
    """`label-studio`: the file is what Label Studio exports as JSON, of tasks that `kinora captions export`
    wrote. Its annotations become reviews, and the fields above do not matter."""
    unmatched: str = ""
    """JSON lines file to write all rows to that match nothing, with the reason."""
    dry_run: bool = False
    """Match and judge everything, but add nothing."""
    max_failed: UnitFloat = 0.01
    """Fraction of rows that may be broken, contradict each other or hold no caption; the exit code is 10
    above it."""


def run(config: Config) -> Result:
    """Import; exit with code 3 if no row matches."""
    if config.format == "label-studio":
        return _annotations(config)
    report = import_captions(
        config.dataset,
        config.path,
        subconfig(config, ImportConfig),
        unmatched_file=config.unmatched,
        dry_run=config.dry_run,
        command=to_command_line("captions import", config),
    )
    exit_code = Exit.DONE if report.matched else Exit.NOTHING
    if report.failed_share > config.max_failed:
        exit_code = Exit.FAILED
    data = asdict(report) | {"failed_share": report.failed_share}
    return Result(data, _describe(report, config), exit_code)


def _annotations(config: Config) -> Result:
    report = import_annotations(
        config.dataset,
        config.path,
        dry_run=config.dry_run,
        command=to_command_line("captions import", config),
    )
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.reviews.items())
    verb = "would be recorded" if report.dry_run else "recorded"
    lines = [
        f"{report.annotations} annotations of {report.tasks} tasks; reviews {verb}: {counts or 'none'}",
        f"{report.unchanged} were recorded before, {report.undecided} annotations decide nothing",
    ]
    if report.unmatched:
        lines.append(f"{report.unmatched} tasks are of clips that are not in this dataset")
    problems = [f"{each.file}: task {each.line}: {each.message}" for each in report.problems]
    lines += _first("problems", problems, report.broken)
    found = sum(report.reviews.values()) + report.unchanged
    exit_code = Exit.DONE if found else Exit.NOTHING
    if report.failed_share > config.max_failed:
        exit_code = Exit.FAILED
    data = asdict(report) | {"failed_share": report.failed_share}
    return Result(data, Text("\n".join(lines)), exit_code)


def _describe(report: ImportReport, config: Config) -> Group:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    verb = "would be added" if report.dry_run else "added"
    table.add_row(str(report.ok), f"captions {verb} as version {report.version}")
    if report.unchanged:
        table.add_row(str(report.unchanged), "were imported before, unchanged")
    for outcome, count in report.not_ok.items():
        table.add_row(str(count), f"recorded as {outcome}, without a text")
    for count, what in ((report.broken, "broken"), (report.conflicting, "contradict each other")):
        if count:
            table.add_row(str(count), f"rows {what}: not imported")
    for reason, count in report.unmatched.items():
        table.add_row(str(count), f"rows match nothing: {reason}")
    head = Text(f"{report.rows} rows in {report.files} file(s), {report.seconds:.1f} s")
    problems = [f"{each.file}:{each.line}: {each.message}" for each in report.problems]
    unmatched = [f"{each.file}:{each.line}: {each.key!r} {each.detail}" for each in report.first_unmatched]
    counts: Mapping[str, Any] = {
        "problems": (problems, report.broken + report.conflicting + sum(report.not_ok.values())),
        "no match": (unmatched, sum(report.unmatched.values())),
    }
    lines = [line for name, (rows, total) in counts.items() for line in _first(name, rows, total)]
    if report.unmatched and config.unmatched:
        lines.append(f"all rows without a match: {config.unmatched}")
    return Group(head, table, *map(Text, lines))


def _first(name: str, rows: list[str], total: int) -> list[str]:
    if not rows:
        return []
    rest = [f"  … {total - _LISTED} more"] if total > _LISTED else []
    return [f"{name}:", *(f"  {row}" for row in rows[:_LISTED]), *rest]
