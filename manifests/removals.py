"""Take sources out of a dataset for good: which, and what else refers to them.

A removal is a row of the table `removals`, committed in one step: from then on the live rows of every table
are without the source, its clips, media and captions, and listings pass over it. `manifests.purge` deletes
the bytes too.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from manifests import schemas
from manifests.arrow import combine, pc
from manifests.carried import sources_sql
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView, ViewName
from manifests.records import Removal
from manifests.sandboxed_sql import QueryError, sandboxed

STAGE = "remove"
_COLUMNS = ("source_key", "uri", "source_digest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Affected:
    """What a removal takes out of the live rows."""

    sources: int
    clips: int
    media: int
    captions: int


def find_by_name(
    view: LiveView,
    uris: Collection[str],
    source_keys: Collection[str],
    files_of: Callable[[pa.ChunkedArray], pa.ChunkedArray],
) -> tuple[list[Removal], list[str]]:
    """Return the removals of the sources with these URIs or keys, and the names that no source has.

    Args:
        uris: whatever lies there is removed, now and later.
        source_keys: these versions of files alone are removed.
        files_of: returns the files that hold sources: a tar stands for all its members.
    """
    rows = view.dataset.read("sources", list(_COLUMNS))
    files = files_of(rows["uri"])
    wanted_uris, wanted_keys = (pa.array(sorted(names), pa.string()) for names in (uris, source_keys))
    by_uri = pc.or_(*(pc.is_in(names, value_set=wanted_uris) for names in (rows["uri"], files)))
    by_key = pc.is_in(rows["source_key"], value_set=wanted_keys)
    rows = rows.append_column("file", files).append_column("whole_uri", by_uri)
    found: dict[tuple[str, bool], Removal] = {}
    known = set[str]()
    for row in rows.filter(pc.or_(by_uri, by_key)).to_pylist():
        known |= {row["uri"], row.pop("file"), row["source_key"]}
        key = (row["source_key"], row["whole_uri"])
        found[key] = _newer(found.get(key), Removal(**row, purge=False, reason=""))
    return [*found.values()], sorted({*uris, *source_keys} - known)


def find_where(view: LiveView, condition: str) -> list[Removal]:
    """Return the removals of the live sources for which an SQL condition holds.

    The condition is over the columns of the view `sources` and those of source lists (`manifests.carried`).
    Raises QueryError.
    """
    if not condition.strip():
        raise QueryError("the condition is empty; write one over the columns of sources")
    with sandboxed(view) as sql:
        names = ", ".join(_COLUMNS)
        rows = sql.query(f"SELECT {names} FROM ({sources_sql(view)}) WHERE (\n{condition}\n) ORDER BY uri")
    return [Removal(**row, whole_uri=True, purge=False, reason="") for row in rows.to_pylist()]


def _newer(known: Removal | None, removal: Removal) -> Removal:
    """Return the row that knows the digest: an attempt that failed does not."""
    return known if known is not None and removal.source_digest is None else removal


def new_removals(dataset: Dataset, found: Sequence[Removal], *, purge: bool, reason: str) -> list[Removal]:
    """Return those of `found` that are not in the dataset yet, with what is asked of them."""
    known = {
        (row["source_key"], row["whole_uri"], row["purge"]) for row in dataset.read("removals").to_pylist()
    }
    wanted = [replace(each, purge=purge, reason=reason) for each in found]
    return [
        each
        for each in wanted
        if (each.source_key, each.whole_uri, each.purge) not in known
        and (each.source_key, each.whole_uri, True) not in known
    ]


def affected_by(view: LiveView, removals: Sequence[Removal]) -> tuple[Affected, set[str]]:
    """Return how many live rows go, and the ids of the clips among them."""
    after = view.with_rows("removals", schemas.to_table(Removal, removals))

    def gone(name: ViewName, column: str) -> list[str]:
        before = combine(view.read(name, [column])[column])
        stays = pc.is_in(before, value_set=combine(after.read(name, [column])[column]))
        return before.filter(pc.invert(stays)).to_pylist()

    clips = gone("clips", "clip_id")
    return Affected(
        sources=len(gone("sources", "uri")),
        clips=len(clips),
        media=len(gone("media", "media_id")),
        captions=len(gone("captions", "media_id")),
    ), {*clips}


def copies_of(view: LiveView, clips: Collection[str]) -> list[str]:
    """Return the URIs of other live sources with a copy of one of `clips`, under whatever encoding."""
    wanted = pa.array(sorted(clips), pa.string())
    pairs = view.read("duplicates", ["clip_id", "keeper"])
    sides = [pc.is_in(pairs[name], value_set=wanted) for name in ("clip_id", "keeper")]
    others = [pairs.filter(pc.and_not(*order))[name] for name, order in
              (("keeper", sides), ("clip_id", sides[::-1]))]  # fmt: skip
    ids = pa.concat_arrays([combine(column) for column in others])
    rows = view.read("clips", ["clip_id", "uri"])
    return sorted({*rows.filter(pc.is_in(rows["clip_id"], value_set=ids))["uri"].to_pylist()})


def commit_removals(dataset: Dataset, removals: Sequence[Removal], counts: dict[str, int]) -> Dataset:
    """Commit removals."""
    part = dataset.write_records("removals", removals)
    return dataset.commit(Commit(stage=STAGE, added=(part,), counts=counts), rebase=True)
