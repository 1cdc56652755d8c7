"""Find the kept clips that lack answers to questions, and the questions of earlier runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from captioner.questions import Question
from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.scores import ASK_STAGE, ScorerRequest, requests
from pipeline.ask.units import SCORER, AskUnit, scorer_of
from pipeline.caption.units import CaptionUnit
from pipeline.config import AskConfig
from pipeline.planning.last_config import build
from pipeline.planning.pending import RetryMode
from pipeline.planning.scoring import with_pending
from pipeline.runtime.lazy_units import LazyUnits

_MEDIA = ("media_id", "path", "offset", "length", "num_frames", "height", "width", "duration_s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What an earlier run asked, of which the answers still count."""

    settings: AskConfig
    questions: tuple[Question, ...]


def to_ask(view: LiveView, wanted: Mapping[str, ScorerRequest], mode: RetryMode = "none") -> pa.Table:
    """Return the kept and cut clips that lack answers, with `scorers` and `windows`, their media.

    Args:
        mode: whether clips with a question that failed are left out or the only ones taken.
    """
    media = view.read("media", ["clip_id", "window_index", *_MEDIA])
    clips = view.read("clips", ["clip_id", "uri", "analysis"])
    clips = clips.filter(pc.is_in(clips["clip_id"], value_set=combine(pc.unique(media["clip_id"]))))
    pending = with_pending(view, clips, wanted, mode)
    fields = ", ".join(f'"{name}" := "{name}"' for name in _MEDIA)
    return view.query(
        f"""
        SELECT p.clip_id, p.uri, p.scorers, m.windows FROM p JOIN (
            SELECT clip_id, list(struct_pack({fields}) ORDER BY window_index) AS windows
            FROM m GROUP BY clip_id
        ) m USING (clip_id)
        ORDER BY p.uri, p.clip_id
        """,
        p=pending,
        m=media,
    )


def ask_units(clips: pa.Table) -> LazyUnits[AskUnit]:
    """Return the rows of `to_ask` as units."""
    return LazyUnits(clips, (), lambda rows: _ask_unit(rows[0]))


def count_clips(view: LiveView) -> int:
    """Return the number of kept clips that are cut."""
    return pc.count_distinct(view.read("media", ["clip_id"])["clip_id"]).as_py()


def asked_before(dataset: Dataset) -> Iterator[Asked]:
    """Yield the settings of earlier runs, with those of their questions whose answers count."""
    open_digests = {each.scorer: each.digest for each in requests(dataset.commits).values()}
    for commit in reversed(dataset.commits):
        if commit.stage != ASK_STAGE:
            continue
        digests = {each["scorer"]: each["digest"] for each in commit.config["requests"]}
        counting = {name for name, digest in digests.items() if open_digests.get(name) == digest}
        stored: Sequence[Mapping[str, Any]] = commit.config["questions"]
        questions = tuple(Question(**each) for each in stored if scorer_of(each["name"]) in counting)
        if questions:
            yield Asked(settings=build(AskConfig, commit.config["settings"]), questions=questions)
            for question in questions:
                del open_digests[scorer_of(question.name)]


def _ask_unit(row: Mapping[str, Any]) -> AskUnit:
    starts_s, end_s = list[float](), 0.0
    for window in row["windows"]:
        starts_s.append(end_s)
        end_s += window["duration_s"]
    common = {"clip_id": row["clip_id"], "key": row["clip_id"], "uri": row["uri"]}
    return AskUnit(
        clip_id=row["clip_id"],
        uri=row["uri"],
        questions=tuple(name.removeprefix(SCORER) for name in row["scorers"].split()),
        windows=tuple(
            CaptionUnit(**common, **{name: window[name] for name in _MEDIA if name != "duration_s"})
            for window in row["windows"]
        ),
        starts_s=tuple(starts_s),
    )
