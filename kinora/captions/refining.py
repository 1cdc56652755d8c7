"""Delete the claims of captions that an audit found unsupported; the result is a version of its own."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from captioner.claims.claim import CheckedClaim, ClaimVerdict
from captioner.claims.heard import mark_heard
from captioner.claims.refine import refine
from captioner.claims.split import split_claims
from manifests import schemas
from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, LENGTHS, Caption, Failure, Outcome

STAGE = "refine"
_BATCH_ROWS = 10_000
_NAMES = [field.name for field in fields(Caption)]
_CLAIMS = ("claims", "claims_by")
_REMEDY = "caption the clip with another model or prompt"
UNAUDITED, UNCHANGED, SHORTENED, EMPTIED = "unaudited", "unchanged", "shortened", "emptied"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineReport:
    """What a refinement did."""

    source: str
    """The version whose captions were refined."""
    version: str
    captions: int
    """OK captions of that version."""
    unaudited: int = 0
    """Those without claims that measurements or a model checked: they stay as they are."""
    unchanged: int = 0
    """Captions without an unsupported claim."""
    shortened: int = 0
    emptied: int = 0
    """Captions of which nothing was left."""
    already_done: int = 0
    """Captions of which the version holds this very result."""
    seconds: float = 0.0


def refine_version(dataset: Dataset, source: str, *, dry_run: bool = False) -> RefineReport:
    """Commit the captions of `source` without their unsupported claims, as version `SOURCE-refined`.

    Words and sentences are deleted, none is added. A caption of which nothing is left is EMPTY. Nothing is
    committed if no caption was audited.
    """
    begin = time.monotonic()
    view, version = LiveView(dataset), f"{source}-refined"
    claims = [name for name in _CLAIMS if name in view.columns("captions")]
    rows = view.read("captions", [*_NAMES, *claims], version=source)
    rows = rows.filter(pc.equal(rows["outcome"], "ok"))
    known = view.read("newest_attempts", ["media_id", *LENGTH_COLUMNS.values()], version=version)
    texts = {row.pop("media_id"): row for row in known.to_pylist()}
    counts, captions = Counter[str](), list[Caption]()
    for first in range(0, rows.num_rows, _BATCH_ROWS):
        batch = rows.slice(first, _BATCH_ROWS)
        checks = batch.select(claims).to_pylist() if claims else [{}] * len(batch)
        for caption, check in zip(schemas.from_table(Caption, batch), checks, strict=True):
            refined, what = refine_caption(caption, check.get("claims") or (), check.get("claims_by") or "")
            counts[what] += 1
            own = {column: getattr(refined, column) for column in LENGTH_COLUMNS.values()}
            if texts.get(caption.media_id) == own:
                counts["already_done"] += 1
            else:
                captions.append(replace(refined, version=version))
    report = RefineReport(source=source, version=version, captions=rows.num_rows, **counts)
    if captions and report.unaudited < report.captions and not dry_run:
        _commit(dataset, view, captions, report)
    return replace(report, seconds=round(time.monotonic() - begin, 2))


def refine_caption(
    caption: Caption, claims: Sequence[Mapping[str, Any]], claims_by: str
) -> tuple[Caption, str]:
    """Return a caption without its unsupported claims, and what became of it.

    The audit is of the longest text; of the others, what says the same is deleted.

    Args:
        claims: of the audit, as stored; those that the truth of a world decided are not of the text's words.
    """
    longest = next(length for length in reversed(LENGTHS) if length in caption.texts)
    split = mark_heard(split_claims(caption.texts[longest]), caption.heard)
    if claims_by in ("", "world") or [each.text for each in split] != [each["text"] for each in claims]:
        return caption, UNAUDITED
    verdicts = {
        (claim.kind, claim.subject, claim.value): ClaimVerdict(stored["verdict"])
        for claim, stored in zip(split, claims, strict=True)
        if stored["verdict"] not in (None, ClaimVerdict.SUPPORTED)
    }
    if not verdicts:
        return caption, UNCHANGED
    texts = {
        length: refine(
            text,
            [
                CheckedClaim(claim=claim, verdict=verdicts.get((claim.kind, claim.subject, claim.value)))
                for claim in split_claims(text)
            ],
        )
        for length, text in caption.texts.items()
    }
    columns: dict[str, Any] = {LENGTH_COLUMNS[length]: text or None for length, text in texts.items()}
    if not texts[longest]:
        nothing = dict.fromkeys((*LENGTH_COLUMNS.values(), "parts"))
        detail = f"no sentence of {caption.version} is without an unsupported claim"
        return replace(caption, **nothing, outcome=Outcome.EMPTY, detail=detail), EMPTIED
    return replace(caption, **columns, detail=f"shortened from {caption.version}"), SHORTENED


def _commit(dataset: Dataset, view: LiveView, captions: Sequence[Caption], report: RefineReport) -> None:
    clips = view.read("clips", ["clip_id", "uri"]).to_pylist()
    uris = {row["clip_id"]: row["uri"] for row in clips}
    failures = [
        Failure(
            stage="caption",
            unit=caption.media_id,
            uri=uris.get(caption.clip_id, ""),
            code=caption.outcome.name,
            message=caption.detail,
            remedy=_REMEDY,
            config=report.version,
        )
        for caption in captions
        if caption.outcome is not Outcome.OK
    ]
    parts = [dataset.write_records("captions", captions)]
    parts += [dataset.write_records("failures", failures)] if failures else []
    commit = Commit(
        stage=STAGE,
        added=tuple(parts),
        config={"source": report.source},
        config_digest=report.version,
        counts={"ok": len(captions) - len(failures), "failed EMPTY": len(failures)},
    )
    dataset.commit(commit, rebase=True)
