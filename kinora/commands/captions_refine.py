"""Delete the claims of captions that `kinora captions audit` found unsupported, as a caption version.

Words and sentences are deleted, none is added. The new version, `VERSION-refined`, counts before others.
"""

from dataclasses import asdict, dataclass

from kinora.captions.refining import RefineReport, refine_version
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from manifests.dataset import Dataset
from manifests.live_view import LiveView

POSITIONAL = "version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    version: str = ""
    """Caption version to refine. Default: the one that was asked for last."""
    dry_run: bool = False
    """Count, without writing."""


def run(config: Config) -> Result:
    """Refine; exit with code 3 if no caption was audited."""
    dataset = Dataset.open(config.dataset).with_command(to_command_line("captions refine", config))
    requests = LiveView(dataset).caption_requests()
    if not requests:
        return _nothing(f"{config.dataset} has no captions; run `kinora caption`")
    version = config.version or max(requests, key=lambda name: requests[name])
    if version not in requests:
        raise ValueError(f"{version!r} is no caption version; there are {', '.join(sorted(requests))}")
    report = refine_version(dataset, version, dry_run=config.dry_run)
    if report.unaudited == report.captions:
        return _nothing(
            f"no caption of {version} has claims that measurements or a model checked; run `kinora captions "
            f"audit --version {version}` without --truth"
        )
    return Result(asdict(report), _describe(report, dry_run=config.dry_run))


def _nothing(reason: str) -> Result:
    return Result({"error": reason}, f"nothing to do: {reason}", Exit.NOTHING)


def _describe(report: RefineReport, *, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    counts = f"{report.shortened} {would}shortened, {report.emptied} {would}emptied"
    others = f"{report.unchanged} without an unsupported claim, {report.unaudited} not audited"
    lines = [f"{report.captions} captions of {report.source}: {counts}, {others}"]
    if report.already_done:
        lines.append(f"{report.already_done} were in version {report.version} already")
    return "\n".join([*lines, f"version {report.version}"])
