"""The caption versions in `kinora status`, the warning of a mix, review bands and reviews."""

import json
from dataclasses import replace
from typing import Any

from small_dataset import VERSIONS, write_dataset
from test_manifests_caption_order import said
from test_manifests_conservation import CLIPS, DROPPED, KEPT, MEDIA, WHOLE, store

from kinora.cli.main import main
from manifests.dataset import Commit
from manifests.records import Review, Verdict


def test_versions_are_listed_and_a_mix_is_said(tmp_path, capsys):
    second = replace(MEDIA, clip_id=DROPPED.clip_id, media_id="m6")
    kept = replace(DROPPED, kept=True, reason="kept")
    clips = [replace(clip, num_frames=MEDIA.num_frames) for clip in CLIPS]
    other = replace(said("b", media_id="m6"), clip_id=DROPPED.clip_id)
    rows = {
        "clips": clips,
        "selections": [KEPT, kept],
        "media": [MEDIA, second],
        "captions": [said("a"), other],
    }
    dataset = store(tmp_path / "d", WHOLE | rows)
    main(["status", "--dataset", dataset.uri])
    shown = capsys.readouterr().out
    assert "caption version" in shown
    assert "captions of 2 versions count (a 1, b 1)" in shown.replace("\n", " ")


def test_clips_in_a_review_band_are_counted(tmp_path, capsys):
    banded = replace(KEPT, review="nsfw", detail="0.6 > 0.5 nsfw")
    dataset = store(tmp_path / "d", WHOLE | {"selections": [banded, DROPPED]})
    assert main(["status", "--dataset", dataset.uri]) == 0
    assert "review: 1 nsfw" in capsys.readouterr().out
    assert main(["status", "--dataset", dataset.uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["selection"]["review"] == {"nsfw": 1}
    assert main(["explain", "--dataset", dataset.uri]) == 0
    assert "kept, review nsfw" in capsys.readouterr().out


def test_reviews_are_counted_by_verdict(tmp_path, capsys):
    dataset = write_dataset(tmp_path)
    first, second, _ = dataset.read("media").to_pylist()
    about: dict[str, Any] = {"at": "2026-11-29T12:00:00+00:00", "caption_version": VERSIONS[1]}
    rows = [
        Review(review_id="1", verdict=Verdict.REJECT, reviewer="ann", **about, **ids(first)),
        Review(review_id="2", verdict=Verdict.APPROVE, reviewer="ann", **about, **ids(second)),
        Review(review_id="3", verdict=Verdict.REJECT, reviewer="bob", blind=True, **about, **ids(second)),
    ]
    dataset = dataset.commit(Commit(stage="review", added=(dataset.write_records("reviews", rows),)))
    assert main(["status", "--dataset", dataset.uri, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["review"]
    assert (found["media"], found["reviewed"], found["share"]) == (3, 2, 0.6667)
    assert (found["verdicts"], found["disagreement"]) == ({"reject": 1}, 1)
    assert main(["status", "--dataset", dataset.uri]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "66.7%: 1 reject" in shown
    assert "reviews: 2 media" not in shown  # the table says it
    assert main(["status", "--dataset", dataset.uri, "--at", "6"]) == 0
    assert "66.7%" not in capsys.readouterr().out


def test_windows_are_counted_beside_clips(tmp_path, capsys):
    windows = [
        replace(
            MEDIA, media_id=f"w{number}", window_index=number, num_windows=2, num_frames=20,
            window_start_pts=CLIPS[0].start_pts + number, window_end_pts=CLIPS[0].end_pts,
        )
        for number in range(2)
    ]  # fmt: skip
    dataset = store(tmp_path / "d", WHOLE | {"media": windows})
    main(["status", "--dataset", dataset.uri])
    shown = " ".join(capsys.readouterr().out.split())
    assert "windows: 1 clips have several, 2 media in all" in shown


def ids(media: dict) -> dict[str, Any]:
    return {name: media[name] for name in ("clip_id", "media_id")}
