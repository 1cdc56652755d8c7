"""Find the clips that lack scores, and the analyses of earlier versions that hold them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.dataset import Commit
from manifests.live_view import LiveView
from manifests.scores import ScorerRequest, newest_rows
from pipeline.config import AnalyzeConfig, ScorersConfig, config_digest, scored_analysis_digest
from pipeline.planning.last_config import build
from pipeline.planning.pending import RetryMode
from pipeline.runtime.lazy_units import LazyUnits
from pipeline.score.digests import scorer_requests
from pipeline.score.unit import ScoreUnit

_CLIP = ("clip_id", "source_key", "uri", "start_pts", "end_pts", "time_base_num", "time_base_den", "analysis")


def equal_analyses(commits: Sequence[Commit], config: AnalyzeConfig) -> set[str]:
    """Return the digests of analyses with the results of `config`, whatever their scorers were."""
    wanted = config_digest(config)
    found = (digest for digest, earlier in _scored_analyses(commits) if config_digest(earlier) == wanted)
    return {wanted, *found}


def wanted_scorers(commits: Sequence[Commit], config: ScorersConfig) -> dict[str, ScorerRequest]:
    """Return the enabled scorers, with the analyses of earlier versions that scored as they do."""
    wanted = scorer_requests(config)
    for digest, earlier in _scored_analyses(commits):
        for name, request in scorer_requests(replace(earlier.scorers, own=())).items():
            if name in wanted and wanted[name].digest == request.digest:
                analyses = (*wanted[name].analyses, digest)
                wanted[name] = replace(wanted[name], analyses=tuple(sorted({*analyses})))
    return wanted


def _scored_analyses(commits: Sequence[Commit]) -> Iterator[tuple[str, AnalyzeConfig]]:
    """Yield digest and configuration of the analyses whose scores are in the clips table."""
    configs = {commit.config_digest: commit.config for commit in commits if commit.stage == "analyze"}
    for digest, values in configs.items():
        config = build(AnalyzeConfig, values)
        if digest == scored_analysis_digest(config) != config_digest(config):
            yield digest, config


def to_score(view: LiveView, wanted: Mapping[str, ScorerRequest], mode: RetryMode = "none") -> pa.Table:
    """Return the clips that lack scores, by source and time.

    Columns: the clip, `scorers` (names, joined by spaces), `first_pts` of its source, and its `media`.

    Args:
        mode: whether clips that a scorer failed on are left out or the only ones taken.
    """
    clips = with_pending(view, view.read("clips", _CLIP), wanted, mode).drop_columns(["analysis"])
    media = view.read("media", ["clip_id", "path", "offset", "length", "window_index"])
    return view.query(
        """
        SELECT c.*, s.first_pts, m.media FROM c
        LEFT JOIN (SELECT source_key, any_value(start_pts) AS first_pts FROM s GROUP BY source_key) s
            USING (source_key)
        LEFT JOIN (
            SELECT clip_id, list([path, "offset"::VARCHAR, length::VARCHAR] ORDER BY window_index) AS media
            FROM m GROUP BY clip_id
        ) m USING (clip_id)
        ORDER BY c.source_key, c.scorers, c.start_pts, c.clip_id
        """,
        c=clips,
        s=view.read("sources", ["source_key", "start_pts"]),
        m=media,
    )


def with_pending(
    view: LiveView, clips: pa.Table, wanted: Mapping[str, ScorerRequest], mode: RetryMode
) -> pa.Table:
    """Return the rows of `clips` that lack scores, with `scorers`, the names of those, joined by spaces.

    Args:
        clips: `clip_id` and `analysis`, and whatever else.
        wanted: at most 63 scorers.
        mode: whether clips that a scorer failed on are left out or the only ones taken.
    """
    scores = view.read("scores", ["clip_id", "scorer", "digest"])
    code_N = np.zeros(len(clips), np.int64)
    for number, request in enumerate(wanted.values()):
        scored = newest_rows(scores, request, clips["clip_id"]).is_valid()
        failed = pc.is_in(clips["clip_id"], value_set=_failed(view, request, mode))
        if mode == "none":
            analyzed = pc.is_in(clips["analysis"], value_set=pa.array(request.analyses, pa.string()))
            pending = pc.invert(pc.or_(pc.or_(scored, analyzed), failed))
        else:
            pending = pc.and_not(failed, scored)
        code_N += np.asarray(pending).astype(np.int64) << number
    codes, inverse_N = np.unique(code_N, return_inverse=True)
    names = [" ".join(n for i, n in enumerate(wanted) if code >> i & 1) for code in codes.tolist()]
    clips = clips.append_column("scorers", pa.array(names, pa.string()).take(pa.array(inverse_N)))
    return clips.filter(pa.array(code_N > 0))


def score_units(clips: pa.Table) -> LazyUnits[ScoreUnit]:
    """Group the rows of `to_score` into units."""
    return LazyUnits(clips, ("source_key", "scorers"), _score_unit)


def _score_unit(clips: Sequence[dict[str, Any]]) -> ScoreUnit:
    first = clips[0]
    return ScoreUnit(
        source_key=first["source_key"],
        uri=first["uri"],
        scorers=tuple(first["scorers"].split()),
        first_pts=first["first_pts"] or 0,
        time_base_num=first["time_base_num"],
        time_base_den=first["time_base_den"],
        clip_ids=tuple(clip["clip_id"] for clip in clips),
        spans=tuple((clip["start_pts"], clip["end_pts"]) for clip in clips),
        media=tuple(
            tuple((path, int(offset), int(length)) for path, offset, length in clip["media"] or ())
            for clip in clips
        ),
    )


def _failed(view: LiveView, request: ScorerRequest, mode: RetryMode) -> pa.Array:
    """Return the clips that a scorer failed on under these settings; to retry, not those in quarantine."""
    names = ["stage", "unit", "config", "quarantined"]
    own = view.dataset.read("failures", names)
    own = own.filter(pc.equal(own["config"], request.digest))
    earlier = view.read("failures", names)  # live ones: an analysis repeats its failures until it succeeds
    earlier = earlier.filter(pc.is_in(earlier["config"], value_set=pa.array(request.analyses, pa.string())))
    rows = pa.concat_tables([own.select(names), earlier.select(names)], promote_options="default")
    rows = rows.filter(pc.equal(rows["stage"], f"score {request.scorer}"))
    if mode == "failed":
        quarantined = rows.filter(rows["quarantined"])["unit"]
        rows = rows.filter(pc.invert(pc.is_in(rows["unit"], value_set=quarantined.combine_chunks())))
    return rows["unit"].combine_chunks() if len(rows) else pa.array([], pa.string())
