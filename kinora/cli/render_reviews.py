"""Render what reviews did to a shard set."""

from collections.abc import Sequence

from pipeline.config import REVIEWED_CAPTIONS, PackConfig
from pipeline.pack.reviews import BAD_SPAN, FLAGGED, ReviewCounts

_REMEDIES = {
    BAD_SPAN: "`kinora review` mends it, or withdraws that decision",
    FLAGGED: "decide on them in `kinora review`, or pass `--reviews.flagged keep`",
}


def render_reviews(reviews: ReviewCounts, config: PackConfig) -> list[str]:
    """Return lines for people: what was used, what left and why, and what to run."""
    lines: list[str] = []
    if config.captions.startswith(REVIEWED_CAPTIONS) and reviews.reviewed:
        lines.append(f"reviews: {reviews.edited} edited and {reviews.approved} approved captions are used")
    if reviews.trimmed:
        lines.append(f"reviews: {reviews.trimmed} trimmed to the span that a reviewer gave")
    if reviews.unused:
        what = "caption is" if reviews.unused == 1 else "captions are"
        lines.append(
            f"{reviews.unused} edited or approved {what} not used; `--captions reviewed` lays them over"
        )
    for reason, count in reviews.left_out.items():
        remedy = f". {_REMEDIES[reason]}" if reason in _REMEDIES else ""
        lines.append(f"left out: {count} {reason}{remedy}")
    if reviews.stale:
        shown = ", ".join(reviews.stale_media[:3]) + (", …" if reviews.stale > 3 else "")
        used = "used as asked" if config.reviews.stale == "apply" else "not used"
        lines.append(
            f"warning: {reviews.stale} approvals or edits are of captions that changed since ({shown}): "
            f"{used}. Review these again"
        )
    return lines


def render_short_spans(media_ids: Sequence[str]) -> list[str]:
    """Return a line on videos that are packed as one frame because of their span; none without any."""
    if not media_ids:
        return []
    count, shown = len(media_ids), ", ".join(media_ids[:3]) + (", …" if len(media_ids) > 3 else "")
    what = "1 video is" if count == 1 else f"{count} videos are"
    return [
        f"warning: {what} packed as one frame, since the span that a reviewer gave is shorter than every "
        f"bucket of several frames ({shown}): mend the span in `kinora review`, or pack a shorter bucket"
    ]
