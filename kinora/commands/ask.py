"""Ask a model questions about all kept clips, such as whether one is a slideshow. The answers are scores."""

from dataclasses import asdict, dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.render_plan import render_plan
from kinora.cli.result import Exit, Result
from kinora.cli.spelling import to_command_line
from kinora.cli.subconfig import subconfig
from kinora.commands.caption import describe_usage
from pipeline.ask.load import ask_spec, load_model
from pipeline.config import AskConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.ask import AskReport, ask
from pipeline.runtime.progress import show_progress

WORDS = {"only": 1}


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    dry_run: bool = False
    """Print what would be asked, without asking."""
    max_failed: float = 0.01
    """Fraction of questions that may end without an answer; the exit code is 10 above it."""
    ray: RayConfig = field(default_factory=RayConfig)


def run(config: Config) -> Result:
    """Ask; exit with code 3 if no clip is cut."""
    settings = subconfig(config, AskConfig)
    try:
        with show_progress() as progress:
            report = ask(
                config.dataset,
                settings,
                config.ray,
                ask_spec(settings),
                load_model,
                dry_run=config.dry_run,
                progress=progress,
                command=to_command_line("ask", config),
            )
    except NothingToDo as nothing:
        return Result({"error": str(nothing)}, f"nothing to do: {nothing}", Exit.NOTHING)
    too_many = report.failed_share > config.max_failed or report.left > 0
    return Result(asdict(report), describe(report, config.dataset), Exit.FAILED if too_many else Exit.DONE)


def describe(report: AskReport, dataset: str) -> Group:
    """Render the report."""
    if report.dry_run:
        return Group(render_plan(report.plan, ""))
    if report.nothing_left:
        return Group(
            Text(f"nothing to do: all {report.clips} clips were asked about; these answers count"),
            _answers(report),
        )
    asked = report.clips - report.already_done
    lines = [f"asked about {asked} of {report.clips} clips in {report.seconds:.1f} s: {report.ok} answers"]
    if report.failed:
        codes = ", ".join(f"{count} {code}" for code, count in report.failed.items())
        lines.append(f"no answer: {codes}; see `kinora failures --dataset {dataset}`")
    if report.by_words:
        lines.append(f"{report.by_words} of the answers came without probabilities: their scores are 1 and 0")
    if report.left:
        lines.append(f"stopped: {report.stopped}; {report.left} clips are left, the same command goes on")
    lines += describe_usage(report)
    lines += [f"a model could not be loaded, others did its work: {error}" for error in report.unloaded]
    return Group(*map(Text, lines), _answers(report))


def _answers(report: AskReport) -> Table:
    table = Table("question", "answers", box=None, padding=(0, 2, 0, 0))
    for question, counts in report.answers.items():
        told = ", ".join(f"{count} {answer}" for answer, count in counts.items())
        table.add_row(Text(question), Text(told or "-"))
    return table
