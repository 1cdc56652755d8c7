"""Read annotations that Label Studio exported as JSON, and record them as reviews.

An annotation of a task that `kinora captions export --format label-studio` wrote becomes one row for each
text that differs from the one shown, one for a span, and one for the verdict. Their ids follow from the
annotation, so that the same file read twice records nothing.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kinora.exchange.caption_files import HALF_CHARACTER, CaptionFileError, Problem
from kinora.exchange.formats.label_studio import SPAN_LABEL, VERDICTS, to_seconds
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.records import LENGTHS, Review, Verdict

_MAX_LISTED = 20


@dataclass(kw_only=True, slots=True)
class ReviewImportReport:
    """What an import of annotations did."""

    dry_run: bool = False
    tasks: int = 0
    annotations: int = 0
    reviews: dict[str, int] = field(default_factory=dict)
    """Reviews that were recorded, or would be, by verdict."""
    unchanged: int = 0
    """Reviews that were recorded before."""
    undecided: int = 0
    """Annotations that change nothing and have no verdict, or were skipped."""
    unmatched: int = 0
    """Tasks whose clip is not in the dataset."""
    broken: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first problems."""
    seconds: float = 0.0

    @property
    def failed_share(self) -> float:
        """Fraction of the annotations that could not be read."""
        return self.broken / max(1, self.annotations)

    def add_problem(self, file: str, number: int, message: str) -> None:
        """Count a broken annotation, and list it if it is one of the first."""
        self.broken += 1
        if len(self.problems) < _MAX_LISTED:
            self.problems.append(Problem(file=file, line=number, message=message))


def import_annotations(
    dataset_uri: str, path: str, *, dry_run: bool = False, command: str = ""
) -> ReviewImportReport:
    """Record the annotations in an exported JSON file as reviews.

    Problems name the number of the task in the file, from 1. Raises CaptionFileError for another file.
    """
    begin = time.monotonic()
    tasks = _read_tasks(path)
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    media = {row["media_id"]: row for row in view.read("media", ["media_id", "clip_id", "fps"]).to_pylist()}
    known = {*view.read("reviews", ["review_id"])["review_id"].to_pylist()}
    report = ReviewImportReport(dry_run=dry_run, tasks=len(tasks))
    reviews: list[Review] = []
    for number, task in enumerate(tasks, 1):
        data = task.get("data")
        about = media.get(str(data.get("media_id", ""))) if isinstance(data, Mapping) else None
        annotations = task.get("annotations") or []
        if not isinstance(annotations, list):
            report.add_problem(path, number, f"`annotations` is {annotations!r:.40}, not a list")
            continue
        report.annotations += len(annotations)
        if about is None:
            report.unmatched += 1
            continue
        for annotation in annotations:
            try:
                found = [*_reviews_of(annotation, task, about)]
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                report.add_problem(path, number, f"annotation {_name(annotation)}: {_describe(error)}")
                continue
            report.undecided += not found
            reviews += found
    new = list({each.review_id: each for each in reviews if each.review_id not in known}.values())
    report.unchanged = len(reviews) - len(new)
    report.reviews = dict(Counter(str(each.verdict) for each in new))
    report.seconds = round(time.monotonic() - begin, 2)
    if new and not dry_run:
        part = dataset.write_records("reviews", new)
        commit = Commit(stage="review", added=(part,), config={"path": path}, counts=report.reviews)
        dataset.commit(commit, rebase=True)
    return report


def _read_tasks(path: str) -> list[Mapping[str, Any]]:
    try:
        tasks = json.loads(Path(path).expanduser().read_bytes())
    except (ValueError, RecursionError) as error:
        raise CaptionFileError(f"{path}: is not JSON ({error}); export as JSON from Label Studio") from None
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) and "data" in task for task in tasks):
        expected = "a list of tasks with `data` and `annotations`"
        raise CaptionFileError(
            f"{path}: is not {expected}; export as JSON from Label Studio, not as JSON-MIN or CSV"
        )
    return tasks


def _reviews_of(
    annotation: Mapping[str, Any], task: Mapping[str, Any], media: Mapping[str, Any]
) -> Iterator[Review]:
    """Yield the rows of one annotation: edits, the span, then the verdict.

    Raises ValueError for a result that cannot be recorded.
    """
    if annotation.get("was_cancelled"):
        return
    data: Mapping[str, Any] = task["data"]
    at = _utc(annotation.get("updated_at") or annotation.get("created_at") or "")
    about: dict[str, Any] = {
        "clip_id": media["clip_id"],
        "media_id": media["media_id"],
        "reviewer": _reviewer(annotation.get("completed_by")),
        "at": at,
        "caption_version": str(data.get("caption_version", "")),
        "caption_digest": str(data.get("caption_digest", "")),
        "saw": str(data.get("saw", "")),
    }
    results = annotation.get("result") or []
    origin = (_name(annotation), at)
    edits = _edits(results, data)
    for length, text in edits.items():
        yield _review(origin, about, Verdict.EDIT, length=length, new_text=text)
    for start_s, end_s in _spans(results, float(data.get("fps") or media["fps"])):
        yield _review(origin, about, Verdict.SPAN, start_s=start_s, end_s=end_s)
    verdict = _verdict(results)
    if verdict and not (verdict is Verdict.APPROVE and edits):  # an edit approves what it leaves
        reason = " ".join(_texts(results, "reason"))
        yield _review(origin, about, verdict, reason=reason)


def _describe(error: Exception) -> str:
    """Return what is wrong with an annotation; of one of another form, what was looked for."""
    if isinstance(error, ValueError):
        return str(error)
    return f"has not the form of Label Studio's results ({type(error).__name__}: {error}); export it again"


def _review(origin: tuple[str, str], about: Mapping[str, Any], verdict: Verdict, **fields: Any) -> Review:
    content = [f"{name}={value}" for name, value in fields.items()]
    if HALF_CHARACTER.search(" ".join([*content, about["reviewer"]])):
        raise ValueError(r"holds half a character, such as \ud83d alone; write whole characters")
    name = digest_parts("label-studio", *origin, about["media_id"], verdict, *content)
    return Review(review_id=name, verdict=verdict, **about, **fields)


def _edits(results: list[Mapping[str, Any]], data: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts by length that differ from those shown."""
    edits: dict[str, str] = {}
    for length in LENGTHS:
        texts = _texts(results, length)
        if not texts or texts[-1] == (data.get(length) or "").strip():
            continue
        if not texts[-1]:
            raise ValueError(f"the {length} caption is empty; write one, or reject the clip")
        edits[length] = texts[-1]
    return edits


def _texts(results: list[Mapping[str, Any]], name: str) -> list[str]:
    values = [each["value"]["text"] for each in results if each.get("from_name") == name]
    return [str(text).strip() for value in values for text in (value if isinstance(value, list) else [value])]


def _spans(results: list[Mapping[str, Any]], fps: float) -> Iterator[tuple[float, float]]:
    for each in results:
        value = each.get("value") or {}
        if SPAN_LABEL not in value.get("timelinelabels", ()):
            continue
        for span in value["ranges"]:
            first, last = int(span["start"]), int(span["end"])
            if not 1 <= first <= last or fps <= 0:
                raise ValueError(
                    f"the span of frames {first} to {last} ends before it starts, or starts before 1"
                )
            yield to_seconds(first, last, fps)


def _verdict(results: list[Mapping[str, Any]]) -> Verdict | None:
    chosen = [each["value"]["choices"] for each in results if each.get("from_name") == "verdict"]
    if not chosen or not chosen[-1]:
        return None
    if chosen[-1][0] not in VERDICTS:
        raise ValueError(f"the verdict is {chosen[-1][0]!r}; it must be one of {', '.join(VERDICTS)}")
    return Verdict(chosen[-1][0])


def _reviewer(completed_by: Any) -> str:
    """Return the address of an annotator, or the number of the user."""
    if isinstance(completed_by, Mapping):
        return str(completed_by.get("email") or f"label-studio-{completed_by.get('id', 'unknown')}")
    return f"label-studio-{'unknown' if completed_by is None else completed_by}"


def _name(annotation: Any) -> str:
    """Return the id of an annotation."""
    if not isinstance(annotation, Mapping):
        return "?"
    return str(annotation.get("unique_id") or annotation.get("id") or "?")


def _utc(text: str) -> str:
    """Return a time as UTC. Raises ValueError for one that is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        raise ValueError(f"`updated_at` is {text!r}, not a time") from None
