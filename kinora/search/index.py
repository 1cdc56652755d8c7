"""A local copy of a dataset's embeddings, memory-mapped, brought up to date with each new commit.

    index.json          what the other files hold; replaced last
    vectors-ID.f16      embeddings, one after another; new ones are appended
    rows-COMMIT.arrow   the clip of each, and where its rows are in the dataset

It is derived from the dataset and built again if it is lost. One process at a time changes it.

Legend: N clips, D embedding dimensions.
"""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.clips_view import ClipsView, touched_clips
from manifests.dataset import Dataset
from manifests.embeddings import DTYPE, EMBEDDING, EmbeddedClips, embedded_clips, read_embeddings
from manifests.live_view import LiveView
from manifests.replacing import replacing
from manifests.scores import requests
from manifests.storage import describe_disk_full
from pipeline.runtime.progress import Progress, no_progress

FORMAT = 1
"""Version of this layout; another one is built again."""
_META = "index.json"
_CHUNK_CLIPS = 65_536
"""Clips whose embeddings are in memory at a time."""
_MAX_TOUCHED = 0.2
"""Fraction of the clips of an index above which all are looked up anew when it is brought up to date."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Meta:
    format: int
    commit: int
    at: str
    """Time of the commit, so that a dataset that was made anew in the same place is another one."""
    digest: str
    """Settings of the scorer `embedding`, the model among them."""
    clips: int
    dims: int
    vectors: str
    rows: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SearchIndex:
    """The embeddings of the live clips of one commit."""

    vectors_ND: np.ndarray
    """Unit vectors, float16, memory-mapped."""
    rows: pa.Table
    """Of each vector: `clip_id`, `clip_row`, `caption_row` and `kept`; rows are indices in the tables of the
    dataset, null for a clip without a caption."""
    num_new: int
    """Embeddings that were copied when the index was opened."""


def open_index(dataset: Dataset, folder: Path, progress: Progress = no_progress) -> SearchIndex | None:
    """Return the index in `folder`, brought up to date first; None if no live clip has an embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder), describe_disk_full(folder, folder):
        meta = _read_meta(folder)
        num_new = 0
        if meta is None or (meta.commit, meta.at) != _commit(dataset):
            meta, num_new = _refresh(dataset, folder, meta, progress)
        if not meta.clips:
            return None
        with pa.memory_map(str(folder / meta.rows)) as source:
            rows = pa.ipc.open_file(source).read_all()
        vectors_ND = np.memmap(folder / meta.vectors, DTYPE, "r", shape=(meta.clips, meta.dims))
        return SearchIndex(vectors_ND=vectors_ND, rows=rows, num_new=num_new)


def _refresh(dataset: Dataset, folder: Path, former: _Meta | None, progress: Progress) -> tuple[_Meta, int]:
    """Write an index of the newest commit; return it, and how many embeddings were read.

    Clips that no commit touched since keep their rows.
    """
    request = requests(dataset.commits).get(EMBEDDING)
    digest = request.digest if request else ""
    number, at = _commit(dataset)
    if former is not None and former.digest != digest:
        former = None
    touched = _touched(dataset, former)
    view = LiveView(dataset) if touched is None else ClipsView(dataset, touched)
    clips = embedded_clips(view)
    had = _read_rows(folder, former)
    is_touched_F = np.ones(len(had), bool) if touched is None else _is_in(had["clip_id"], touched)
    kept_F = ~is_touched_F | _is_in(had["clip_id"], clips.clip_id)
    num_kept = int(kept_F.sum())
    new = _take(clips, np.flatnonzero(~_is_in(clips.clip_id, had["clip_id"])))
    dims = former.dims if former and num_kept else 0
    meta = _Meta(
        format=FORMAT,
        commit=number,
        at=at,
        digest=digest,
        clips=num_kept + len(new.clip_id),
        dims=dims,
        vectors=former.vectors if former and kept_F.all() and num_kept else f"vectors-{uuid4().hex[:12]}.f16",
        rows=f"rows-{number}-{uuid4().hex[:12]}.arrow",
    )
    progress("index", 0, len(new.clip_id))
    with (folder / meta.vectors).open("ab") as out:
        if former and meta.vectors == former.vectors:
            out.truncate(former.clips * dims * DTYPE.itemsize)  # drops what an interrupted run appended
        elif former and num_kept:
            _copy_kept(folder / former.vectors, former, kept_F, out)
        for first in range(0, len(new.clip_id), _CHUNK_CLIPS):
            part = _slice(new, first, _CHUNK_CLIPS)
            vectors_ND = read_embeddings(dataset, part)
            dims = dims or vectors_ND.shape[1]
            if vectors_ND.shape[1] != dims:
                raise ValueError(
                    f"embeddings of {dims} and of {vectors_ND.shape[1]} numbers under one digest"
                )
            out.write(vectors_ND.tobytes())
            progress("index", len(part.clip_id))
        out.flush()
        os.fsync(out.fileno())
    meta = replace(meta, dims=dims)
    _write_rows(folder / meta.rows, _merge(had.filter(pa.array(kept_F)), _index_rows(view, clips)))
    _replace_meta(folder, meta)
    return meta, len(new.clip_id)


def _touched(dataset: Dataset, former: _Meta | None) -> pa.Array | None:
    """Return the clips that commits touched since the index was written; None for any, or too many."""
    if former is None or not former.clips or former.commit >= dataset.number:
        return None
    older = dataset.commits[: former.commit + 1]
    if str(older[-1].at) != former.at or requests(older).get(EMBEDDING) != requests(dataset.commits).get(
        EMBEDDING
    ):
        return None
    touched = touched_clips(dataset, former.commit)
    return None if touched is None or len(touched) > _MAX_TOUCHED * former.clips else touched


def _read_rows(folder: Path, meta: _Meta | None) -> pa.Table:
    """Return `SearchIndex.rows` of an index; no rows without one."""
    if meta is None or not meta.clips:
        return pa.table({"clip_id": pa.chunked_array([], pa.string())})
    with pa.memory_map(str(folder / meta.rows)) as source:
        return pa.ipc.open_file(source).read_all()


def _merge(kept: pa.Table, found: pa.Table) -> pa.Table:
    """Return the rows of an index: `kept` with what was found of them, then the other ones of `found`."""
    if not len(kept):
        return found
    place = combine(pc.index_in(kept["clip_id"], value_set=combine(found["clip_id"])))
    known = {
        name: pc.if_else(place.is_valid(), combine(found[name]).take(place), combine(kept[name]))
        for name in kept.column_names
    }
    is_new_N = ~_is_in(found["clip_id"], kept["clip_id"])
    return pa.concat_tables([pa.table(known), found.filter(pa.array(is_new_N))])


def _is_in(values: pa.ChunkedArray | pa.Array, known: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return pc.is_in(combine(values), value_set=combine(known)).to_numpy(zero_copy_only=False).astype(bool)


def _copy_kept(path: Path, former: _Meta, kept_F: np.ndarray, out: Any) -> None:
    """Copy the vectors of the clips that stay; those of clips that were removed are nowhere then."""
    vectors_FD = np.memmap(path, DTYPE, "r", shape=(former.clips, former.dims))
    for first in range(0, former.clips, _CHUNK_CLIPS):
        chosen = vectors_FD[first : first + _CHUNK_CLIPS][kept_F[first : first + _CHUNK_CLIPS]]
        out.write(chosen.tobytes())


def _index_rows(view: LiveView, clips: EmbeddedClips) -> pa.Table:
    """Return the rows of `SearchIndex.rows`."""
    selections = view.read("selections", ["clip_id", "kept"])
    decided = pc.index_in(clips.clip_id, value_set=combine(selections["clip_id"]))
    return pa.table(
        {
            "clip_id": clips.clip_id,
            "clip_row": pa.array(clips.clip_row_N),
            "caption_row": _caption_rows(view, clips.clip_id),
            "kept": combine(selections["kept"]).take(decided),
        }
    )


def _caption_rows(view: LiveView, clip_id: pa.Array) -> pa.Array:
    """Return the row of the caption that counts of each clip's first media that has one; null for none."""
    captions = view.read("captions", ["clip_id", "media_id", "outcome"])
    if not len(captions):
        return pa.nulls(len(clip_id), pa.int64())
    captions = captions.append_column("row", pa.array(view.row_indices("captions")))
    captions = captions.filter(pc.equal(captions["outcome"], "ok"))
    media = view.read("media", ["media_id", "window_index"])
    window = combine(media["window_index"]).take(
        pc.index_in(combine(captions["media_id"]), value_set=combine(media["media_id"]))
    )
    captions = captions.append_column("window", pc.fill_null(window, 0)).sort_by("window")
    first = pc.index_in(clip_id, value_set=combine(captions["clip_id"]))
    return combine(captions["row"]).take(first)


def _take(clips: EmbeddedClips, index_N: np.ndarray) -> EmbeddedClips:
    return EmbeddedClips(
        clip_id=clips.clip_id.take(pa.array(index_N)),
        clip_row_N=clips.clip_row_N[index_N],
        score_row_N=clips.score_row_N[index_N],
    )


def _slice(clips: EmbeddedClips, first: int, count: int) -> EmbeddedClips:
    return _take(clips, np.arange(first, min(first + count, len(clips.clip_id))))


def _write_rows(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())


def _read_meta(folder: Path) -> _Meta | None:
    """Return what the index holds; None if there is none of this format with all its files."""
    try:
        values = json.loads((folder / _META).read_text())
        meta = _Meta(**values)
        whole = meta.clips * meta.dims * DTYPE.itemsize
        is_whole = (folder / meta.rows).is_file() and (folder / meta.vectors).stat().st_size >= whole
    except (OSError, ValueError, TypeError):
        return None
    return meta if meta.format == FORMAT and is_whole else None


def _replace_meta(folder: Path, meta: _Meta) -> None:
    """Let the index be what `meta` says, and delete the files of the former one."""
    with replacing(folder / _META) as partial:
        partial.write_text(json.dumps(asdict(meta)))
    for path in folder.iterdir():
        if path.name.startswith(("vectors-", "rows-")) and path.name not in (meta.vectors, meta.rows):
            path.unlink()


def _commit(dataset: Dataset) -> tuple[int, str]:
    return dataset.number, str(dataset.commits[-1].at) if dataset.commits else ""


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
