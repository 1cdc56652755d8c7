"""Everything adds up, and when it does not, it is said."""

from dataclasses import replace
from pathlib import Path

import pytest

from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import (
    Caption,
    Clip,
    Failure,
    Gap,
    Media,
    Outcome,
    Selection,
    SourceRow,
    SourceStatus,
)

SOURCE = SourceRow(
    source_key="s",
    uri="/s.mp4",
    size_bytes=1,
    etag="1",
    carried="{}",
    analysis="a",
    status=SourceStatus.OK,
    source_digest="d",
    kind="video",
    codec="h264",
    width=64,
    height=48,
    fps=10.0,
    start_pts=5,
    end_pts=105,
    time_base_num=1,
    time_base_den=10,
    num_frames=100,
)
CLIPS = [
    Clip(
        clip_id=f"c{start}",
        source_key="s",
        source_digest="d",
        uri="/s.mp4",
        kind="video",
        stream_index=0,
        start_pts=start,
        end_pts=end,
        time_base_num=1,
        time_base_den=10,
        num_frames=end - start,
        height=48,
        width=64,
        analysis="a",
    )
    for start, end in [(5, 45), (50, 105)]
]
GAP = Gap(source_key="s", start_pts=45, end_pts=50, reason="shot_too_short", analysis="a")
KEPT = Selection(clip_id="c5", kept=True, reason="kept", detail="", rules="r")
DROPPED = Selection(clip_id="c50", kept=False, reason="black", detail="1 > 0.5", rules="r")
MEDIA = Media(
    media_id="m5",
    clip_id="c5",
    encoding="e",
    path="media/x.tar",
    offset=512,
    length=9,
    extension="mp4",
    num_frames=40,
    height=48,
    width=64,
    fps=10.0,
    duration_s=4.0,
)
CAPTION = Caption(
    clip_id="c5",
    media_id="m5",
    outcome=Outcome.OK,
    text="dense",
    short="short",
    captioner="vlm",
    model="m",
    revision="r",
    prompt_digest="p",
    decoding="{}",
    frames_shown=(0,),
    version="v",
)
WHOLE = {
    "sources": [SOURCE],
    "clips": CLIPS,
    "gaps": [GAP],
    "selections": [KEPT, DROPPED],
    "media": [MEDIA],
    "captions": [CAPTION],
}


def store(root: Path, rows: dict) -> Dataset:
    dataset = Dataset.create(root)
    parts = tuple(dataset.write_records(table, records) for table, records in rows.items() if records)
    return dataset.commit(Commit(stage="test", added=parts))


def failed(stage: str, unit: str) -> Failure:
    return Failure(stage=stage, unit=unit, uri="/s.mp4", code="X", message="m", remedy="r", config="c")


def test_a_whole_dataset_adds_up(tmp_path):
    dataset = store(tmp_path, WHOLE)
    assert conservation.violations(dataset) == []
    funnel = conservation.funnel(dataset)
    assert funnel["sources"] == {"listed": 1, "ok": 1, "failed": {}, "removed": 0}
    assert funnel["clips"]["gaps"] == {"shot_too_short": 1}
    assert funnel["clips"]["seconds"] == pytest.approx(9.5)
    assert funnel["selection"] == {"kept": 1, "dropped": {"black": 1}, "undecided": 0, "review": {}}
    assert funnel["cut"] == {"done": 1, "failed": {}, "to_do": 0, "media": 1, "windowed": 0, "seconds": 4.0}
    assert funnel["captions"] == {"ok": 1, "other": {}, "to_do": 0, "by": {"vlm": 1}}
    assert funnel["caption_versions"] == {"v": {"ok": 1, "failed": 0, "counts": 1, "packed": {}}}


def window(index: int, start: int, end: int, **changes) -> Media:
    about = {"media_id": f"m5-{index}", "window_index": index, "num_windows": 2, "num_frames": end - start}
    return replace(MEDIA, **about, window_start_pts=start, window_end_pts=end, **changes)


WINDOWS = [window(0, 5, 27), window(1, 27, 45)]


def test_a_clip_in_windows_adds_up(tmp_path):
    captions = [replace(CAPTION, media_id=row.media_id) for row in WINDOWS]
    dataset = store(tmp_path, WHOLE | {"media": WINDOWS, "captions": captions})
    assert conservation.violations(dataset) == []
    funnel = conservation.funnel(dataset)
    assert (funnel["cut"]["done"], funnel["cut"]["media"], funnel["cut"]["to_do"]) == (1, 2, 0)
    assert (funnel["captions"]["ok"], funnel["captions"]["to_do"]) == (2, 0)


def test_the_media_of_a_clip_are_those_of_its_newest_cut(tmp_path):
    dataset = store(tmp_path, WHOLE | {"media": WINDOWS, "captions": []})
    assert LiveView(dataset).media["media_id"].to_pylist() == ["m5-0", "m5-1"]
    thirds = [window(n, start, end) for n, (start, end) in enumerate([(5, 18), (18, 32), (32, 45)])]
    view = LiveView(dataset)
    assert view.media.num_rows == 2
    dataset = dataset.commit(Commit(stage="cut", added=(dataset.write_records("media", thirds),)))
    assert view.advanced_to(dataset).media["window_end_pts"].to_pylist() == [18, 32, 45]
    whole = replace(window(0, 5, 45), media_id="whole", num_windows=1)
    dataset = dataset.commit(Commit(stage="cut", added=(dataset.write_records("media", [whole]),)))
    assert LiveView(dataset).media["media_id"].to_pylist() == ["whole"]
    assert LiveView(Dataset.open(tmp_path, at=dataset.number - 1)).media.num_rows == 3


def test_a_caption_of_any_one_length_is_whole(tmp_path):
    texts = ({"text": None}, {"short": None}, {"text": None, "short": None, "medium": "m"})
    for number, fields in enumerate(texts):
        dataset = store(tmp_path / str(number), WHOLE | {"captions": [replace(CAPTION, **fields)]})
        assert conservation.violations(dataset) == []


def test_captions_are_counted_by_version_and_by_the_last_pack(tmp_path):
    failed_again = replace(CAPTION, version="w", outcome=Outcome.EMPTY, text=None, short=None)
    rows = WHOLE | {"captions": [CAPTION, failed_again], "failures": [failed("caption", "m5")]}
    dataset = store(tmp_path, rows)
    for packed in ({"w": {"short": 9}}, {"v": {"short": 1}}):
        dataset = dataset.commit(Commit(stage="pack", config={"packed": packed}))
    assert conservation.funnel(dataset)["caption_versions"] == {
        "v": {"ok": 1, "failed": 0, "counts": 1, "packed": {"short": 1}},
        "w": {"ok": 0, "failed": 1, "counts": 0, "packed": {}},
    }


def test_a_failed_source_is_neither_clip_nor_score(tmp_path):
    bad = replace(
        SOURCE, source_key="b", uri="/b.mp4", status=SourceStatus.FAILED, start_pts=None, end_pts=None
    )
    rows = {**WHOLE, "sources": [SOURCE, bad], "failures": [failed("analyze", "b")]}
    dataset = store(tmp_path, rows)
    assert conservation.violations(dataset) == []
    assert conservation.funnel(dataset)["sources"] == {"listed": 2, "ok": 1, "failed": {"X": 1}, "removed": 0}


def test_an_analysis_repeated_under_its_name_takes_the_place_of_the_rows_and_failures_before(tmp_path):
    unscored = replace(failed("score logo", "c5"), config="a")
    dataset = store(tmp_path, {**WHOLE, "failures": [unscored]})
    assert LiveView(dataset).failures["stage"].to_pylist() == ["score logo"]
    whole = replace(CLIPS[0], clip_id="c", end_pts=105)
    again = {"sources": [SOURCE], "clips": [whole], "failures": [replace(unscored, unit="c")]}
    dataset = store(tmp_path, again)
    assert LiveView(dataset).clips["clip_id"].to_pylist() == ["c"]
    assert LiveView(dataset).failures["unit"].to_pylist() == ["c"]
    assert conservation.violations(dataset) == []
    dataset = store(tmp_path, {"sources": [SOURCE], "clips": CLIPS, "gaps": [GAP]})
    assert LiveView(dataset).failures.num_rows == 0
    assert conservation.violations(dataset) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gaps": []}, "do not tile"),
        ({"gaps": [replace(GAP, end_pts=51)]}, "do not tile"),
        ({"clips": CLIPS[:1]}, "do not tile"),
        ({"sources": [replace(SOURCE, status=SourceStatus.FAILED)]}, "neither ok nor failed"),
        ({"selections": [replace(KEPT, reason="black"), DROPPED]}, "kept, dropped and undecided"),
        ({"selections": [KEPT, replace(DROPPED, review="nsfw")]}, "marked for review"),
        ({"media": [replace(MEDIA, num_frames=39)]}, "as many frames"),
        ({"media": [window(0, 5, 27), window(1, 27, 44)]}, "as many frames"),
        ({"media": [window(0, 5, 27), window(1, 27, 44)]}, "windows of a clip do not tile it"),
        ({"media": [window(0, 5, 27), window(1, 28, 45)]}, "windows of a clip do not tile it"),
        ({"media": [window(1, 27, 45)]}, "windows of a clip do not tile it"),
        ({"captions": [replace(CAPTION, text=None, short=None)]}, "OK without a text"),
        ({"captions": [replace(CAPTION, outcome=Outcome.EMPTY)]}, "a text without being OK"),
        (
            {"captions": [replace(CAPTION, outcome=Outcome.EMPTY, text=None, short=None)]},
            "no row of its failure",
        ),
    ],
)
def test_each_loss_is_named(tmp_path, changes, said):
    violations = conservation.violations(store(tmp_path, WHOLE | changes))
    assert any(said in violation for violation in violations)


def test_a_failed_analysis_hides_no_clips_of_an_earlier_one(tmp_path):
    dataset = store(tmp_path, WHOLE)
    fails = replace(SOURCE, analysis="b", status=SourceStatus.FAILED, start_pts=None, end_pts=None)
    dataset = store(tmp_path, {"sources": [fails], "failures": [failed("analyze", SOURCE.source_key)]})
    assert LiveView(dataset).clips["clip_id"].to_pylist() == [clip.clip_id for clip in CLIPS]
    assert LiveView(dataset).captions().num_rows == 1
    assert LiveView(dataset).failures["stage"].to_pylist() == ["analyze"]
    assert conservation.violations(dataset) == []
    replaced = replace(fails, source_key="other bytes")
    dataset = store(tmp_path, {"sources": [replaced], "failures": [failed("analyze", "other bytes")]})
    assert LiveView(dataset).clips.num_rows == 0
