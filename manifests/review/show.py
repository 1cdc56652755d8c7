"""Put together what a reviewer sees of one media, from the database and the dataset."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from manifests.dataset import Dataset
from manifests.live_view import LARGE_COLUMNS
from manifests.parts import PartStore, TableName
from manifests.records import LENGTH_COLUMNS, LENGTHS
from manifests.review import reviews_table
from manifests.review.cards import (
    CaptionVersion,
    Card,
    MediaFile,
    Neighbour,
    QueueItem,
    RuleResult,
)
from manifests.review.config import ReviewConfig
from manifests.review.database import MEDIA_COLUMNS, Database
from manifests.review.leases import Leases
from manifests.review.live_media import SelectionRules, span_buckets
from manifests.review.messages import ReviewError
from manifests.review.state import Opinions, caption_texts, opinions, standing_texts
from manifests.scores import requests

_MEDIA = ("row", "media_id", "live", *MEDIA_COLUMNS)
_STATE = ("version", "outcome", "caption_digest", "changed", "failed", "num_reviews", "stale")
_CAPTION = ("outcome", *LENGTH_COLUMNS.values(), "info", "frames", "detail", "digest", "extra")
LOW_AGREEMENT = 0.75
"""Agreement below which it is a reason to look at a caption: halfway between chance and a perfect fit."""


class Shower:
    """Shows the media of one database."""

    def __init__(
        self, database: Database, config: ReviewConfig, leases: Leases, rules: SelectionRules | None
    ) -> None:
        self._database, self._config, self._leases, self._rules = database, config, leases, rules

    def media(self, row: int) -> dict[str, Any]:
        """Return the media row and its state as one mapping. Raises ReviewError if it is not live."""
        columns = ", ".join([*(f"m.{name}" for name in _MEDIA), *(f"s.{name}" for name in _STATE)])
        rows = self._database.read(
            f"SELECT {columns} FROM media m JOIN state s ON s.row = m.row WHERE m.row = ?", row
        )
        if not rows:
            raise ReviewError("this clip was dropped from the dataset a moment ago; load the page again")
        return dict(zip((*_MEDIA, *_STATE), rows[0], strict=True))

    def opinions(self, row: int, caption_digest: str) -> Opinions:
        """Return what the reviews of one media come to."""
        rows = reviews_table.of_media(self._database, [row]).get(row, [])
        names = reviews_table.withdrawn(self._database, rows) if rows else set[str]()
        return opinions(rows, names, caption_digest, self._config)

    def caption(self, row: int, version: int) -> dict[str, str]:
        """Return the texts of one version by length; none if the media has no such caption."""
        return caption_texts(self._database, version, [row]).get(row, {})

    def version(self, version: int) -> str:
        """Return the name of a caption version; empty for id 0."""
        rows = self._database.read("SELECT version FROM versions WHERE id = ?", version)
        return rows[0][0] if rows else ""

    def item(self, row: int, position: int, reviewer: str) -> QueueItem:
        """Return one media as a queue shows it to a reviewer."""
        media = self.media(row)
        return self._item(media, self.opinions(row, media["caption_digest"]), position, reviewer)

    def _item(self, media: Mapping[str, Any], opinion: Opinions, position: int, reviewer: str) -> QueueItem:
        row = media["row"]
        decision = opinion.seen_by(reviewer, media["caption_digest"])
        texts = standing_texts(self.caption(row, media["version"]), decision)
        mine = int(reviewer in opinion.current)
        return QueueItem(
            media_id=media["media_id"],
            clip_id=media["clip_id"],
            key=_key(media),
            position=position,
            reasons=self._reasons(media, opinion),
            kind=media["kind"] or "",
            duration_s=media["duration_s"],
            bucket=media["bucket"],
            outcome=media["outcome"],
            text=next((texts[length] for length in reversed(LENGTHS) if length in texts), ""),
            verdict=decision.verdict,
            num_reviews=len(opinion.current) if opinion.complete else mine,
            held_by=", ".join(self._leases.holders(row)),
        )

    def _reasons(self, media: Mapping[str, Any], opinion: Opinions) -> tuple[str, ...]:
        """Return why a media is in a stratum, without what a blind reviewer must not know."""
        reasons = list[str]()
        if media["failed"]:
            older = "; an older caption counts" if media["outcome"] == "ok" else ""
            reasons.append(f"the newest attempt gave no caption: {media['failed']}{older}")
        if media["band"]:
            reasons.append(f"to be checked: {media['selection'] or media['band']}")
        if media["margin"] is not None and media["margin"] <= self._config.near_margin:
            reasons.append(f"near a limit: {media['near']}")
        if media["changed"]:
            reasons.append("the newest caption differs from the one before it")
        if media["version"]:
            ((agreement, unsupported),) = self._database.read(
                f"SELECT agreement, unsupported FROM caption_{media['version']} WHERE row = ?", media["row"]
            )
            is_low = agreement is not None and agreement < LOW_AGREEMENT
            reasons += [f"agreement with its clip {agreement:.2f}"] if is_low else []
            reasons += [f"unsupported claims: {unsupported}"] if unsupported else []
        if opinion.complete and opinion.decision.disagreement:
            reasons.append(f"{' and '.join(opinion.decision.reviewers)} decided differently")
        if opinion.complete and opinion.decision.verdict == "flag":
            reasons.append(f"flagged: {opinion.decision.reason or 'no reason given'}")
        if media["stale"]:
            reasons.append("its caption has changed since it was reviewed")
        return tuple(reasons)

    def card(self, dataset: Dataset, row: int, reviewer: str, lease_s: float) -> Card:
        """Return everything about one media that a reviewer may see."""
        media = self.media(row)
        opinion = self.opinions(row, media["caption_digest"])
        decision = opinion.seen_by(reviewer, media["caption_digest"])
        newest = opinion.newest_for(reviewer)
        scores, problem = dict[str, Any](), ""
        try:
            scores = _clip_columns(dataset, media["clip_row"], media["scored"])
        except (OSError, ValueError) as error:  # a part is gone or damaged; all else is in the database
            problem = str(error)
        captions = self._captions(row, media["version"])
        counting = next((caption.version for caption in captions if caption.counts), "")
        own = self.caption(row, media["version"])
        return Card(
            item=self._item(media, opinion, -1, reviewer),
            file=MediaFile(
                **{name: media[name] for name in ("path", "offset", "length", "extension", "digest")}
            ),
            num_frames=media["num_frames"],
            height=media["height"],
            width=media["width"],
            fps=media["fps"],
            source_uri=self._source(media["source"]),
            start_s=media["start_s"],
            end_s=media["end_s"],
            captions=captions,
            texts=standing_texts(own, decision),
            decision=decision,
            saw=newest.review_id if newest else "",
            caption_version=counting,
            caption_digest=media["caption_digest"],
            blind=not opinion.complete,
            history=tuple(opinion.visible_to(reviewer)),
            scores=scores,
            selection=media["selection"],
            rules=self._check(scores),
            neighbours=self._neighbours(media),
            lease_s=lease_s,
            problem=problem,
            **self._span_buckets(media),
        )

    def _span_buckets(self, media: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a card that say into which bucket a mended span of a video goes."""
        settings: dict[str, Any] = json.loads(self._database.get("buckets") or "{}")
        if not settings or media["extension"] != "mp4":
            return {}
        return {
            "pack_fps": settings["fps"],
            "span_buckets": span_buckets(settings, media["height"], media["width"]),
        }

    def _check(self, scores: Mapping[str, Any]) -> tuple[RuleResult, ...]:
        return tuple(self._rules.check(scores)) if self._rules and scores else ()

    def _source(self, source: int | None) -> str:
        rows = self._database.read("SELECT uri FROM sources WHERE source = ?", source)
        return rows[0][0] if rows else ""

    def _captions(self, row: int, counting: int) -> tuple[CaptionVersion, ...]:
        """Return the captions of all versions, the newest request first."""
        found = list[CaptionVersion]()
        for identifier, version in self._database.read(
            "SELECT id, version FROM versions ORDER BY request DESC, id DESC"
        ):
            rows = self._database.read(
                f"SELECT {', '.join(_CAPTION)} FROM caption_{identifier} WHERE row = ?", row
            )
            for values in rows:
                caption = dict(zip(_CAPTION, values, strict=True))
                found.append(self._version(version, caption, counts=identifier == counting))
        return tuple(found)

    def _version(self, version: str, caption: Mapping[str, Any], *, counts: bool) -> CaptionVersion:
        ((text,),) = self._database.read("SELECT info FROM caption_info WHERE id = ?", caption["info"])
        info = json.loads(text)
        texts = {length: caption[column] for length, column in LENGTH_COLUMNS.items()}
        return CaptionVersion(
            version=version,
            outcome=caption["outcome"],
            texts={length: text for length, text in texts.items() if text is not None},
            digest=caption["digest"],
            captioner=info["captioner"],
            model=info["model"],
            revision=info["revision"],
            prompt_digest=info["prompt_digest"],
            frames_shown=tuple(json.loads(caption["frames"]) or ()),
            detail=caption["detail"],
            counts=counts,
            extra=json.loads(caption["extra"]) if caption["extra"] else {},
        )

    def _neighbours(self, media: Mapping[str, Any]) -> tuple[Neighbour, ...]:
        """Return the clips before and after this one in its source, and its copies."""
        found = list[Neighbour]()
        for relation, sign, order in (("before", "<", "DESC"), ("after", ">", "ASC")):
            rows = self._database.read(
                f"SELECT clip_id, media_id, selection FROM media WHERE source = ? AND start_s {sign} ? "
                f"AND live > 0 AND clip_id <> ? ORDER BY start_s {order} LIMIT 1",
                media["source"],
                media["start_s"],
                media["clip_id"],
            )
            found += [
                Neighbour(clip_id=clip, media_id=key, relation=relation, kept=True, detail=detail or "")
                for clip, key, detail in rows
            ]
        copies = self._database.read(
            "SELECT c.clip_id, c.kind, c.detail, m.media_id FROM copies c "
            "LEFT JOIN media m ON m.clip_id = c.clip_id AND m.live > 0 AND m.window_index = 0 "
            "WHERE c.keeper = ?",
            media["clip_id"],
        )
        found += [
            Neighbour(
                clip_id=clip, media_id=key or "", relation=kind, kept=key is not None, detail=detail or ""
            )
            for clip, kind, detail, key in copies
        ]
        return tuple(found)


def row_of(database: Database, media_id: str) -> int:
    """Return the row of a live media. Raises ReviewError if there is none."""
    rows = database.read("SELECT row FROM media WHERE media_id = ? AND live > 0", media_id)
    if not rows:
        raise ReviewError(f"media_id {media_id!r}: the dataset has no such media, or its clip was dropped")
    return rows[0][0]


def _key(media: Mapping[str, Any]) -> str:
    clip = media["clip_id"]
    return clip if media["num_windows"] < 2 else f"{clip}-{media['window_index']:03d}"


def _clip_columns(dataset: Dataset, clip_row: int | None, scored: str) -> dict[str, Any]:
    """Return the measured columns of one clip and of its scores, without the large ones."""
    if clip_row is None:
        return {}
    found = read_row(dataset, "clips", clip_row)
    for scorer, row in (json.loads(scored) if scored else {}).items():
        wanted = requests(dataset.commits)[scorer].columns
        found |= {name: value for name, value in read_row(dataset, "scores", row).items() if name in wanted}
    return found


def read_row(dataset: Dataset, table: TableName, row: int) -> dict[str, Any]:
    """Return one row of a table by its index among all rows, from the one part that holds it."""
    parts = dataset.parts(table)
    ends: Sequence[int] = [*accumulate(part.rows for part in parts)]
    index = bisect_right(ends, row)
    part, first = parts[index], ends[index] - parts[index].rows
    rows = PartStore(dataset.storage).read_part(part, without=LARGE_COLUMNS)
    return rows.slice(row - first, 1).to_pylist()[0]
