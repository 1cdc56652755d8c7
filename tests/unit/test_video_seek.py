"""A cut after a seek equals the cut of a full decode, and decodes fewer frames."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from video.cut import cut
from video.frames import read_frames

FRAMES, FPS = 96, 12
KINDS = {
    "mp4": ("libx264", {"g": "24", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "mkv": ("libvpx-vp9", {"g": "24", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "mov": ("libx265", {"x265-params": "keyint=24:open-gop=1:log-level=none"}),
    "avi": ("mpeg4", {"g": "24"}),
    "ts": ("libx264", {"g": "24", "bf": "2"}),
}
ENTERED = {"mp4", "mkv", "mov"}


def write(path: Path) -> Path:
    """Frames of a picture that drifts and brightens, so that all frames differ."""
    codec, options = KINDS[path.suffix[1:]]
    tiles = np.random.default_rng(0).integers(0, 200, (8, 10, 3)).astype(np.uint8)
    picture = cv2.resize(tiles, (160, 128), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index in range(FRAMES):
            rgb_HWC = np.roll(picture, 2 * index, axis=1) // 2 + index
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_is_the_same_wherever_decoding_begins(tmp_path, kind):
    path = str(write(tmp_path / f"a.{kind}"))
    times = [frame.pts for frame in read_frames(path)]
    spans = [(times[n], times[n + 10]) for n in (5, 40, 75)]
    whole = [clip.media for clip in cut(path, spans)]
    assert [clip.media for span in spans for clip in cut(path, [span])] == whole


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_begins_not_long_before_where_the_file_allows_it(tmp_path, kind):
    path = str(write(tmp_path / f"a.{kind}"))
    whole = {frame.pts: frame.rgb_HWC for frame in read_frames(path)}
    at = sorted(whole)[75]
    entered = {frame.pts: frame.rgb_HWC for frame in read_frames(path, from_pts=at)}
    assert min(entered) <= at
    assert (len(entered) < len(whole) - 24) == (kind in ENTERED)
    for pts in (pts for pts in whole if pts >= at):
        assert np.array_equal(entered[pts], whole[pts])
