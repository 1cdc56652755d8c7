"""Strips of frames: the frames that are asked for, those just outside of a clip, and what goes wrong."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinora.review.pictures import SandboxPictures
from kinora.review.strips import AROUND_S, HEIGHT_PX, OFFSETS_S
from manifests.review.pictures import PictureError, SourceSpan
from pipeline.sources.stat import stat_source
from video.encode import VideoWriter
from video.frames import read_frames
from video.probe import probe

FPS, FRAMES = 10, 50


@pytest.fixture(scope="module")
def pictures() -> Iterator[SandboxPictures]:
    pictures = SandboxPictures()
    yield pictures
    pictures.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose frame t has the grey level 20 + 4 t."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    with VideoWriter(path, height=64, width=96, fps=FPS) as out:
        for index in range(FRAMES):
            out.write(np.full((64, 96, 3), 20 + 4 * index, np.uint8), index)
    return path


def frames_of(strip: bytes, num: int) -> list[int]:
    """Return the frame that each picture of a strip shows, by its grey level; -1 for a place without one."""
    sheet_HW = cv2.imdecode(np.frombuffer(strip, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert sheet_HW is not None
    assert sheet_HW.shape[0] == HEIGHT_PX
    found = [part.mean() for part in np.split(sheet_HW, num, axis=1)]
    return [-1 if abs(level - 90) < 1 else round((level - 20) / 4) for level in found]


def span(video: Path, first: int, stop: int) -> SourceSpan:
    unit = 12800 // FPS
    return SourceSpan(
        uri=str(video),
        source_key=stat_source(str(video)).source_key,
        start_pts=first * unit,
        end_pts=stop * unit,
        time_base_num=1,
        time_base_den=12800,
    )


def time_base(video: Path) -> tuple[int, int]:
    base = probe(video).time_base
    return base.numerator, base.denominator


def test_the_frames_that_are_asked_for(pictures: SandboxPictures, video: Path) -> None:
    content = video.read_bytes()
    assert frames_of(pictures.media_strip(content, (0, 7, 31)), 3) == [0, 7, 31]
    assert frames_of(pictures.media_strip(content, (3, 900)), 2) == [3, FRAMES - 1]


def test_the_source_around_a_clip(pictures: SandboxPictures, video: Path) -> None:
    num, den = time_base(video)
    unit = den // (num * FPS)
    own = replace(
        span(video, 20, 30), start_pts=20 * unit, end_pts=30 * unit, time_base_num=num, time_base_den=den
    )
    assert OFFSETS_S == (0.1, 0.5, 1.0)
    assert frames_of(pictures.source_strip(own, "before"), 3) == [10, 15, 19]
    assert frames_of(pictures.source_strip(own, "after"), 3) == [31, 35, 40]
    edge = replace(own, start_pts=5 * unit, end_pts=FRAMES * unit)
    assert frames_of(pictures.source_strip(edge, "before"), 3)[1:] == [0, 4]
    assert frames_of(pictures.source_strip(edge, "after"), 3) == [-1, -1, -1]

    def shown(mp4: bytes) -> list[int]:
        frames = [*read_frames(mp4)]
        assert [round(frame.time_s * FPS) for frame in frames] == [*range(len(frames))]
        return [round((frame.rgb_HWC.mean() - 20) / 4) for frame in frames]

    assert AROUND_S == 2.0
    assert shown(pictures.source_video(own, "before")) == pytest.approx([*range(20)], abs=1)
    assert shown(pictures.source_video(own, "after")) == pytest.approx([*range(30, 50)], abs=1)
    assert shown(pictures.source_video(edge, "before")) == pytest.approx([*range(5)], abs=1)
    with pytest.raises(PictureError, match="ends with this clip"):
        pictures.source_video(edge, "after")


def test_what_cannot_be_decoded_is_named(pictures: SandboxPictures, video: Path, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="bytes"):
        pictures.media_strip(b"no video" * 99, (0,))
    other = replace(span(video, 20, 30), source_key="older")
    with pytest.raises(PictureError, match="moved, changed or deleted since it was analysed"):
        pictures.source_strip(other, "before")
    broken = tmp_path / "b.mp4"
    broken.write_bytes(b"no video" * 99)
    with pytest.raises(PictureError, match=r"b\.mp4"):
        pictures.source_strip(span(broken, 0, 1), "after")
    assert frames_of(pictures.media_strip(video.read_bytes(), (1,)), 1) == [1]
