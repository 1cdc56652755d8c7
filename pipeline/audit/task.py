"""Check the captions of one task against their clips, which it decodes again.

Legend: T frames, H x W pixels, C channels (RGB, uint8).
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from captioner.agreement import Agreement, AgreementScorer, agreement, seen_share
from captioner.captions import ClipFrames
from captioner.claims.check import check_measured
from captioner.claims.claim import CheckedClaim, merge_verdicts, tally
from captioner.claims.heard import mark_heard
from captioner.claims.measures import ClipMeasures, measure_clip
from captioner.claims.questions import ask_about_claims, stratified_sample
from captioner.claims.split import split_claims
from captioner.protocol import Captioner
from manifests.caption_checks import CHECK_COLUMNS, SEEN
from manifests.parts import PartStore
from manifests.records import longest_text
from manifests.shown_frames import frame_step
from manifests.storage import Storage
from pipeline.audit.unit import AuditUnit
from pipeline.config import AuditConfig
from pipeline.media.read import read_media
from video.frames import read_frames
from video.resize import fit_long_side

JudgeClaims = Callable[[str, Mapping[str, Any]], list[CheckedClaim] | None]
"""Returns the checked claims of a text about a media (`AuditUnit.media`); None if it knows nothing of it."""
_ASKED_FRAMES = 16
"""Frames that a model is shown to answer about claims, at most; it takes fewer of them."""


class TextReader(Protocol):
    """Reads text in frames."""

    def read_lines(self, rgb_HWC: np.ndarray, *, min_score: float, min_length: int) -> Sequence[Any]:
        """Return the lines of a frame, with their `text`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkers:
    """What a task checks captions with."""

    scorer: AgreementScorer
    judge: JudgeClaims | None = None
    """Knows the truth of some media."""
    captioner: Captioner | None = None
    """Answers questions about the claims of a sample."""
    reader: TextReader | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Clip:
    """One decoded clip."""

    frames: ClipFrames
    encoded: np.ndarray
    measures: ClipMeasures


def read_captions(store: PartStore, units: Sequence[AuditUnit]) -> pa.Table:
    """Return the caption rows of all units, in their order."""
    parts = {unit.to_part().path: unit.to_part() for unit in units}
    tables = {path: store.read_part(part) for path, part in parts.items()}
    known = [name for table in tables.values() for name in table.column_names if name in CHECK_COLUMNS.names]
    rows = [
        tables[unit.to_part().path]
        .drop_columns([*{*known} & {*tables[unit.to_part().path].column_names}])
        .take(pa.array(unit.rows, pa.int64()))
        for unit in units
    ]
    return pa.concat_tables(
        [table.replace_schema_metadata(None) for table in rows], promote_options="default"
    )


def check_captions(
    captions: pa.Table,
    units: Sequence[AuditUnit],
    checkers: Checkers,
    config: AuditConfig,
    storage: Storage,
    digest: str,
) -> tuple[pa.Table, int]:
    """Return the rows of `captions` with the columns of a check, and how many clips could not be read."""
    rows = captions.to_pylist()
    media = [each for unit in units for each in unit.media]
    runs = [number for number, unit in enumerate(units) for _ in unit.rows]
    texts = [longest_text(row) or "" for row in rows]
    clips = [_read_clip(each, checkers.scorer, config, storage) for each in media]
    readable = [index for index, clip in enumerate(clips) if clip is not None]
    found = agreement(
        checkers.scorer,
        [texts[index] for index in readable],
        [clip.encoded for clip in clips if clip is not None],
        [media[index]["uri"] for index in readable],
        [runs[index] for index in readable],
    )
    columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in CHECK_COLUMNS.names}
    for place, index in enumerate(readable):
        for name, value in _agreements(found, place, checkers.scorer.name).items():
            columns[name][index] = value
        columns[SEEN][index] = seen_share(checkers.scorer, texts[index])
    if config.claims:
        heard = [row["heard"] for row in rows]
        for index, (checked, by) in enumerate(_claims(texts, heard, media, clips, checkers, config)):
            for name, value in _claim_values(checked, by).items():
                columns[name][index] = value
    columns["audit"] = [digest] * len(rows)
    for name in CHECK_COLUMNS.names:
        captions = captions.append_column(
            CHECK_COLUMNS.field(name), pa.array(columns[name], CHECK_COLUMNS.field(name).type)
        )
    return captions, len(rows) - len(readable)


def _read_clip(
    media: Mapping[str, Any], scorer: AgreementScorer, config: AuditConfig, storage: Storage
) -> _Clip | None:
    """Decode a clip, scaled down; None if it cannot be read."""
    try:
        content = read_media(storage, media)
        size = fit_long_side((media["height"], media["width"]), config.max_side_px)
        every = frame_step(media["num_frames"], config.max_frames)
        frames = list(read_frames(content, size_px=size, every=every, interpolation="AREA"))
        frames_THWC = np.stack([frame.rgb_HWC for frame in frames])
    except (OSError, ValueError):
        return None
    times = tuple(frame.time_s - frames[0].time_s for frame in frames)
    measures = measure_clip(frames_THWC, times)
    return _Clip(
        frames=ClipFrames(
            clip_id=media["media_id"], media_id=media["media_id"], frames_THWC=frames_THWC, times_s=times
        ),
        encoded=scorer.encode_clip(frames_THWC, times, measures),
        measures=measures,
    )


def _agreements(found: Agreement, place: int, scorer: str) -> dict[str, Any]:
    values = {
        "agreement": found.own_N,
        "agreement_next": found.next_N,
        "agreement_previous": found.previous_N,
        "agreement_shuffled": found.shuffled_N,
        "similarity": found.similarity_N,
    }
    numbers = {name: float(value_N[place]) for name, value_N in values.items()}
    plain: dict[str, Any] = {name: value if np.isfinite(value) else None for name, value in numbers.items()}
    return plain | {"agreement_scorer": scorer}


def _claims(
    texts: Sequence[str],
    heard: Sequence[str],
    media: Sequence[Mapping[str, Any]],
    clips: Sequence[_Clip | None],
    checkers: Checkers,
    config: AuditConfig,
) -> list[tuple[list[CheckedClaim], str]]:
    """Return the checked claims of each caption, and who checked them."""
    found: list[tuple[list[CheckedClaim], str]] = []
    for text, spoken, each, clip in zip(texts, heard, media, clips, strict=True):
        judged = checkers.judge(text, each) if checkers.judge else None
        if judged is not None:
            found.append((judged, "world"))
        elif clip is None:
            found.append(([], ""))
        else:
            lines = _line_reader(clip, checkers.reader)
            claims = mark_heard(split_claims(text), spoken)
            found.append((check_measured(claims, clip.measures, lines), "measured"))
    return _ask(found, clips, checkers.captioner, config) if checkers.captioner else found


def _line_reader(clip: _Clip, reader: TextReader | None) -> Callable[[], list[str]] | None:
    if reader is None:
        return None

    def read() -> list[str]:
        frames_THWC = clip.frames.frames_THWC
        chosen = frames_THWC[[len(frames_THWC) // 4, 3 * len(frames_THWC) // 4]]
        lines = [line for frame in chosen for line in reader.read_lines(frame, min_score=0.5, min_length=2)]
        return [line.text for line in lines]

    return read


def _ask(
    found: list[tuple[list[CheckedClaim], str]],
    clips: Sequence[_Clip | None],
    captioner: Captioner,
    config: AuditConfig,
) -> list[tuple[list[CheckedClaim], str]]:
    """Let a model answer about the claims of a sample of the measured captions, stratified by their rate."""
    strata = {
        clip.frames.clip_id: _stratum(checked)
        for (checked, by), clip in zip(found, clips, strict=True)
        if clip is not None and by == "measured" and checked
    }
    per_stratum = ceil(config.ask_share * max(map([*strata.values()].count, {*strata.values()}), default=0))
    chosen = {*stratified_sample(strata, per_stratum)}
    asked = {
        clip.frames.clip_id: checked
        for (checked, _), clip in zip(found, clips, strict=True)
        if clip is not None and clip.frames.clip_id in chosen
    }
    frames = [clip.frames for clip in clips if clip is not None and clip.frames.clip_id in chosen]
    claims = {name: [each.claim for each in checked] for name, checked in asked.items()}
    answers = ask_about_claims(captioner, list(map(_thinned, frames)), claims)
    merged: list[tuple[list[CheckedClaim], str]] = []
    for (checked, by), clip in zip(found, clips, strict=True):
        answer = answers.get(clip.frames.clip_id) if clip is not None else None
        has_answer = answer is not None and any(each.verdict is not None for each in answer)
        merged.append((merge_verdicts(checked, answer or ()), "model") if has_answer else (checked, by))
    return merged


def _thinned(clip: ClipFrames) -> ClipFrames:
    chosen = np.unique(np.linspace(0, len(clip.times_s) - 1, _ASKED_FRAMES).round().astype(int)).tolist()
    return ClipFrames(
        clip_id=clip.clip_id,
        media_id=clip.media_id,
        frames_THWC=clip.frames_THWC[chosen],
        times_s=tuple(clip.times_s[index] for index in chosen),
    )


def _stratum(checked: Sequence[CheckedClaim]) -> str:
    rate = tally(checked).unsupported_rate
    return "unchecked" if rate is None else "clean" if rate == 0 else "few" if rate < 0.25 else "many"


def _claim_values(checked: Sequence[CheckedClaim], by: str) -> dict[str, Any]:
    counts = tally(checked)
    claims = [
        {
            "text": each.claim.text,
            "verdict": None if each.verdict is None else each.verdict.value,
            "start_s": each.start_s,
            "end_s": each.end_s,
            "kind": each.claim.kind,
        }
        for each in checked
    ]
    return {
        "claims": claims,
        "unsupported": counts.unsupported if counts.checked else None,
        "unsupported_rate": counts.unsupported_rate,
        "claims_by": by or None,
    }
