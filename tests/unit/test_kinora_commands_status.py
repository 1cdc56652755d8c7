"""The caption versions in `kinora status`, the warning of a mix, and the review bands."""

import json
from dataclasses import replace

from test_manifests_caption_order import said
from test_manifests_conservation import CLIPS, DROPPED, KEPT, MEDIA, WHOLE, store

from kinora.cli.main import main


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
