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
from manifests.dataset import Dataset
from manifests.embeddings import DTYPE, EMBEDDING, EmbeddedClips, embedded_clips, read_embeddings
from manifests.live_view import LiveView
from manifests.storage import describe_disk_full
from pipeline.runtime.progress import Progress, no_progress

FORMAT = 1
"""Version of this layout; another one is built again."""
_META = "index.json"
_CHUNK_CLIPS = 65_536
"""Clips whose embeddings are in memory at a time."""


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
    """Write an index of the newest commit; return it, and how many embeddings were read."""
    view = LiveView(dataset)
    clips = embedded_clips(view)
    request = view.scorer_requests.get(EMBEDDING)
    digest = request.digest if request else ""
    number, at = _commit(dataset)
    if former is not None and former.digest != digest:
        former = None
    order_N, kept_F = _in_order(folder, former, clips)
    num_kept, num_clips = int(kept_F.sum()), len(order_N)
    new = _take(clips, order_N[num_kept:])
    dims = former.dims if former and num_kept else 0
    meta = _Meta(
        format=FORMAT,
        commit=number,
        at=at,
        digest=digest,
        clips=num_clips,
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
    _write_rows(folder / meta.rows, _index_rows(view, _take(clips, order_N)))
    _replace_meta(folder, meta)
    return meta, len(new.clip_id)


def _in_order(folder: Path, former: _Meta | None, clips: EmbeddedClips) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of the clips in the index, those that it has first; and which of its clips stay."""
    if former is None or not former.clips:
        return np.arange(len(clips.clip_id)), np.zeros(0, bool)
    with pa.memory_map(str(folder / former.rows)) as source:
        had = combine(pa.ipc.open_file(source).read_all()["clip_id"])
    place_F = pc.index_in(had, value_set=clips.clip_id)
    kept_F = place_F.is_valid().to_numpy(zero_copy_only=False)
    is_new_N = pc.invert(pc.is_in(clips.clip_id, value_set=had)).to_numpy(zero_copy_only=False)
    places = place_F.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    return np.concatenate([places, np.flatnonzero(is_new_N)]), kept_F


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
    partial = folder / f".{_META}.partial"
    partial.write_text(json.dumps(asdict(meta)))
    partial.replace(folder / _META)
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
