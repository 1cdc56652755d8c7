"""The thumbnails of clips."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterable

from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.live_view import THUMBNAIL


def read_thumbnails(dataset: Dataset, clip_ids: Iterable[str]) -> dict[str, bytes]:
    """Return the JPEG thumbnails of clips by clip id, without those that have none.

    Reads thumbnails only from parts that contain one of the clips.
    """
    missing, found = set(clip_ids), dict[str, bytes]()
    for part in reversed(dataset.parts("clips")):  # the newest analysis of a clip comes last
        if not missing:
            break
        is_missing = pc.field("clip_id").isin(sorted(missing))
        if not dataset.read_part(part, ["clip_id"]).filter(is_missing).num_rows:
            continue
        rows = dataset.read_part(part, ["clip_id", THUMBNAIL]).filter(is_missing).to_pylist()
        found |= {row["clip_id"]: row[THUMBNAIL] for row in rows if row.get(THUMBNAIL)}
        missing -= found.keys()
    return found
