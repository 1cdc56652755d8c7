"""Clips are encoded from decoded YUV planes if no conversion is needed."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from video.cut import cut
from video.encode import VideoWriter, encode_mp4
from video.frames import read_lazy_frames


def video(path: Path, num_frames: int = 8) -> Path:
    rng = np.random.default_rng(0)
    brighter_T111 = 4 * np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    small_THWC = rng.integers(0, 200, (6, 8, 3), np.uint8) + brighter_T111
    encode_mp4(small_THWC.repeat(8, axis=1).repeat(8, axis=2), 25, path, gop=4)
    return path


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    converted: list[int] = []
    write = VideoWriter.write

    def counting(self: VideoWriter, rgb_HWC: Any, pts: int) -> None:
        converted.append(pts)
        write(self, rgb_HWC, pts)

    monkeypatch.setattr(VideoWriter, "write", counting)
    return converted


def luma(media: str | io.BytesIO) -> np.ndarray:
    with av.open(media, "r") as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def test_bt709_yuv420p_video_is_never_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "a.mp4")
    step = [picture.pts for picture in read_lazy_frames(path)][1]
    converted = counted(monkeypatch)
    (clip,) = cut(path, [(2 * step, 6 * step)], crf=1)
    assert converted == []
    assert (clip.num_frames, clip.height, clip.width) == (4, 48, 64)
    difference = luma(io.BytesIO(clip.media)).astype(int) - luma(str(path))[2:6]
    assert np.abs(difference).mean() < 1


def test_key_frames_of_the_source_are_not_copied(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    (clip,) = cut(path, [(0, 1 << 40)])
    with av.open(io.BytesIO(clip.media), "r") as container:
        assert [packet.is_keyframe for packet in container.demux(video=0) if packet.size][1:] == [False] * 7


@pytest.mark.parametrize("change", [{"crop": (0, 0, 32, 32)}, {"max_side": 32}])
def test_cropped_or_scaled_frames_are_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    path = video(tmp_path / "a.mp4")
    converted = counted(monkeypatch)
    (clip,) = cut(path, [(0, 1 << 40)], **change)
    assert len(converted) == clip.num_frames == 8


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "b.mp4", height=32, width=32, fps=25)
    with pytest.raises(ValueError, match="expected 32x32 yuv420p"):
        writer.write_yuv(av.VideoFrame(64, 48, "yuv420p"), 0)
