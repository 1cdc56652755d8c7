"""Export captions, and the clips that they belong to, in the format of another tool.

Writes JSONL, CSV, a Hugging Face dataset, FiftyOne datasets, Label Studio projects or a Croissant dataset,
each with a dataset card.
"""

from dataclasses import asdict, dataclass

from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from kinora.cli.subconfig import subconfig
from kinora.exchange.config import ExportConfig
from kinora.exchange.export import ExportReport, export


@dataclass(frozen=True, kw_only=True)
class Config(Snapshot, ExportConfig):
    out: str
    """New or empty folder; nothing else may be in it, since readers guess by what they find."""


def run(config: Config) -> Result:
    """Export; exit with code 3 if no clip is to be exported."""
    report = export(config.open(), config.out, subconfig(config, ExportConfig))
    if report is None:
        why = "no clip meets --where" if config.where else "no clip was cut; run `kinora curate`"
        return Result({"rows": 0}, f"nothing to export: {why}", Exit.NOTHING)
    return Result(asdict(report), _describe(report))


def _describe(report: ExportReport) -> str:
    files = f", {report.files} files of {report.num_bytes / 1e6:.1f} MB" if report.files else ""
    lines = [
        f"{report.rows} clips with {report.captions} captions, {report.reviewed} reviewed{files}",
        f"written to {report.out} ({report.format}) in {report.seconds:.1f} s",
        *(f"note: {limit}" for limit in report.limits),
    ]
    return "\n".join(lines)
