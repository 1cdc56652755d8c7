"""What the clips of a dataset show, by the truth file of rendered worlds."""

from collections.abc import Callable
from pathlib import Path

from manifests.live_view import LiveView
from pipeline.planning.auditing import media_spans
from worlds.raw.match import ClipTruth, clip_truth, load_truth


def truth_of_media(view: LiveView, truth: str) -> Callable[[str], ClipTruth | None]:
    """Return a function from a media id to what it shows: None if unknown or not to be judged."""
    shots = load_truth(truth)
    media = {row["media_id"]: row for row in media_spans(view).to_pylist()}

    def of(media_id: str) -> ClipTruth | None:
        row = media.get(media_id)
        if row is None or Path(row["uri"]).name not in shots:
            return None
        found = clip_truth(shots, row["uri"], row["start_s"], row["end_s"])
        return None if found is None or found.unobservable else found

    return of
