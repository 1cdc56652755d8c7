"""Score caption versions: how much is true, how well they fit, how they are written; compare two.

Claim precision, recall and F1 need `--truth` of `kinora worlds render`. CLIPScore, agreement and the
unsupported rate are those of `kinora captions audit`. `--references` with `--judge.model` or
`--judge.endpoint` scores events against reference descriptions, as DREAM-1K does (AutoDQ).
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from captioner.claims.autodq import AutoDq, score_descriptions
from captioner.text_config import TextModelConfig
from captioner.text_model import load_text_model
from kinora.captions.score import PairedDifference, VersionScore, compare_versions, score_version
from kinora.captions.truth import truth_of_media
from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.live_view import LiveView
from manifests.ranges import NonNegativeInt
from manifests.text_files import read_lines

POSITIONAL = ("version", "other")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    version: str = ""
    """Caption version to score. Default: all."""
    other: str = ""
    """Second version, to compare with the first on the clips that both have captions of."""
    truth: str | None = None
    """Ground truth (`truth.jsonl`) written by `kinora worlds render`."""
    length: Literal["short", "medium", "dense"] | None = None
    """Score the texts of this length. Default: the longest text of each caption."""
    n: NonNegativeInt = 20
    """Number of clips to print that differ most between two versions."""
    references: str | None = None
    """JSON lines with `clip_id` and `text`: reference descriptions of clips, for AutoDQ."""
    judge: TextModelConfig = field(default_factory=TextModelConfig)
    """Language model that lists and compares events for AutoDQ."""


def run(config: Config) -> Result:
    """Score; exit with code 3 if there are no captions."""
    references = _references(config)
    view = LiveView(config.open())
    known = {*view.read("caption_attempts", ["version"])["version"].to_pylist()}
    wanted = [name for name in (config.version, config.other) if name] or sorted(known)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"{unknown[0]!r} is no caption version; there are {', '.join(sorted(known)) or 'none yet'}"
        )
    truth = truth_of_media(view, config.truth) if config.truth else None
    scores = [score_version(view, name, truth, config.length) for name in wanted]
    if not any(score.captions for score in scores):
        return Result({"versions": {}}, "no captions to score; run `kinora caption` first", Exit.NOTHING)
    data: dict[str, Any] = {"versions": {score.version: _data(score) for score in scores}}
    parts: list[RenderableType] = [_table(scores)]
    if references:
        found = _auto_dq(config, scores, references)
        data["auto_dq"] = {name: asdict(each) for name, each in found.items()}
        parts.append(_auto_dq_table(found))
    if config.other:
        differences, examples = compare_versions(scores[0], scores[1], config.n)
        data |= {"differences": [asdict(each) for each in differences], "examples": examples}
        parts += [_differences(differences, config), *map(_example, examples)]
    return Result(data, Group(*parts))


def _references(config: Config) -> dict[str, str]:
    """Return the reference description of each clip. Raises ValueError for another file."""
    if config.references is None:
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(config.references), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            found[str(fields["clip_id"])] = str(fields["text"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{config.references}, line {number}: no JSON object with clip_id and text ({error!r})"
            ) from error
    if not found:
        raise ValueError(f"{config.references}: has no reference")
    return found


def _auto_dq(config: Config, scores: list[VersionScore], references: dict[str, str]) -> dict[str, AutoDq]:
    model = load_text_model(config.judge)
    found: dict[str, AutoDq] = {}
    for score in scores:
        pairs = [
            (each.text, references[each.clip_id]) for each in score.captions if each.clip_id in references
        ]
        if pairs:
            texts, wanted = zip(*pairs, strict=True)
            found[score.version] = score_descriptions(texts, wanted, model.answer)
    return found


def _data(score: VersionScore) -> dict[str, Any]:
    names = ("agreement", "clip_score", "unsupported_rate", "repeating")
    return {
        **score.figures,
        **score.claims,
        **{name: getattr(score, name) for name in names if name not in score.claims},
    }


def _table(scores: list[VersionScore]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    for score in scores:
        table.add_column(Text(score.version), justify="right", overflow="fold")
    for name, values in _lines(scores):
        table.add_row(name, *(Text(value) for value in values))
    return table


def _lines(scores: list[VersionScore]) -> list[tuple[str, list[str]]]:
    def of(name: str, values: list[Any]) -> tuple[str, list[str]]:
        return name, [_number(value) for value in values]

    lines = [
        (
            "outcomes",
            [", ".join(f"{n} {o}" for o, n in s.figures.get("outcomes", {}).items()) for s in scores],
        ),
        of("words, median", [s.figures.get("words_50") for s in scores]),
        of("distinct words", [s.figures.get("distinct_words") for s in scores]),
        of("same text as another", [s.figures.get("same_text") for s in scores]),
        of("repeat themselves", [s.repeating for s in scores]),
        of("agreement", [s.agreement for s in scores]),
        of("CLIPScore", [s.clip_score for s in scores]),
        of("unsupported, audited", [s.unsupported_rate for s in scores]),
    ]
    names = ("claim_precision", "claim_recall", "claim_f1", "unsupported_rate")
    lines += [of(f"{name.replace('_', ' ')}, worlds", [s.claims.get(name) for s in scores]) for name in names]
    families = sorted({name for s in scores for name in s.claims.get("families", {})})
    for family in families:
        own = [s.claims.get("families", {}).get(family, {}) for s in scores]
        values = [
            "–"
            if not each
            else f"{_number(each['claim_f1'])} ({_number(each['unsupported_rate'])}, n {each['n']})"
            for each in own
        ]
        lines.append((f"F1 (unsupported), {family}", values))
    return [(name, values) for name, values in lines if any(value not in ("–", "") for value in values)]


def _auto_dq_table(found: dict[str, AutoDq]) -> Table:
    table = Table("AutoDQ", "n", "precision", "recall", "F1", "unreadable", box=None, padding=(0, 2, 0, 0))
    for name, each in found.items():
        numbers = [_number(value) for value in (each.precision, each.recall, each.f1)]
        table.add_row(Text(name), str(each.n), *numbers, str(each.unreadable))
    return table


def _differences(differences: list[PairedDifference], config: Config) -> Table:
    title = f"{config.other} minus {config.version}"
    table = Table(title, "n", "difference", "95 % interval", box=None, padding=(0, 2, 0, 0))
    for each in differences:
        interval = f"{each.interval.low:+.3f} to {each.interval.high:+.3f}"
        table.add_row(each.measure, str(each.n), f"{each.difference:+.3f}", interval)
    return table


def _example(example: dict[str, Any]) -> Group:
    values = f"{example['measure']} {_number(example['first'])} and {_number(example['second'])}"
    head = Text(f"\n{example['clip_id']}", "bold").append(f"  {values}", "dim")
    return Group(head, Text(f"- {example['first_text']}"), Text(f"+ {example['second_text']}"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}" if float(value).is_integer() else f"{value:.3f}"
