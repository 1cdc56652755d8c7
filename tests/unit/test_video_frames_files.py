"""Encoding, decoding, probing and cutting keep counts, timestamps, colours and orientation."""

import io
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from video.cut import cut
from video.encode import VideoWriter, encode_mp4, exact_fps, mp4_bytes
from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames
from video.probe import probe
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world

VARIABLE_PTS = [0, 3003, 6006, 7000, 12012, 30030, 30031]
PALETTE = [
    (225, 25, 30),
    (25, 165, 50),
    (20, 105, 240),
    (250, 235, 40),
    (126, 126, 126),
    (8, 8, 8),
    (246, 246, 246),
]


def levels(count, height=32, width=48):
    """Frames with their index in the gray level: frame i is 20 + 8 i."""
    frames_THWC = np.empty((count, height, width, 3), np.uint8)
    frames_THWC[:] = (20 + 8 * np.arange(count))[:, None, None, None]
    return frames_THWC


def numbers(frames_THWC):
    return [round((float(frame.mean()) - 20) / 8) for frame in frames_THWC]


@pytest.mark.parametrize("fps", [24, 12.5, Fraction(30000, 1001)])
def test_constant_rate_round_trip(tmp_path, fps):
    path = tmp_path / "clip.mp4"
    assert encode_mp4(levels(20), fps, path) == 20
    frames = list(read_frames(path))
    assert numbers(frame.rgb_HWC for frame in frames) == list(range(20))
    found = probe(path)
    assert (found.kind, found.width, found.height, found.codec, found.start_pts) == (
        "video",
        48,
        32,
        "h264",
        0,
    )
    assert found.fps == exact_fps(fps)
    assert [frame.pts * found.time_base for frame in frames] == [i / exact_fps(fps) for i in range(20)]
    assert found.duration_s == pytest.approx(float(20 / exact_fps(fps)), abs=1e-6)


def test_variable_rate_keeps_every_pts(tmp_path):
    path, base = tmp_path / "clip.mp4", Fraction(1, 90000)
    encode_mp4(levels(7), 30, path, pts=VARIABLE_PTS, time_base=base)
    time_base = probe(path).time_base
    assert [frame.pts * time_base for frame in read_frames(path)] == [pts * base for pts in VARIABLE_PTS]


def test_colors_are_the_same_for_every_reader(tmp_path):
    path = tmp_path / "clip.mp4"
    picture_HWC = np.repeat(np.repeat(np.array([PALETTE], np.uint8), 64, axis=0), 64, axis=1)
    encode_mp4([picture_HWC] * 3, 10, path, crf=10)
    ours_HWC = next(read_frames(path)).rgb_HWC
    theirs_HWC = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    centers = (32, slice(32, None, 64))
    assert np.abs(ours_HWC[centers].astype(int) - PALETTE).max() <= 4
    assert np.abs(theirs_HWC[centers].astype(int) - PALETTE).max() <= 4
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (
            1,
            1,
            1,
            1,
        )


def test_odd_sides_and_no_frames_are_refused():
    with pytest.raises(ValueError, match="even sides"):
        mp4_bytes(levels(2, height=31), 10)
    with pytest.raises(VideoError, match="no frames"):
        mp4_bytes(levels(0), 10)


def test_read_clip_from_bytes_scales_and_counts_from_zero():
    frames_THWC, times_T = read_clip(mp4_bytes(levels(5), 10), size_px=(16, 24))
    assert frames_THWC.shape == (5, 16, 24, 3)
    assert times_T == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_every_third_frame():
    frames = list(read_frames(mp4_bytes(levels(10), 10), every=3))
    assert numbers(frame.rgb_HWC for frame in frames) == [0, 3, 6, 9]


def corners(height=32, width=48):
    """An asymmetric picture: red top left, green top right, blue bottom left."""
    picture_HWC = np.full((height, width, 3), 126, np.uint8)
    picture_HWC[:12, :12], picture_HWC[:12, -12:], picture_HWC[-12:, :12] = PALETTE[:3]
    return picture_HWC


@pytest.mark.parametrize(
    ("degrees", "hflip"), [(90, False), (-90, False), (180, False), (0, True), (90, True)]
)
def test_video_is_turned_upright(tmp_path, degrees, hflip):
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, height=32, width=48, fps=10) as writer:
        writer.stream.set_display_rotation(degrees, hflip=hflip)
        for pts in range(3):
            writer.write(corners(), pts)
    shown_HWC = next(read_frames(path)).rgb_HWC
    expected_HWC = np.rot90(corners(), k=degrees // 90)
    expected_HWC = expected_HWC[:, ::-1] if hflip else expected_HWC
    assert shown_HWC.shape == expected_HWC.shape
    assert np.abs(shown_HWC.astype(int) - expected_HWC).mean() < 6
    assert (probe(path).height, probe(path).width) == expected_HWC.shape[:2]
    if not hflip:  # an independent reader agrees
        theirs_HWC = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
        assert np.abs(shown_HWC.astype(int) - theirs_HWC).mean() < 3


@pytest.mark.parametrize("exif", [1, 3, 6, 8])
def test_photo_is_turned_upright(tmp_path, exif):
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(corners(), cv2.COLOR_RGB2BGR))[1].tobytes()
    tag = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([exif]) + b"\0\0\0\0\0\0\0"
    block = b"Exif\0\0" + tag
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:])
    (frame,) = read_frames(path)
    theirs_HWC = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert frame.rgb_HWC.shape == theirs_HWC.shape
    assert np.abs(frame.rgb_HWC.astype(int) - theirs_HWC).mean() < 6


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "wide.mp4"
    with VideoWriter(path, height=32, width=48, fps=10) as writer:
        writer.stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        writer.write(levels(1)[0], 0)
    assert (probe(path).width, probe(path).height) == (64, 32)
    assert next(read_frames(path)).rgb_HWC.shape == (32, 64, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_still_is_a_video_of_one_frame(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    path.write_bytes(cv2.imencode(f".{suffix}", corners())[1].tobytes())
    found = probe(path)
    assert (found.kind, found.width, found.height, found.duration_s, found.fps) == ("image", 48, 32, 0.0, 0)
    assert len(list(read_frames(path))) == 1
    (clip,) = cut(path, [(found.start_pts, found.start_pts + 1)], max_side=24)
    assert (clip.suffix, clip.num_frames, clip.height, clip.width) == (
        "jpg" if suffix == "jpg" else "png",
        1,
        16,
        24,
    )
    assert read_clip(clip.media)[0].shape == (1, 16, 24, 3)


def test_cut_is_exact_to_the_frame(tmp_path):
    path = tmp_path / "source.mp4"
    encode_mp4(levels(24), 12, path)
    tick = round(Fraction(1, 12) / probe(path).time_base)
    spans = [(2 * tick, 5 * tick), (5 * tick, 6 * tick), (10 * tick - 1, 20 * tick + 1)]
    clips = list(cut(path, spans))
    assert [numbers(read_clip(clip.media)[0]) for clip in clips] == [[2, 3, 4], [5], list(range(10, 21))]
    assert [clip.num_frames for clip in clips] == [3, 1, 11]
    assert [(clip.start_pts, clip.end_pts) for clip in clips] == spans
    assert [clip.fps for clip in clips] == [12, 12, 12]
    assert [clip.first_pts for clip in clips] == [2 * tick, 5 * tick, 10 * tick]


def test_cut_keeps_a_variable_rate(tmp_path):
    path, base = tmp_path / "source.mp4", Fraction(1, 90000)
    encode_mp4(levels(7), 30, path, pts=VARIABLE_PTS, time_base=base)
    assert probe(path).time_base == base
    (clip,) = cut(path, [(3000, 30031)])
    _, times_T = read_clip(clip.media)
    assert times_T == pytest.approx([(pts - 3003) / 90000 for pts in VARIABLE_PTS[1:6]], abs=1e-9)


def test_cut_crops_scales_and_makes_sides_even(tmp_path):
    path = tmp_path / "source.mp4"
    picture_HWC = np.zeros((64, 96, 3), np.uint8)
    picture_HWC[20:51, 30:83] = 255
    encode_mp4([picture_HWC] * 2, 10, path)
    (clip,) = cut(path, [(0, 1 << 40)], crop=(30, 20, 53, 31))
    assert (clip.height, clip.width) == (30, 52)
    assert read_clip(clip.media)[0][:, 2:-2, 2:-2].min() > 235
    (small,) = cut(path, [(0, 1 << 40)], max_side=48)
    assert (small.height, small.width) == (32, 48)


@pytest.mark.parametrize(
    ("spans", "crop", "message"),
    [
        ([(5, 5)], None, "empty"),
        ([(0, 5), (4, 9)], None, "before the last one ends"),
        ([(0, 5)], (0, 0, 500, 20), "not inside"),
    ],
)
def test_cut_refuses(spans, crop, message):
    with pytest.raises(ValueError, match=message):
        list(cut(mp4_bytes(levels(3), 10), spans, crop=crop))


def test_cut_of_a_span_without_frames():
    clips = cut(mp4_bytes(levels(3), 10), [(0, 10), (1 << 40, 1 << 41)])
    assert next(clips).num_frames == 1
    with pytest.raises(VideoError) as error:
        next(clips)
    assert error.value.code == VideoErrorCode.NO_FRAMES


def test_frames_without_timestamps_are_numbered_by_the_rate(tmp_path):
    path = tmp_path / "raw.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for pts, frame_HWC in enumerate(levels(6)):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts = pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx([i / 10 for i in range(6)])


def test_writer_refuses_another_size():
    with (
        VideoWriter(io.BytesIO(), height=32, width=48, fps=10) as writer,
        pytest.raises(ValueError, match="expected"),
    ):
        writer.write(np.zeros((16, 48, 3), np.uint8), 0)


def test_the_same_frames_give_the_same_bytes():
    """Uninitialized memory must not leak into frames whose sides are no multiples of 16."""
    draw, clutter = np.random.default_rng(0), []
    for width, height in [(48, 84), (84, 48), (44, 76)]:
        world = sample_world(1, width=width, height=height, fps=12, num_frames=14)
        frames_THWC = render(world)
        first = mp4_bytes(frames_THWC, 12)
        for _ in range(60):
            clutter += [np.full(draw.integers(1000, 300000), draw.integers(256), np.uint8) for _ in range(10)]
            clutter = [clutter[i] for i in draw.permutation(len(clutter))[:60]]
            assert mp4_bytes(frames_THWC, 12) == first
