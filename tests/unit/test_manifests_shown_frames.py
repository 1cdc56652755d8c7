"""Captions number the frames that they saw; what is shown of them is in frames of the media."""

import pytest
from review_dataset import FRAMES, write_dataset

from manifests.dataset import Commit
from manifests.review.desk import ReviewDesk
from manifests.shown_frames import frames_of_media


@pytest.mark.parametrize(
    ("num_frames", "max_frames", "expected"),
    [(17, 96, [0, 4, 16]), (96, 96, [0, 4, 16]), (97, 96, [0, 8, 32]), (289, 96, [0, 16, 64])],
)
def test_every_nth_frame_is_given_to_a_captioner(num_frames, max_frames, expected):
    assert frames_of_media((0, 4, 16), num_frames, max_frames) == expected


def test_the_page_shows_the_frames_that_the_captioner_saw(tmp_path):
    dataset = write_dataset(tmp_path, 4)
    rows = dataset.read("captions").slice(0, 4)
    shown = rows.set_column(rows.column_names.index("frames_shown"), "frames_shown", [[[0, 1, 3]] * 4])
    part = dataset.write_part("captions", shown.replace_schema_metadata(None))
    config = {"max_frames": 4}
    dataset = dataset.commit(Commit(stage="caption", added=(part,), config=config, config_digest="x"))
    assert FRAMES == 17
    media_id = rows["media_id"][0].as_py()
    with ReviewDesk(dataset.uri, tmp_path / "state") as desk:
        frames = {each.version: each.frames_shown for each in desk.card(media_id, reviewer="ann").captions}
    assert frames[rows["version"][0].as_py()] == (0, 5, 15)
    assert (0, 4, 8, 12, 16) in frames.values()
