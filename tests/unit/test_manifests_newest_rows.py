"""Live rows by integer codes are those that a walk through the rows finds."""

import random

import pyarrow as pa

from manifests.newest_rows import (
    first_rows,
    key_codes,
    last_rows,
    made_by,
    newest_analyses,
    newest_cuts,
    newest_sources,
)

_SOURCES = pa.schema([(name, pa.string()) for name in ("uri", "source_key", "status", "source_digest")])
_REMOVALS = pa.schema(
    [
        ("uri", pa.string()),
        ("source_key", pa.string()),
        ("source_digest", pa.string()),
        ("whole_uri", pa.bool_()),
    ]
)


def test_keys_of_several_columns_and_nulls():
    rows = pa.table({"a": ["x", None, "x", None, "y"], "b": [1, 2, 1, 2, None]})
    codes_R = key_codes(rows, ["a", "b"])
    assert [*codes_R] == [codes_R[2], codes_R[3], codes_R[0], codes_R[1], codes_R[4]]
    assert len({*codes_R.tolist()}) == 3
    assert sorted(last_rows(codes_R).tolist()) == [2, 3, 4]
    assert sorted(first_rows(codes_R).tolist()) == [0, 1, 4]


def test_random_histories_of_sources_analyses_and_cuts():
    for seed in range(60):
        draw = random.Random(seed)
        sources = [
            {"uri": uri, "source_key": key, "status": draw.choice(["ok", "failed"]), "source_digest": digest}
            for uri, key in (draw.choice([("u", "u1"), ("u", "u2"), ("v", "v1")]) for _ in range(6))
            for digest in (draw.choice([None, f"d{key}"]),)
        ]
        removals = [
            {"uri": row["uri"], "source_key": row["source_key"], "source_digest": row["source_digest"],
             "whole_uri": draw.random() < 0.3}
            for row in draw.sample(sources, draw.randrange(2))
        ]  # fmt: skip
        table = pa.Table.from_pylist(sources, schema=_SOURCES)
        live = {row["uri"]: place for place, row in enumerate(sources)}
        kept = {uri: place for uri, place in live.items() if not _is_removed(sources[place], removals)}
        found = newest_sources(table, pa.Table.from_pylist(removals, schema=_REMOVALS))
        assert sorted(found.tolist()) == sorted(kept.values())
        ok = {}
        for place, row in enumerate(sources):
            is_live = row["uri"] in kept and sources[kept[row["uri"]]]["source_key"] == row["source_key"]
            if is_live and row["status"] == "ok":
                ok[row["uri"]] = place
        assert sorted(newest_analyses(table, found).tolist()) == sorted(ok.values())


def _is_removed(row: dict, removals: list[dict]) -> bool:
    return any(
        (gone["whole_uri"] and gone["uri"] == row["uri"])
        or gone["source_key"] == row["source_key"]
        or (gone["source_digest"] is not None and gone["source_digest"] == row["source_digest"])
        for gone in removals
    )


def test_rows_of_an_analysis_are_not_older_than_it():
    rows = pa.table(
        {"source_key": ["a", "a", "a", "b"], "analysis": ["1", "1", "2", "1"], "at": [1, 3, 3, 3]}
    )
    analyses = pa.table({"source_key": ["a"], "analysis": ["1"], "at": [2]})
    assert made_by(rows, analyses, "at").tolist() == [False, True, False, False]


def test_windows_of_the_last_cut_alone_are_live():
    media = pa.table(
        {"clip_id": ["a", "a", "a", "b", "c"], "window_index": [0, 1, 0, 0, 0], "at": [1, 1, 2, 1, 1]}
    )
    kept = pa.chunked_array([["a", "b"]])
    assert sorted(newest_cuts(media, kept, "at").tolist()) == [2, 3]
