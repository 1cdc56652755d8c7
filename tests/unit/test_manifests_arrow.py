"""Digests and keys of whole columns are those of single values, which datasets and shard sets have stored."""

import random

import pyarrow as pa
import pytest

from manifests.arrow import digest_texts
from manifests.digest import digest_parts
from manifests.records import Media, caption_digest
from manifests.review.decisions import caption_digests
from manifests.shards import sample_keys
from pipeline.pack.samples import COLUMNS
from pipeline.pack.samples import caption_digests as content_digests

WORDS = ["", "a", "None", "zwölf Boxkämpfer", "a\x1fb", "日本", "x" * 500, "=", "\n"]


def texts(count: int, seed: int, *, nulls: bool = True) -> list[str | None]:
    rng = random.Random(seed)
    return [rng.choice([*WORDS, *([None] if nulls else [])]) for _ in range(count)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("nulls", [True, False])
def test_digests_of_texts(kind, nulls):
    values = texts(200, 1, nulls=nulls)
    wanted = [None if value is None else digest_parts(value) for value in values]
    whole = pa.array(values, kind)
    assert digest_texts(whole).to_pylist() == wanted
    assert digest_texts(whole.slice(31, 50)).to_pylist() == wanted[31:81]
    chunked = pa.chunked_array([whole.slice(0, 7), whole.slice(7, 0), whole.slice(7)])
    assert digest_texts(chunked).to_pylist() == wanted
    assert digest_texts(pa.chunked_array([], kind)).to_pylist() == []


def test_digests_of_captions():
    columns = {name: texts(300, seed) for seed, name in enumerate(("short", "medium", "text"))}
    wanted = [caption_digest(*row) for row in zip(*columns.values(), strict=True)]
    assert caption_digests(pa.table(columns).slice(0, 300)).to_pylist() == wanted


def test_digests_of_what_a_sample_takes_of_its_caption():
    columns = {name: texts(300, seed) for seed, name in enumerate(COLUMNS["captions"])}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    wanted = [
        digest_parts(
            *(cell for name, cell in row.items() if name not in ("medium", "parts") or cell is not None)
        )
        for row in rows
    ]
    assert content_digests(pa.table(columns)).to_pylist() == wanted


def test_keys_of_samples():
    about = {"encoding": "e", "path": "p", "offset": 0, "length": 1, "extension": "mp4", "num_frames": 1}
    about |= {"height": 1, "width": 1, "fps": 1.0, "duration_s": 1.0}
    media = [
        Media(media_id="m", clip_id="c", window_index=index, num_windows=windows, **about)
        for index, windows in ((0, 0), (0, 1), (0, 3), (12, 30), (999, 2000), (1234, 2000))
    ]
    names = ("clip_id", "num_windows", "window_index")
    table = pa.table({name: [getattr(each, name) for each in media] for name in names})
    assert sample_keys(table).to_pylist() == [each.key for each in media]
