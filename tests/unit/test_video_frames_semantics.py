"""Decoded frames are display-ready for every pixel format, colour space, orientation and scan type."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from golden_contents import h264, hdr, hole, moving, still, with_exif
from golden_media import (
    BLUE,
    GREEN,
    NUM_FRAMES,
    RED,
    encode,
    expected_patches,
    gray_of,
    patches,
    picture,
    sound,
)

from video.errors import VideoError, VideoErrorCode
from video.frames import read_clip, read_frames
from video.probe import probe


def worst(media, pictures=None):
    """Return the largest difference between any quadrant of any frame and the drawn colour."""
    frames = list(read_frames(media))
    expected = [expected_patches(number) for number in range(NUM_FRAMES)] if pictures is None else pictures
    assert len(frames) == len(expected)
    found = [patches(frame.rgb_HWC) for frame in frames]
    return np.abs(np.array(found) - np.array(expected)).max()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709, Colorspace.BT2020])
def test_matrix_and_range_are_those_that_the_file_states(matrix, full):
    assert worst(h264(matrix=matrix, full_range=full)) <= 4


@pytest.mark.parametrize(
    ("size", "matrix"), [((48, 64), Colorspace.ITU601), ((720, 1280), Colorspace.ITU709)]
)
def test_a_matrix_that_is_not_stated_is_that_of_the_size(size, matrix):
    media = h264(matrix=matrix, tag=False, pictures=[picture(0, *size)] * 2)
    assert worst(media, [expected_patches(0)] * 2) <= 4
    other = Colorspace.ITU601 if matrix == Colorspace.ITU709 else Colorspace.ITU709
    media = h264(matrix=other, tag=False, pictures=[picture(0, *size)] * 2)
    assert worst(media, [expected_patches(0)] * 2) > 8  # proves that the test above can fail


@pytest.mark.parametrize(
    ("codec", "pixel_format", "tolerance"),
    [
        ("ffv1", "yuv420p10le", 3),
        ("ffv1", "yuv444p12le", 3),
        ("ffv1", "yuv422p", 3),
        ("ffv1", "gray", 0),
        ("ffv1", "bgr0", 0),
        ("prores_ks", "yuv422p10le", 4),
        ("libx265", "yuv420p10le", 8),
    ],
)
def test_depths_and_subsamplings(codec, pixel_format, tolerance):
    options = {"preset": "ultrafast", "x265-params": "log-level=none"} if codec == "libx265" else {}
    pictures = [picture(number) for number in range(NUM_FRAMES)]
    if pixel_format == "gray":
        pictures = [np.full((48, 64, 3), gray_of(number), np.uint8) for number in range(NUM_FRAMES)]
    media = encode(
        codec, "matroska", pictures=pictures, pixel_format=pixel_format, options=options, tag=False
    )
    assert (
        worst(media, [patches(rgb_HWC) for rgb_HWC in pictures]) <= tolerance + (pixel_format == "gray") * 2
    )


def corners():
    """An asymmetric picture: red top left, green top right, blue bottom left."""
    rgb_HWC = np.full((48, 64, 3), 126, np.uint8)
    rgb_HWC[:16, :16], rgb_HWC[:16, -16:], rgb_HWC[-16:, :16] = RED, GREEN, BLUE
    return rgb_HWC


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_with_pixels_that_are_not_square(degrees):
    media = h264(pictures=[corners()] * 3, rotation=degrees, aspect=Fraction(2, 1), options={"bf": "0"})
    expected_HWC = np.rot90(cv2.resize(corners(), (128, 48), interpolation=cv2.INTER_NEAREST), degrees // 90)
    found = probe(media)
    assert (found.height, found.width) == expected_HWC.shape[:2]
    for frame in read_frames(media):
        assert np.abs(frame.rgb_HWC.astype(int) - expected_HWC).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_exif_orientations(tmp_path, orientation):
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_exif(orientation))
    theirs_HWC = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)  # an independent reader
    (frame,) = read_frames(path)
    assert frame.rgb_HWC.shape == theirs_HWC.shape
    assert np.abs(frame.rgb_HWC.astype(int) - theirs_HWC).mean() < 3
    assert np.abs(np.array(patches(frame.rgb_HWC)) - patches(theirs_HWC)).max() <= 4


def bars(number, height=64, width=96):
    """Interlaced frames: odd rows are half a frame later than even rows."""
    rgb_HWC = np.zeros((height, width, 3), np.uint8)
    rgb_HWC[0::2, 8 * number : 8 * number + 24] = 255
    rgb_HWC[1::2, 8 * number + 4 : 8 * number + 28] = 255
    return rgb_HWC


def comb(rgb_HWC):
    """Return the maximum difference between rows and their neighbours; high for combing artifacts."""
    gray_HW = rgb_HWC[8:-8, :, 0].astype(int)
    return np.abs(2 * gray_HW[1:-1] - gray_HW[:-2] - gray_HW[2:]).mean()


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "mp4", {"x264-params": "tff=1:interlaced=1", "bf": "0"}),
        ("mpeg2video", "mpegts", {"flags": "+ildct+ilme", "b": "8M"}),
    ],
)
def test_interlaced_video_is_deinterlaced(codec, container, options):
    pictures = [bars(number) for number in range(NUM_FRAMES)]
    media = encode(codec, container, pictures=pictures, options=options)
    assert probe(media).interlaced
    frames = list(read_frames(media))
    assert len(frames) == NUM_FRAMES
    steps = np.diff([frame.time_s for frame in frames])
    assert steps == pytest.approx([1 / 25] * (NUM_FRAMES - 1))
    for number, frame in enumerate(frames):
        assert comb(frame.rgb_HWC) < 0.1 * comb(pictures[number])
        left = np.flatnonzero(frame.rgb_HWC[32, :, 0] > 128)[0]
        assert min(abs(left - 8 * number), abs(left - 8 * number - 4)) <= 1  # one of its two moments
    assert not probe(h264()).interlaced


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped(transfer):
    """PQ and HLG codes are converted to the light of BT.2100, computed independently."""
    media = hdr(transfer)
    assert probe(media).transfer == ("pq" if transfer == 16 else "hlg")
    for number, frame in enumerate(read_frames(media)):
        expected = [shown(transfer, *color) for color in expected_patches(number)]
        assert np.abs(np.array(patches(frame.rgb_HWC)) - expected).max() <= 8


def shown(transfer, *code):
    code = np.array(code) / 255
    if transfer == 16:
        power = code ** (32 / 2523)
        nits = 10000 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (
            8192 / 1305
        )
    else:
        scene = np.where(
            code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        nits = 1000 * (scene @ [0.2627, 0.6780, 0.0593]) ** 0.2 * scene
    to_709 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    light = np.maximum(to_709 @ nits / 203, 0)
    peak = light.max()
    light *= 1 if peak <= 0.7 else (0.7 + 0.3 * (peak - 0.7) / (peak - 0.4)) / peak
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def test_hdr_white_stays_white_and_highlights_keep_order():
    grays = [np.full((48, 64, 3), code, np.uint8) for code in (0, 64, 128, 148, 190, 255)]
    media = encode(
        "ffv1",
        "matroska",
        pictures=grays,
        pixel_format="yuv420p10le",
        matrix=Colorspace.BT2020,
        color={"color_trc": 16, "color_primaries": 9},
    )
    levels = [frame.rgb_HWC[24, 32].tolist() for frame in read_frames(media)]
    means = [sum(level) / 3 for level in levels]
    assert all(max(level) - min(level) <= 2 for level in levels)  # gray stays gray
    assert means[0] == 0
    assert means == sorted(means)
    assert 225 <= means[3] <= 245  # 203 cd/m2, the white of a page
    assert means[5] > means[4] > means[3]


def test_transparent_parts_are_white():
    for suffix in (".png", ".webp"):
        (frame,) = read_frames(cv2.imencode(suffix, hole())[1].tobytes())
        assert frame.rgb_HWC[24, 32].tolist() == [255, 255, 255]
        assert np.abs(frame.rgb_HWC[4, 4].astype(int) - RED).max() <= 3
    unused_HWC = np.dstack([picture(0)[..., ::-1], np.zeros((48, 64), np.uint8)])
    (frame,) = read_frames(cv2.imencode(".png", unused_HWC)[1].tobytes())
    assert patches(frame.rgb_HWC) == expected_patches(0)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".jpg", 6), (".png", 0), (".webp", 6), (".avif", 6)])
def test_stills(suffix, tolerance):
    media = still(suffix)
    found = probe(media)
    assert (found.kind, found.fps, found.duration_s, found.width, found.height) == ("image", 0, 0.0, 64, 48)
    assert worst(media, [expected_patches(0)]) <= tolerance


@pytest.mark.parametrize(("suffix", "tolerance"), [(".webp", 6), (".avif", 8), (".png", 0)])
def test_animated_stills_are_videos(suffix, tolerance):
    media = moving(suffix)
    found = probe(media)
    assert (found.kind, found.fps, found.width, found.height) == ("video", 25, 64, 48)
    assert worst(media) <= tolerance
    assert read_clip(media)[1] == pytest.approx(np.arange(NUM_FRAMES) / 25)


def test_gif_moves_and_gif_stands_still():
    media = encode("gif", "gif", pixel_format="rgb8")
    assert probe(media).kind == "video"
    assert worst(media) <= 40  # 8 colors of 3, 3 and 2 bits
    assert probe(encode("gif", "gif", pixel_format="rgb8", pictures=[picture(0)])).kind == "image"


def test_a_photo_is_one_picture_whatever_follows_it(tmp_path):
    media = tmp_path / "photo.jpg"
    media.write_bytes(still(".jpg") + b"\0" * 99 + still(".jpg"))
    assert probe(media).kind == "image"
    assert worst(media, [expected_patches(0)]) <= 6


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (2, 2), (49, 2), (3, 1001)])
def test_odd_sizes(size):
    media = encode("ffv1", "matroska", pictures=[picture(0, *size)] * 3, pixel_format="bgr0", tag=False)
    frames = list(read_frames(media))
    assert [frame.rgb_HWC.shape for frame in frames] == [(*size, 3)] * 3
    assert all((frame.rgb_HWC == picture(0, *size)).all() for frame in frames)


def test_a_size_that_changes_keeps_the_first():
    media = h264(container="h264") + h264(container="h264", pictures=[picture(0, 96, 128)] * 3)
    numbers = [*range(NUM_FRAMES), 0, 0, 0]
    assert worst(media, [expected_patches(number) for number in numbers]) <= 6
    assert read_clip(media)[0].shape == (9, 48, 64, 3)


@pytest.mark.parametrize(
    ("media", "times_s"),
    [
        (
            lambda: h264(
                container="mpegts", pts=range(-3, 3), container_options={"avoid_negative_ts": "disabled"}
            ),
            [-0.12, -0.08, -0.04, 0, 0.04, 0.08],
        ),
        (lambda: h264(container="mov", pts=range(50, 56)), [2.0, 2.04, 2.08, 2.12, 2.16, 2.2]),
        (
            lambda: h264(container="matroska", pts=[0, 10, 25, 100, 101, 500], time_base=Fraction(1, 1000)),
            [0, 0.01, 0.025, 0.1, 0.101, 0.5],
        ),
        (lambda: h264(container="h264", rate=10), [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (lambda: h264(container="avi", rate=10), [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (lambda: h264(container="mxf"), [0, 0.04, 0.08, 0.12, 0.16, 0.2]),
        (lambda: encode("mpeg2video", "mpeg2video", options={"bf": "2"}), [0, 0.04, 0.08, 0.12, 0.16, 0.2]),
    ],
    ids=["negative", "late", "variable", "raw", "avi with b-frames", "mxf with b-frames", "raw mpeg-2"],
)
def test_times(media, times_s):
    content = media()
    frames = list(read_frames(content))
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-9)
    assert worst(content) <= 6  # and in the order of showing
    assert probe(content).start_pts == frames[0].pts


def test_the_rate_of_a_raw_stream_is_its_own():
    assert probe(h264(container="h264", rate=10)).fps == 10


@pytest.mark.parametrize("cover", [False, True])
def test_sound_only(cover):
    with pytest.raises(VideoError) as caught:
        probe(sound(cover=cover))
    assert caught.value.code == VideoErrorCode.NO_VIDEO_STREAM


def test_a_list_of_files_opens_none_of_them(tmp_path):
    (tmp_path / "real.mp4").write_bytes(h264())
    (tmp_path / "part.ts").write_bytes(h264(container="mpegts"))
    concat, playlist = tmp_path / "concat.mp4", tmp_path / "playlist.mp4"
    concat.write_text("ffconcat version 1.0\nfile real.mp4\n")
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n")
    with av.open(str(concat)) as container:  # unguarded, FFmpeg follows it
        assert len(list(container.decode(video=0))) == NUM_FRAMES
    for path in (concat, playlist):
        with pytest.raises(VideoError) as caught:
            list(read_frames(path))
        assert caught.value.code == VideoErrorCode.NOT_MEDIA
