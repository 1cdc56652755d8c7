"""Chosen frames are those of decoding in sequence, whatever kind of key frame lies before them."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from golden_contents import h264, hdr, moving, still
from golden_media import encode, picture

from video.chosen_frames import EntryPoint, Timeline, read_chosen, read_nearest, read_timeline
from video.container import open_media
from video.decode import decode_packet
from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames

COUNT = 30
PICTURES = [picture(number, 48, 64) for number in range(COUNT)]
X265 = "log-level=none:pools=none:keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0"
FILES = {
    "h264": ("libx264", "mp4", {"g": "8", "bf": "0"}),
    "h264, B-frames": ("libx264", "mp4", {"x264-params": "keyint=8:bframes=3:scenecut=0"}),
    "h264, B-frames, Matroska": ("libx264", "matroska", {"x264-params": "keyint=8:bframes=3:scenecut=0"}),
    "h264, headers repeated": ("libx264", "mp4", {"x264-params": "keyint=8:repeat-headers=1"}),
    "h264, slices": ("libx264", "mp4", {"x264-params": "keyint=8:slices=3"}),
    "h264, open GOP": ("libx264", "mp4", {"x264-params": "keyint=8:open-gop=1:bframes=3:scenecut=0"}),
    "h264, intra refresh": ("libx264", "mp4", {"x264-params": "intra-refresh=1:keyint=8:bframes=0"}),
    "h264, intra refresh, Matroska": ("libx264", "matroska", {"x264-params": "intra-refresh=1:keyint=8"}),
    "hevc, open GOP": ("libx265", "mp4", {"x265-params": f"{X265}:open-gop=1"}),
    "hevc, open GOP, Matroska": ("libx265", "matroska", {"x265-params": f"{X265}:open-gop=1"}),
    "hevc, closed GOP": ("libx265", "mp4", {"x265-params": f"{X265}:open-gop=0"}),
    "hevc, intra refresh": ("libx265", "mp4", {"x265-params": "log-level=none:intra-refresh=1:keyint=8"}),
    "vp8": ("libvpx", "webm", {"deadline": "realtime", "g": "8"}),
    "vp9": ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8", "g": "8"}),
    "vp9, alternate references": (
        "libvpx-vp9",
        "webm",
        {"auto-alt-ref": "1", "lag-in-frames": "8", "g": "8"},
    ),
    "av1": ("libsvtav1", "mp4", {"preset": "12", "g": "8"}),
    "av1, Matroska": ("libsvtav1", "matroska", {"preset": "12", "g": "8"}),
    "mpeg4, B-frames": ("mpeg4", "mp4", {"g": "8", "bf": "2"}),
    "mjpeg": ("mjpeg", "mov", {}),
    "avi": ("mpeg4", "avi", {"g": "8"}),
    "mpegts": ("libx264", "mpegts", {"g": "8", "bf": "2"}),
}
ENTRY_POINTS = {  # of four key frames
    "h264": 4,
    "h264, B-frames": 4,
    "h264, B-frames, Matroska": 4,
    "h264, headers repeated": 4,
    "h264, slices": 4,
    "h264, open GOP": 1,
    "h264, intra refresh": 1,
    "hevc, open GOP": 1,
    "hevc, closed GOP": 4,
    "hevc, intra refresh": 1,
    "vp8": 4,
    "vp9": 4,
    "av1": 4,
    "mpeg4, B-frames": 1,
    "mjpeg": COUNT,
}


def file(name: str) -> bytes:
    codec, container, options = FILES[name]
    jpeg = codec == "mjpeg"
    return encode(
        codec,
        container,
        options=options,
        pictures=PICTURES,
        pixel_format="yuvj420p" if jpeg else "yuv420p",
        full_range=jpeg,
    )


def timeline(media: bytes) -> Timeline | str:
    with open_media(media) as opened:
        return read_timeline(opened)


def in_sequence(media: bytes) -> np.ndarray:
    return np.stack([frame.rgb_HWC for frame in read_frames(media)])


@pytest.mark.parametrize("name", FILES)
def test_every_frame_is_the_one_of_decoding_in_sequence(name):
    media = file(name)
    expected_THWC = in_sequence(media)
    assert len(expected_THWC) == COUNT
    for index in range(COUNT):
        assert (read_chosen(media, lambda _, at=index: [at])[0] == expected_THWC[index]).all(), index
    order = [29, 3, 3, 17, 0, 8]
    assert (read_chosen(media, lambda _: order) == expected_THWC[order]).all()


@pytest.mark.parametrize(("name", "count"), ENTRY_POINTS.items())
def test_entry_points_are_told_by_the_bytes(name, count):
    found = timeline(file(name))
    assert isinstance(found, Timeline)
    assert len(found.pts_T) == COUNT
    assert len(found.entry_points) == count
    assert not found.has_new_parameter_sets


@pytest.mark.parametrize(
    "media",
    [
        h264(rotation=90),
        h264(options={"x264-params": "tff=1:interlaced=1", "bf": "0"}),
        hdr(16),
        moving(".webp"),
        moving(".gif"),
        still(".png"),
        h264(container="mov", pts=range(-3, 3), container_options={"avoid_negative_ts": "disabled"}),
    ],
    ids=["rotated", "interlaced", "HDR", "WebP", "GIF", "still", "edit list"],
)
def test_other_kinds_of_files(media):
    expected_THWC = in_sequence(media)
    last = len(expected_THWC) - 1
    assert (read_chosen(media, lambda _: [last, 0]) == expected_THWC[[last, 0]]).all()


def two_sizes() -> bytes:
    """Return a file of which the second half has other parameter sets, for frames of another size."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = None
        for half, (height, width) in enumerate([(48, 64), (96, 128)]):
            pictures = [picture(number, height, width) for number in range(8)]
            media = encode("libx264", "h264", options={"g": "4", "bf": "0"}, pictures=pictures)
            with av.open(io.BytesIO(media)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
                    packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 12), 1
                    packet.pts = packet.dts = half * 8 + number
                    out.mux(packet)
    return buffer.getvalue()


def test_parameter_sets_that_change_are_decoded_from_the_start():
    media = two_sizes()
    found = timeline(media)
    assert isinstance(found, Timeline)
    assert found.has_new_parameter_sets
    assert len(found.entry_points) == 1
    expected_THWC = in_sequence(media)
    assert expected_THWC.shape == (16, 48, 64, 3)
    for index in range(16):
        assert (read_chosen(media, lambda _, at=index: [at])[0] == expected_THWC[index]).all()


def test_decoding_begins_at_the_last_entry_point_and_ends_with_the_last_frame(monkeypatch):
    media, decoded = file("h264"), []

    def counted(context, packet):
        decoded.extend([packet.pts] if packet else [])
        return decode_packet(context, packet)

    monkeypatch.setattr("video.chosen_frames.decode_packet", counted)
    found = timeline(media)
    assert isinstance(found, Timeline)
    read_chosen(media, lambda _: [9, 10, 26])
    first, second, last = (
        list(found.pts_T[start:stop]) for start, stop in ((0, 1), (8, 11), (24, 27))
    )  # the first frame sets the size
    assert sorted(set(decoded)) == first + second + last


def test_the_nearest_frame_is_that_of_the_times():
    media = file("h264, B-frames")
    frames_THWC, times_T = read_clip(media)
    for times_s in (np.arange(17) / 8, 0.3 + np.arange(9) / 5, [100.0, -1.0]):
        nearest = [int(np.abs(times_T - time).argmin()) for time in times_s]
        assert (read_nearest(media, times_s) == frames_THWC[nearest]).all()


def test_a_transform_sees_one_frame_at_a_time():
    media = file("h264")
    found = read_chosen(media, lambda _: [5, 4], transform=lambda rgb_HWC: rgb_HWC[:2, :2])
    assert (found == in_sequence(media)[[5, 4], :2, :2]).all()


def test_a_missing_end_is_an_error_though_the_frames_are_there():
    media = encode("libx264", "mp4", pictures=PICTURES, container_options={"movflags": "faststart"})
    with pytest.raises(VideoError) as caught:
        read_nearest(media[: len(media) * 9 // 10], [0.0])
    assert caught.value.code == VideoErrorCode.TRUNCATED


def test_a_seek_that_comes_out_elsewhere_is_decoded_in_sequence(monkeypatch):
    media = file("h264")
    monkeypatch.setattr("video.chosen_frames._entry_before", lambda timeline, pts: EntryPoint(pts, pts))
    assert (read_chosen(media, lambda _: [11])[0] == in_sequence(media)[11]).all()
