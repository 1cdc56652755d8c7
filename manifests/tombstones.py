"""What was removed from a dataset: for listings, and for what deletes its bytes."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from dataclasses import dataclass

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.records import Source


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The removals of a dataset, as a listing meets them."""

    uris: frozenset[str]
    source_keys: frozenset[str]

    @classmethod
    def of(cls, dataset: Dataset | None) -> "Tombstones":
        """Return the removals of `dataset`; a removed file counts under every name it was analyzed by."""
        if dataset is None or not dataset.parts("removals"):
            return cls(frozenset(), frozenset())
        removals = dataset.read("removals")
        keys = {*removals["source_key"].to_pylist(), *removed_sources(dataset).to_pylist()}
        uris = removals.filter(removals["whole_uri"])["uri"].to_pylist()
        return cls(frozenset(uris), frozenset(keys))

    def hold(self, source: Source) -> bool:
        """Return whether a listed source was removed."""
        if not self.source_keys:
            return False
        return source.uri in self.uris or source.source_key in self.source_keys


def removed_sources(dataset: Dataset, *, purged_only: bool = False) -> pa.Array:
    """Return the keys of all analyzed sources that a removal hides.

    Args:
        purged_only: whether to leave out those whose bytes stay.
    """
    removals = dataset.read("removals")
    if purged_only:
        removals = removals.filter(removals["purge"])
    sources = dataset.read("sources", ["source_key", "uri", "source_digest"])
    whole = removals.filter(removals["whole_uri"])
    gone = pc.is_in(sources["source_key"], value_set=_known(removals["source_key"]))
    for rows, column in ((whole, "uri"), (removals, "source_digest")):
        same = pc.is_in(sources[column], value_set=_known(rows[column]))
        gone = pc.or_(gone, pc.and_(same, pc.is_valid(sources[column])))
    return pc.unique(combine(sources.filter(gone)["source_key"]))


def clips_of(dataset: Dataset, source_keys: pa.Array) -> pa.Array:
    """Return the ids of all clips ever found in sources."""
    clips = dataset.read("clips", ["clip_id", "source_key"])
    return pc.unique(combine(clips.filter(pc.is_in(clips["source_key"], value_set=source_keys))["clip_id"]))


def _known(column: pa.ChunkedArray) -> pa.Array:
    return combine(pc.drop_null(column))
