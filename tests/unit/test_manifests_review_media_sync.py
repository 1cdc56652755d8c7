"""A new selection, score or pack writes the media that differ, and no others."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pytest
import reviewed_dataset as made
from reviewed_dataset import M, open_desk

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Selection
from manifests.review import media_sync
from manifests.review.cards import RuleResult
from manifests.review.desk import ReviewDesk
from manifests.review.messages import QueueFilter
from manifests.scores import STAGE, ScorerRequest


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """The media that are written, as they come."""
    found: list[str] = []
    write = media_sync._write

    def noted(database, batch, generation):
        found.extend(batch["media_id"].to_pylist())
        return write(database, batch, generation)

    monkeypatch.setattr(media_sync, "_write", noted)
    return found


def select(uri: str, *numbers: int, **fields: Any) -> None:
    values = {"kept": True, "reason": "kept", "detail": "", "rules": "r", "review": ""} | fields
    rows = [Selection(clip_id=f"c{number:03d}", **values) for number in numbers]
    made.commit(Dataset.open(uri), "select", selections=rows)


def members(desk: ReviewDesk, stratum: str) -> set[str]:
    page = desk.queue(QueueFilter(stratum=stratum), reviewer="ann", limit=50)
    return {item.media_id for item in page.items}


def test_what_a_selection_decides_anew_is_written_alone(uri, tmp_path, written):
    with open_desk(uri, tmp_path) as desk:
        assert sorted(written) == M
        written.clear()
        select(uri, *range(20))  # all as they were but for the one in a band
        desk.sync()
        assert (written, members(desk, "band")) == ([M[5]], set())
        written.clear()
        select(uri, 7, review="nsfw")
        select(uri, 4, kept=False, reason="dark")
        desk.sync()
        assert (written, members(desk, "band")) == ([M[7]], {M[7]})
        assert members(desk, "all") == {*M} - {M[4]}
        written.clear()
        select(uri, 4)
        desk.sync()
        assert (written, members(desk, "all")) == ([M[4]], {*M})


def test_new_scores_and_buckets_are_written_where_they_change_something(uri, tmp_path, written):
    with open_desk(uri, tmp_path) as desk:
        written.clear()
        dataset = Dataset.open(uri)
        row = {"clip_id": "c003", "scorer": "text", "digest": "A", "text_area": 0.5}
        part = dataset.write_part("scores", pa.Table.from_pylist([row]))
        request = ScorerRequest(scorer="text", digest="A", columns={"text_area": "float64"})
        dataset = dataset.commit(
            Commit(stage=STAGE, added=(part,), config={"requests": [asdict(request)]}), rebase=True
        )
        desk.sync()
        assert desk.card(M[3], reviewer="ann").scores["text_area"] == 0.5
        assert written == [M[3]]
        written.clear()
        rows = [row | {"clip_id": "c008", "text_area": 0.25}]
        part = dataset.write_part("scores", pa.Table.from_pylist(rows))
        dataset = dataset.commit(Commit(stage="analyze", added=(part,)), rebase=True)
        desk.sync()
        assert (written, desk.card(M[8], reviewer="ann").scores["text_area"]) == ([M[8]], 0.25)
        written.clear()
        config = {"buckets": ["9x360x640", "1x360x640"], "fps": 8.0, "max_crop": 0.2}
        dataset.commit(Commit(stage="pack", config=config), rebase=True)
        desk.sync()
        assert sorted(written) == M
        assert members(desk, "bucket:9x360x640") == {*M[:15]}
        card = desk.card(M[0], reviewer="ann")
        assert card.pack_fps == 8.0
        assert [(each.from_frames, each.name, each.num_frames) for each in card.span_buckets] == [
            (1, "1x360x640", 1),
            (9, "9x360x640", 9),
        ]
        assert desk.card(M[16], reviewer="ann").span_buckets == ()  # portrait: no bucket takes it


class Limits:
    """Rules with one limit on motion."""

    columns: Sequence[str] = ("motion",)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    @property
    def digest(self) -> str:
        return str(self.limit)

    def nearest(self, clips: pa.Table) -> pa.Table:
        margin = pc.abs(pc.divide(pc.subtract(clips["motion"], self.limit), self.limit))
        return pa.table({"margin": margin, "detail": pa.array(["motion"] * len(clips))})

    def check(self, clip: Mapping[str, Any]) -> Sequence[RuleResult]:
        return ()


def test_other_limits_change_the_media_and_read_no_caption_again(uri, tmp_path, monkeypatch):
    read: list[str] = []
    with open_desk(uri, tmp_path, rules=Limits(0.105)) as desk:
        assert members(desk, "near") == {M[9], M[10], M[11]}
    with monkeypatch.context() as patch:
        read_part = Dataset.read_part
        patch.setattr(
            Dataset,
            "read_part",
            lambda self, part, *rest: (read.append(part.table), read_part(self, part, *rest))[1],
        )
        with open_desk(uri, tmp_path, rules=Limits(0.155)) as desk:
            assert members(desk, "near") == {M[14], M[15], M[16]}
            assert desk.search("ball", reviewer="ann").total == 20
    assert "captions" not in read
    assert LiveView(Dataset.open(uri)).reviews.num_rows == 0
