"""Borders are cropped away when a clip is cut: exactly, and never more than a pixel of the picture."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CutConfig, config_digest
from pipeline.cut.crop import crop_of, encoding_of
from pipeline.sources.stat import stat_source
from tests.unit.test_pipeline_analyze_signals import canvas
from video.config import SandboxConfig
from video.cut import cut
from video.encode import encode_mp4
from video.frames import read_frames

CLIP = {"height": 90, "width": 160, "border_top": 0.0, "border_bottom": 0.0}
CLIP |= {"border_left": 0.0, "border_right": 0.0}


def bordered(path, *, size, inside, num_frames=24):
    """Write a video whose moving picture stands in `inside` (x, y, width, height) of a black frame."""
    (height, width), (x, y, w, h) = size, inside
    frames = []
    for index in range(num_frames):
        frame_HWC = np.zeros((height, width, 3), np.uint8)
        part_HW = canvas()[100 : 100 + h, 100 + 3 * index : 100 + 3 * index + w]
        frame_HWC[y : y + h, x : x + w] = part_HW[..., None]
        frames.append(frame_HWC)
    encode_mp4(frames, 24, path)
    return str(path)


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((120, 160), (0, 15, 160, 90)),
        ((90, 160), (20, 0, 120, 90)),
        ((240, 320), (0, 30, 320, 180)),
        ((360, 640), (80, 0, 480, 360)),
        ((272, 640), (0, 37, 640, 199)),
        ((640, 360), (0, 203, 360, 235)),
    ],
)
def test_what_is_cut_is_the_inside_alone_to_the_pixel(tmp_path, size, inside):
    path = bordered(tmp_path / "a.mp4", size=size, inside=inside)
    (clip,) = analyze_file(stat_source(path), AnalyzeConfig(), SandboxConfig()).clips
    crop = crop_of(clip, CutConfig())
    assert crop is not None
    x, y, width, height = crop
    left, top, inside_width, inside_height = inside
    step = max(1.0, size[1] / AnalyzeConfig().analysis_width_px)
    for lost in (x - left, y - top, left + inside_width - x - width, top + inside_height - y - height):
        assert 0 <= lost <= 2 * step + 1
    assert width % 2 == height % 2 == 0
    spans = [(clip["start_pts"], clip["end_pts"])]
    (made,) = cut(path, spans, crops=[crop], max_side=1280)
    assert (made.height, made.width) == (height, width)
    pictures = [frame.rgb_HWC[y : y + height, x : x + width] for frame in read_frames(path)]
    encode_mp4(pictures, 24, tmp_path / "b.mp4")
    wanted = [frame.rgb_HWC for frame in read_frames(tmp_path / "b.mp4")]
    assert np.array_equal(wanted, [frame.rgb_HWC for frame in read_frames(made.media)])


def test_each_span_has_its_own_crop(tmp_path):
    path = bordered(tmp_path / "a.mp4", size=(90, 160), inside=(0, 0, 160, 90))
    pts = [frame.pts for frame in read_frames(path)]
    spans = [(0, pts[8]), (pts[8], pts[16]), (pts[16], pts[23] + 1)]
    clips = list(cut(path, spans, crops=[(0, 10, 160, 70), None, (21, 3, 101, 45)]))
    assert [(c.height, c.width, c.num_frames) for c in clips] == [(70, 160, 8), (90, 160, 8), (44, 100, 8)]
    with pytest.raises(ValueError, match="1 crops for 3 spans"):
        list(cut(path, spans, crops=[None]))


def test_a_crop_takes_whole_pixels_has_even_sides_and_can_be_turned_off():
    clip = CLIP | {"border_top": 10.2 / 90, "border_left": 7 / 160}
    assert crop_of(clip, CutConfig()) == (7, 11, 152, 78)
    assert crop_of(clip, CutConfig(crop_borders=False)) is None
    assert crop_of(CLIP, CutConfig()) is None
    assert crop_of({"height": 90, "width": 160}, CutConfig()) is None
    assert crop_of(CLIP | {"border_top": None}, CutConfig()) is None


def test_another_crop_is_another_encoding_and_no_crop_the_plain_one():
    config = CutConfig()
    assert encoding_of(None, config) == config_digest(config)
    assert len({encoding_of(crop, config) for crop in (None, (0, 0, 2, 2), (0, 2, 2, 2))}) == 3
    assert encoding_of((0, 0, 2, 2), config) != encoding_of((0, 0, 2, 2), replace(config, crf=20))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_cropped_as_it_is_shown(degrees):
    from tests.unit.test_video_frames_semantics import h264

    flat = np.zeros((96, 128, 3), np.uint8)
    flat[20:76] = canvas()[:56, :128, None]
    media = h264(pictures=[flat] * 6, rotation=degrees, aspect=Fraction(1), options={"bf": "0"})
    shown = next(read_frames(media)).rgb_HWC
    sideways = degrees != 180
    crop = (20, 0, 56, 128) if sideways else (0, 20, 128, 56)
    (made,) = cut(media, [(0, 1 << 40)], crops=[crop])
    got = next(read_frames(made.media)).rgb_HWC
    x, y, width, height = crop
    wanted = shown[y : y + height, x : x + width].astype(int)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).mean() < 3
