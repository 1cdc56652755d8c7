"""Show how many items were kept, dropped and failed at each stage of a dataset.

Exits with code 4 if the counts are inconsistent.
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests import conservation
from manifests.live_view import LiveView
from manifests.review.summary import count_decisions

Config = Snapshot


def run(config: Config) -> Result:
    """Count every stage and check that in = out + dropped + failed + pending."""
    dataset = config.open()
    view = LiveView(dataset)
    funnel, violations = conservation.audit(view)
    reviews = count_decisions(view)
    data = {"commit": dataset.number, **funnel, "reviews": reviews, "violations": violations}
    verdict = Text("counts are consistent", "green")
    if violations:
        verdict = Text("\n".join(["INCONSISTENT:", *violations]), "red")
    text = Group(
        _table(funnel, reviews),
        *_captions(funnel["caption_versions"]),
        *_since_pack(reviews),
        Text(f"commit {dataset.number} of {config.dataset}; ", end=""),
        verdict,
    )
    return Result(data, text, Exit.INTEGRITY if violations else Exit.DONE)


def _table(funnel: Mapping[str, Any], decided: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table("stage", "in", "out", "other", box=None, padding=(0, 2, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.columns[3].overflow = "fold"
    sources, clips, selection = funnel["sources"], funnel["clips"], funnel["selection"]
    cut, captions = funnel["cut"], funnel["captions"]
    lost = _reasons("failed", sources["failed"]) + _reasons("removed", {"": sources["removed"]})
    table.add_row("files", str(sources["listed"]), str(sources["ok"]), lost)
    gaps = _reasons("gap", clips["gaps"]) + _reasons("repeated", {"equal files": clips["repeated"]})
    table.add_row("clips", str(sources["ok"]), str(clips["found"]), gaps)
    for name, each in funnel["scores"].items():
        other = _reasons("failed", {"": each["failed"]}) + _reasons("pending", {"": each["to_do"]})
        table.add_row(Text(f"score {name}"), str(sum(each.values())), str(each["scored"]), other)
    undecided = _reasons("undecided", {"": selection["undecided"]})
    dropped = _reasons("dropped", selection["dropped"]) + undecided + _reasons("review", selection["review"])
    table.add_row("select", str(clips["found"]), str(selection["kept"]), dropped)
    uncut = _reasons("failed", cut["failed"]) + _reasons("pending", {"": cut["to_do"]})
    if cut["windowed"]:
        uncut += _reasons("windows", {"clips have several": cut["windowed"], "media in all": cut["media"]})
    table.add_row("cut", str(selection["kept"]), str(cut["done"]), uncut)
    uncaptioned = _reasons("not ok", captions["other"]) + _reasons("pending", {"": captions["to_do"]})
    table.add_row("caption", str(cut["media"]), str(captions["ok"]), uncaptioned)
    if (reviews := funnel["review"])["reviewed"]:
        verdicts = _reasons(f"{reviews['share']:.1%}", reviews["verdicts"])
        verdicts += _reasons("open", {name: reviews[name] for name in ("disagreement", "stale")})
        verdicts += _reasons("spans", {"mended": decided["all"]["mended"]})
        table.add_row("review", str(reviews["media"]), str(reviews["reviewed"]), verdicts)
    return table


def _captions(versions: Mapping[str, Any]) -> list[Table | Text]:
    """Return the table of caption versions, with a warning if the captions that count mix versions."""
    if not versions:
        return []
    table = Table("caption version", "ok", "failed", "counts", "packed", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:4]:
        column.justify = "right"
    for version, each in versions.items():
        packed = ", ".join(f"{count} {length}" for length, count in each["packed"].items())
        table.add_row(Text(version), str(each["ok"]), str(each["failed"]), str(each["counts"]), packed)
    mixed = [f"{version} {each['counts']}" for version, each in versions.items() if each["counts"]]
    if len(mixed) < 2:
        return [table]
    counts = ", ".join(mixed)
    warning = (
        f"captions of {len(mixed)} versions count ({counts}); `kinora pack --captions VERSION` packs one"
    )
    return [table, Text(warning, "yellow")]


def _since_pack(reviews: Mapping[str, Mapping[str, int]]) -> list[Text]:
    """Return how many media were decided on after the last pack."""
    new = reviews.get("since_pack", {})
    if not new.get("media"):
        return []
    listed = ", ".join(f"{count} {name}" for name, count in new.items() if count and name != "media")
    return [
        Text(
            f"reviews since the last pack: {new['media']} media ({listed}); the next `kinora pack` "
            "leaves out the rejected, and with `--captions reviewed` takes the edits"
        )
    ]


def _reasons(label: str, counts: Mapping[str, int]) -> str:
    counted = ", ".join(f"{count} {reason}".strip() for reason, count in counts.items() if count)
    return f"{label}: {counted}  " if counted else ""
