"""The live rows of some clips are those of the whole view; a commit changes those of touched clips alone."""

import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import search as made
from kinora.search.index import open_index
from manifests.clips_view import ClipsView, touched_clips
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.scores import STAGE, ScorerRequest

COLUMNS = {
    "clips": ["clip_id", "source_key", "embedding"],
    "scores": ["clip_id", "scorer", "digest"],
    "selections": ["clip_id", "kept"],
    "media": ["clip_id", "media_id", "window_index"],
    "captions": ["clip_id", "media_id", "version", "text"],
}
STEPS = ("analyze", "again", "select", "cut", "caption", "ask", "embed", "model", "fail")


class History:
    """A dataset that grows by random commits: sources that change, selections, cuts, captions, embeddings."""

    def __init__(self, uri: str, seed: int) -> None:
        self.rng, self.dataset = random.Random(seed), Dataset.create(uri)
        self.uris: dict[str, list[str]] = {}
        self.model, self.count = "a", 0

    def clips(self) -> list[str]:
        live = LiveView(self.dataset).read("clips", ["clip_id"])["clip_id"].to_pylist()
        return self.rng.sample(live, self.rng.randint(1, len(live))) if live else []

    def commit(self, stage: str, digest: str = "", **tables: pa.Table) -> None:
        parts = tuple(self.dataset.write_part(name, rows) for name, rows in tables.items())  # type: ignore
        config = {"requests": (asdict(self.request()),)} if stage == STAGE else {}
        self.dataset = self.dataset.commit(
            Commit(stage=stage, added=parts, config=config, config_digest=digest)
        )

    def request(self) -> ScorerRequest:
        return ScorerRequest(scorer="embedding", digest=self.model, columns={"embedding": "binary"})

    def step(self, kind: str) -> None:
        if kind in ("analyze", "again", "fail"):
            self.analyze(kind)
        elif kind == "model":
            self.model = self.rng.choice("ab")
            self.commit(STAGE, self.model)
        elif kind == "ask":  # an earlier version counts again
            self.commit("caption", self.rng.choice(["v1", "v2"]))
        elif ids := self.clips():
            getattr(self, kind)(ids)

    def analyze(self, kind: str) -> None:
        uri = self.rng.choice([*self.uris]) if kind != "analyze" and self.uris else f"/raw/{len(self.uris)}"
        key = f"{uri}@{self.rng.randint(0, 1)}"
        status = "corrupt" if kind == "fail" else "ok"
        analysis = self.rng.choice(["x", "y"])
        source = made._rows(made._SOURCE, source_key=[key], uri=[uri], status=[status], analysis=[analysis])
        self.uris.setdefault(uri, [])
        if status != "ok":
            self.commit("analyze", sources=source)
            return
        shared = [name for names in self.uris.values() for name in names]
        own = [f"clip-{self.count + n}" for n in range(3)] + self.rng.sample(shared, min(2, len(shared)))
        self.count += 3
        self.uris[uri] = own
        columns = {"clip_id": own, "source_key": [key] * len(own), "uri": [uri] * len(own)}
        clips = made._rows(made._CLIP, **columns, analysis=[analysis] * len(own))
        self.commit("analyze", sources=source, clips=clips)

    def select(self, ids: list[str]) -> None:
        kept = [self.rng.random() < 0.8 for _ in ids]
        self.commit("select", selections=made._rows(made._SELECTION, clip_id=ids, kept=kept))

    def cut(self, ids: list[str]) -> None:
        windows = [(name, index) for name in ids for index in range(self.rng.randint(1, 2))]
        media = [f"m-{name}-{index}" for name, index in windows]
        columns: dict[str, Any] = {"clip_id": [name for name, _ in windows], "media_id": media}
        columns["window_index"] = [index for _, index in windows]
        self.commit("cut", media=made._rows(made._MEDIA, **columns))

    def caption(self, ids: list[str]) -> None:
        version = self.rng.choice(["v1", "v2"])
        media = [f"m-{name}-0" for name in ids]
        outcome = [self.rng.choice(["ok", "ok", "empty"]) for _ in ids]
        texts = [
            f"{name} {self.rng.random()}" if good == "ok" else None
            for name, good in zip(ids, outcome, strict=True)
        ]
        columns = {"clip_id": ids, "media_id": media, "version": [version] * len(ids), "outcome": outcome}
        self.commit(
            self.rng.choice(["caption", "import"]),
            version,
            captions=made._rows(made._CAPTION, **columns, text=texts),
        )

    def embed(self, ids: list[str]) -> None:
        vectors = [np.array([hash(name) % 7, 1, 2, 3], "<f2").tobytes() for name in ids]
        columns = {"scorer": ["embedding"] * len(ids), "digest": [self.model] * len(ids)}
        self.commit(STAGE, self.model, scores=pa.table({"clip_id": ids, **columns, "embedding": vectors}))


def rows(view: LiveView, name: Any, chosen: set[str] | None = None) -> list[dict[str, Any]]:
    """Return the live rows of some clips, with their indices in the table."""
    found = view.read(name, COLUMNS[name]).to_pylist()
    places = view.row_indices(name).tolist()
    return [
        row | {"row": place}
        for row, place in zip(found, places, strict=True)
        if chosen is None or row["clip_id"] in chosen
    ]


def histories(tmp_path: Path, seed: int) -> Iterator[tuple[Dataset, Dataset]]:
    """Yield the dataset before and after each of 40 random commits."""
    history = History(str(tmp_path / "d"), seed)
    for kind in ("analyze", "embed", *history.rng.choices(STEPS, k=40)):
        before = history.dataset
        history.step(kind)
        yield before, history.dataset


@pytest.mark.parametrize("seed", range(3))
def test_commits_change_live_rows_of_touched_clips_alone_and_these_are_those_of_the_whole(tmp_path, seed):
    any_clip = 0
    for before, after in histories(tmp_path, seed):
        if after.number == before.number:
            continue
        touched = touched_clips(after, before.number)
        any_clip += touched is None
        whole, former = LiveView(after), LiveView(before)
        if touched is None or former.scorer_requests != whole.scorer_requests:
            touched = whole.read("clips", ["clip_id"])["clip_id"].combine_chunks()
        ids = {*touched.to_pylist()}
        some = ClipsView(after, touched)
        for name in COLUMNS:
            assert rows(some, name) == rows(whole, name, ids)
        every = {row["clip_id"] for view in (whole, former) for row in rows(view, "clips")}
        if former.scorer_requests == whole.scorer_requests and touched_clips(after, before.number):
            for name in COLUMNS:
                assert rows(whole, name, every - ids) == rows(former, name, every - ids)
        assert some.caption_requests() == whole.caption_requests()
    assert 0 < any_clip < 15  # another caption version counts


@pytest.mark.parametrize("seed", range(3))
def test_an_index_that_followed_each_commit_is_one_that_is_built_anew(tmp_path, seed, monkeypatch):
    monkeypatch.setattr("kinora.search.index._MAX_TOUCHED", 1.0)
    for number, (_, after) in enumerate(histories(tmp_path, seed)):
        followed = open_index(after, tmp_path / "followed")
        anew = open_index(after, tmp_path / f"anew-{number}")
        assert (followed is None) == (anew is None)
        if followed is None or anew is None:
            continue
        found, expected = (
            {row.pop("clip_id"): row for row in index.rows.to_pylist()} for index in (followed, anew)
        )
        assert found == expected
        vectors, wanted = (
            dict(zip(index.rows["clip_id"].to_pylist(), index.vectors_ND.tolist(), strict=True))
            for index in (followed, anew)
        )
        assert vectors == wanted
