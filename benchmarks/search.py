"""Measure `kinora search` over a million clips: `kinora bench search`.

The dataset is made: random unit vectors of 512 numbers, and rows with no more columns than a search reads.

Legend: N clips, D embedding dimensions.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.run_command import kinora
from kinora.bench.figures import Figures
from kinora.search.found import find_like, read_found
from kinora.search.index import SearchIndex, open_index
from kinora.search.rank import best, cosines
from kinora.search.where import where_mask
from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.records import Caption, Clip, Media, Outcome, Selection, SourceRow, SourceStatus
from manifests.scores import STAGE, ScorerRequest

CLIPS, QUICK_CLIPS, DIMS = 1_000_000, 20_000, 512
ADDED = 1_000
"""Clips that are added to a searched dataset."""
LIMIT_S = 1.0
_PART_CLIPS = 10_000
_CLIPS_PER_SOURCE = 10
_TURNS = 5
_REQUEST = ScorerRequest(scorer="embedding", digest="made", columns={"embedding": "binary"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Time:
    seconds: float
    cpu_s: float


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure; times are elapsed and of the processor, medians of five but for those of single events."""
    figures: dict[str, float] = {"limit_s": LIMIT_S, "dims": DIMS}
    times: dict[str, _Time] = {}
    with tempfile.TemporaryDirectory(prefix="kinora-search-") as scratch:
        count = QUICK_CLIPS if quick else CLIPS
        uri, folder = str(Path(scratch) / "d"), Path(scratch) / "index"
        dataset = make(uri, count, seed=seed)
        index, times["build"] = _timed(lambda: open_index(dataset, folder))
        dataset = _add(dataset, count, ADDED, seed)
        index, times["add"] = _timed(lambda: open_index(dataset, folder))
        assert index is not None
        figures |= {"clips": len(index.rows), "added": index.num_new}
        index, times["open"] = _median(lambda: open_index(Dataset.open(uri), folder))
        assert index is not None
        query_D = _unit(np.random.default_rng([seed, 1]), 1)[0]
        cosine_N, times["rank"] = _median(lambda: cosines(index.vectors_ND, query_D))
        chosen, times["best"] = _median(lambda: best(cosine_N, 20))
        figures["same_as_exact"] = float(np.mean(chosen == _exact(index.vectors_ND, query_D)))
        like = index.rows["clip_id"][0].as_py()
        found, times["like"] = _median(lambda: _like(uri, folder, like))
        assert len(found) == 10
        mask_N, times["where"] = _timed(lambda: where_mask(dataset, index, "kept AND end_pts > 20"))
        figures["where_clips"] = int(mask_N.sum())
        run = kinora(["search", "--dataset", uri, "--index", str(folder), "--like", like], Path(scratch))
        times["process"] = _Time(seconds=run.seconds, cpu_s=run.cpu_s)
        figures["process_rss_mb"] = round(run.peak_rss_mb, 1)
        figures["index_mb"] = round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1)
        times["duckdb_rank"] = _duckdb(index, query_D)
    for name, found in times.items():
        figures |= {f"{name}_s": round(found.seconds, 3), f"{name}_cpu_s": round(found.cpu_s, 3)}
    lines = [
        f"{name:<12} {found.seconds:8.2f} s {found.cpu_s:8.2f} s of processor"
        for name, found in times.items()
    ]
    head = f"{figures['clips']:.0f} clips of {DIMS} numbers; index {figures['index_mb']:.0f} MB"
    peak = f"peak memory of the process that searches {figures['process_rss_mb']:.0f} MB"
    same = f"of the first 20 as in double precision: {figures['same_as_exact']:.0%}"
    return Figures(figures=figures, text="\n".join([head, *lines, peak, same]))


def _like(uri: str, folder: Path, like: str) -> list[dict[str, Any]]:
    """Search as the command does."""
    dataset = Dataset.open(uri)
    index = open_index(dataset, folder)
    assert index is not None
    vector_D = index.vectors_ND[find_like(index, like)].astype(np.float32)
    cosine_N = cosines(index.vectors_ND, vector_D)
    return read_found(dataset, index, best(cosine_N, 10), cosine_N)


def make(uri: str, clips: int, *, seed: int) -> Dataset:
    """Write a dataset whose clips have embeddings, captions and a selection."""
    dataset = Dataset.create(uri)
    requests = {"requests": (asdict(_REQUEST),)}
    dataset = dataset.commit(Commit(stage=STAGE, config=requests, config_digest="made"))
    for first in range(0, clips, 10 * _PART_CLIPS):
        dataset = _add(dataset, first, min(10 * _PART_CLIPS, clips - first), seed)
    return dataset


def _add(dataset: Dataset, first: int, count: int, seed: int) -> Dataset:
    """Commit clips with all their rows."""
    parts = []
    for begin in range(first, first + count, _PART_CLIPS):
        parts += _write(dataset, begin, min(_PART_CLIPS, first + count - begin), seed)
    return dataset.commit(Commit(stage="analyze", added=tuple(parts), config_digest="made"))


def _write(dataset: Dataset, first: int, count: int, seed: int) -> list[Any]:
    rng = np.random.default_rng([seed, 2, first])
    ids = [str(UUID(bytes=rng.bytes(16))) for _ in range(count)]
    numbers = np.arange(first, first + count) // _CLIPS_PER_SOURCE
    keys, uris = (
        [form.format(number) for number in numbers] for form in ("key-{}", "/raw/videos/{:09d}.mp4")
    )
    place_N = np.arange(first, first + count) % _CLIPS_PER_SOURCE
    spans = {"start_pts": pa.array(place_N * 4), "end_pts": pa.array(place_N * 4 + 4)}
    own = {"clip_id": ids, "source_key": keys, "uri": uris, **spans}
    each = slice(None, None, _CLIPS_PER_SOURCE)
    media = [f"m-{name}" for name in ids]
    vectors = [vector.tobytes() for vector in _unit(rng, count).astype("<f2")]
    scores = {
        "clip_id": ids,
        "scorer": [_REQUEST.scorer] * count,
        "digest": [_REQUEST.digest] * count,
        "embedding": vectors,
    }
    return [
        dataset.write_part("sources", _rows(_SOURCE, source_key=keys[each], uri=uris[each])),
        dataset.write_part("clips", _rows(_CLIP, **own)),
        dataset.write_part("scores", pa.table(scores)),
        dataset.write_part("selections", _rows(_SELECTION, clip_id=ids)),
        dataset.write_part("media", _rows(_MEDIA, clip_id=ids, media_id=media)),
        dataset.write_part("captions", _rows(_CAPTION, clip_id=ids, media_id=media)),
    ]


def _rows(example: Any, **columns: Any) -> pa.Table:
    """Return rows that are like one record but for some columns."""
    one = schemas.to_table(type(example), [example])
    count = len(next(iter(columns.values())))
    return pa.table(
        {name: columns.get(name, pa.repeat(one[name][0], count)) for name in one.column_names},
        schema=one.schema,
    )


def _unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors_ND = rng.standard_normal((count, DIMS), dtype=np.float32)
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


def _exact(vectors_ND: np.ndarray, query_D: np.ndarray) -> np.ndarray:
    """Return the first 20 by cosines in double precision."""
    query_D = query_D.astype(float)
    blocks = (vectors_ND[first : first + 4096] for first in range(0, len(vectors_ND), 4096))
    return best(np.concatenate([block.astype(float) @ query_D for block in blocks]), 20)


def _duckdb(index: SearchIndex, query_D: np.ndarray) -> _Time:
    """Time the same ranking by DuckDB over float32 in memory, which is twice the memory."""
    values = pa.array(index.vectors_ND.astype(np.float32).reshape(-1))
    table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(values, DIMS)})
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("t", table)
        cosine = f"array_inner_product(vector, $1::FLOAT[{DIMS}]) AS cosine"
        sql = f"SELECT {cosine} FROM t ORDER BY cosine DESC LIMIT 20"
        _, found = _median(lambda: connection.execute(sql, [query_D.tolist()]).fetchall(), turns=3)
    return found


def _timed(work: Callable[[], Any]) -> tuple[Any, _Time]:
    begin, cpu = time.monotonic(), time.process_time()
    done = work()
    return done, _Time(seconds=time.monotonic() - begin, cpu_s=time.process_time() - cpu)


def _median(work: Callable[[], Any], turns: int = _TURNS) -> tuple[Any, _Time]:
    runs = [_timed(work) for _ in range(turns)]
    seconds, cpu_s = zip(*((each.seconds, each.cpu_s) for _, each in runs), strict=True)
    return runs[-1][0], _Time(seconds=statistics.median(seconds), cpu_s=statistics.median(cpu_s))


_SOURCE = SourceRow(
    uri="",
    size_bytes=1,
    etag="1",
    carried="{}",
    source_key="",
    analysis="made",
    status=SourceStatus.OK,
    source_digest="d",
    kind="video",
    codec="h264",
    width=1280,
    height=720,
    fps=24.0,
    start_pts=0,
    end_pts=4 * _CLIPS_PER_SOURCE,
    time_base_num=1,
    time_base_den=1,
    num_frames=960,
)
_CLIP = Clip(
    clip_id="",
    source_key="",
    source_digest="d",
    uri="",
    kind="video",
    stream_index=0,
    start_pts=0,
    end_pts=4,
    time_base_num=1,
    time_base_den=1,
    num_frames=96,
    height=720,
    width=1280,
    analysis="made",
)
_SELECTION = Selection(clip_id="", kept=True, reason="kept", detail="", rules="made")
_MEDIA = Media(
    media_id="",
    clip_id="",
    encoding="e",
    path="media/made.tar",
    offset=0,
    length=1,
    extension="mp4",
    num_frames=96,
    height=720,
    width=1280,
    fps=24.0,
    duration_s=4.0,
    digest="d",
    window_index=0,
    num_windows=1,
    window_start_pts=0,
    window_end_pts=4,
)
_CAPTION = Caption(
    clip_id="",
    media_id="",
    outcome=Outcome.OK,
    text="A made caption, which says nothing of its clip.",
    short=None,
    captioner="import",
    model="made",
    revision="1",
    prompt_digest="p",
    decoding="{}",
    frames_shown=(0,),
    version="made-1",
)
