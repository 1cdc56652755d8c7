"""Files that were joined with their headers: what FFmpeg does not read is not lost in silence."""

import numpy as np
import pytest
from golden_media import NUM_FRAMES, encode

from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames
from video.joins import is_left_unread

PICTURES = [
    np.random.default_rng(number).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    for number in range(NUM_FRAMES)
]


def part_of(codec, container, **changes):
    return encode(codec, container, pictures=PICTURES, **changes)


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "flv"),
        ("libx264", "mp4"),
        ("mpeg4", "mov"),
        ("wmv2", "asf"),
        ("mpeg4", "nut"),
        ("wmv2", "wtv"),
    ],
)
def test_what_is_behind_the_header_of_another_file_is_no_silent_loss(codec, container, tmp_path):
    part = part_of(codec, container)
    path = tmp_path / f"joined.{container}"
    path.write_bytes(part + part)
    for media in (path, part + part):
        with pytest.raises(VideoError, match="joined to it with its header") as raised:
            list(read_frames(media, skip_damage=True))
        assert raised.value.code is VideoErrorCode.DECODE_ERROR
    assert len(list(read_frames(part, skip_damage=True))) == NUM_FRAMES


def test_the_index_of_a_file_may_be_first_or_last_in_any_part():
    first = part_of("libx264", "mp4", container_options={"movflags": "faststart"})
    last = part_of("libx264", "mp4")
    for joined in (first + last, last + first):
        with pytest.raises(VideoError, match="joined to it with its header"):
            list(read_frames(joined))


def test_quicktime_files_without_a_type():
    bare = part_of("mpeg4", "mov").replace(b"ftyp", b"free", 1)
    assert len(list(read_frames(bare))) == NUM_FRAMES
    with pytest.raises(VideoError, match="joined to it with its header"):
        list(read_frames(bare + bare))


def test_fragments_behind_another_header_are_read():
    part = part_of("libx264", "ismv")
    assert len(list(read_frames(part + part))) == 2 * NUM_FRAMES


def test_bytes_behind_a_file_are_no_other_file():
    for codec, container in (("libx264", "mp4"), ("wmv2", "asf"), ("libx264", "flv")):
        media = part_of(codec, container) + b"left behind by an editor" * 9
        assert len(list(read_frames(media))) == NUM_FRAMES
    assert not is_left_unread(b"", "mpegts", 0)
