"""What changes within a file ends the clip: holes in time, damage, and the shape of the picture."""
# PyAV's stubs know only the base class of streams and frames.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from golden_media import encode

from pipeline.analysis import Analysis
from pipeline.analyze.chunks import split
from pipeline.analyze.segments import split_by_time
from pipeline.analyze.signals.frame_view import Span
from pipeline.analyze.task import analyze_file, content_digest, probe_within_limits
from pipeline.config import AnalyzeConfig
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.cut import cut
from video.frames import read_clip

LIMITS = SandboxConfig()
CONFIG = AnalyzeConfig()


def scene(count: int, height: int = 96, width: int = 160, seed: int = 0) -> list[np.ndarray]:
    """A slow pan over a texture."""
    rough = np.random.default_rng(seed).integers(60, 190, (12, 40, 3), dtype=np.uint8)
    wide = cv2.resize(rough, (width + count, height), interpolation=cv2.INTER_CUBIC)
    return [wide[:, number : number + width] for number in range(count)]


def analyze(path: Path, config: AnalyzeConfig = CONFIG) -> Analysis:
    """Analyse a file; check that clips and gaps tile it, and that every clip can be cut."""
    found = analyze_file(stat_source(str(path)), config, LIMITS)
    spans = [(clip["start_pts"], clip["end_pts"]) for clip in found.clips]
    pieces = sorted([*spans, *((gap.start_pts, gap.end_pts) for gap in found.gaps)])
    assert [start for start, _ in pieces[1:]] == [end for _, end in pieces[:-1]]
    assert (pieces[0][0], pieces[-1][1]) == (found.source.start_pts, found.source.end_pts)
    cuts = list(cut(str(path), spans)) if spans else []
    assert [each.num_frames for each in cuts] == [clip["num_frames"] for clip in found.clips]
    return found


def seconds(found: Analysis) -> list[float]:
    return [
        (clip["end_pts"] - clip["start_pts"]) * clip["time_base_num"] / clip["time_base_den"]
        for clip in found.clips
    ]


def reasons(found: Analysis) -> list[str]:
    return [gap.reason for gap in found.gaps]


@pytest.mark.parametrize("hole_s", [3, 120])
def test_a_hole_in_time_ends_the_clip(tmp_path, hole_s):
    path = tmp_path / "door.mp4"
    pts = [number if number < 50 else number + 25 * hole_s for number in range(100)]
    path.write_bytes(encode("libx264", "mp4", pictures=scene(100), pts=pts, options={"bf": "0", "g": "25"}))
    found = analyze(path)
    assert seconds(found) == pytest.approx([2, 2])
    assert reasons(found) == ["no_frames"]
    assert found.gaps[0].end_pts - found.gaps[0].start_pts == pytest.approx(hole_s * 12800)
    info = probe_within_limits(str(path), LIMITS)
    parts = [
        analyze_file(stat_source(str(path)), CONFIG, LIMITS, chunk)
        for chunk in split(info, 2, content_digest(str(path)))
    ]
    assert [gap for part in parts for gap in part.gaps] == [*found.gaps]
    assert [clip["clip_id"] for part in parts for clip in part.clips] == [
        clip["clip_id"] for clip in found.clips
    ]


def test_slides_that_stand_for_seconds_are_no_holes(tmp_path):
    path = tmp_path / "slides.mkv"
    slides = scene(8, seed=1)
    path.write_bytes(encode("libx264", "matroska", pictures=slides, rate=1, pts=[5 * i for i in range(8)]))
    found = analyze(path)
    assert reasons(found) == []
    assert sum(clip["num_frames"] for clip in found.clips) == 8
    assert max(seconds(found)) <= CONFIG.max_shot_s


def test_uneven_rates_are_split_by_seconds(tmp_path):
    path = tmp_path / "uneven.mkv"
    pts = [*range(0, 8000, 40), *range(8000, 32000, 400)]  # ms: 200 frames in 8 s, then 60 in 24 s
    frames = scene(len(pts))
    path.write_bytes(encode("libx264", "matroska", pictures=frames, pts=pts, time_base=Fraction(1, 1000)))
    found = analyze(path)
    assert max(seconds(found)) <= CONFIG.max_shot_s
    assert len(found.clips) == 2
    assert sum(clip["num_frames"] for clip in found.clips) == len(pts)


@pytest.mark.parametrize("max_pts", [1, 7, 10, 33, 1000])
def test_no_part_is_longer_than_asked(max_pts):
    pts_T = np.cumsum([0, 1, 1, 5, 5, 1, 2, 7, 1, 1, 1, 3]).tolist()
    spans = list(split_by_time(pts_T, Span(start=1, end=11), pts_T[11], max_pts))
    assert [spans[0].start, *(span.end for span in spans)][1:] == [*(s.start for s in spans[1:]), 11]
    for span in spans:
        assert pts_T[span.end] - pts_T[span.start] <= max_pts or span.end == span.start + 1


def test_damage_is_a_gap_up_to_the_next_key_frame(tmp_path):
    options = {"bf": "2", "g": "25", "sc_threshold": "0", "crf": "14"}
    media = bytearray(encode("libx264", "mp4", pictures=scene(100), options=options))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(media)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[50]  # the third key frame
    noise = np.random.default_rng(0).bytes(size // 2)
    media[position + size // 4 : position + size // 4 + len(noise)] = noise
    path.write_bytes(media)
    found = analyze(path)
    assert reasons(found) == ["damaged"]
    step = 12800 // 25
    (gap,) = found.gaps
    assert 48 * step <= gap.start_pts - found.source.start_pts <= 50 * step
    assert gap.end_pts - found.source.start_pts == 75 * step
    clean = scene(100)
    for clip, first in zip(found.clips, (0, 75), strict=True):
        (media_clip,) = cut(str(path), [(clip["start_pts"], clip["end_pts"])])
        for number, rgb_HWC in enumerate(read_clip(media_clip.media)[0]):
            assert np.abs(rgb_HWC.astype(int) - clean[first + number]).mean() < 8


def circle(frames: list[np.ndarray], aspect: Fraction) -> list[np.ndarray]:
    """Draw what is a circle where pixels are `aspect` times as wide as high."""
    for frame in frames:
        height, width = frame.shape[:2]
        radius = min(height, width) // 3
        axes = (round(radius / aspect), radius)
        cv2.ellipse(frame, (width // 2, height // 2), axes, 0, 0, 360, (255, 255, 255), -1)
    return frames


@pytest.mark.parametrize(
    ("codec", "sizes", "aspects"),
    [
        ("mpeg2video", ((144, 180), (144, 180)), (Fraction(16, 15), Fraction(64, 45))),
        ("libx264", ((96, 160), (160, 96)), (Fraction(1), Fraction(1))),
    ],
    ids=["pixel aspect", "size"],
)
def test_nothing_is_squeezed_where_the_picture_changes_its_shape(tmp_path, codec, sizes, aspects):
    parts = []
    for number, (size, aspect) in enumerate(zip(sizes, aspects, strict=True)):
        pictures = circle([np.ascontiguousarray(frame) for frame in scene(50, *size, seed=number)], aspect)
        options = {"b": "4M", "g": "12", "bf": "2"}
        pts = range(50 * number, 50 * number + 50)
        parts.append(encode(codec, "mpegts", pictures=pictures, options=options, aspect=aspect, pts=pts))
    path = tmp_path / "tv.ts"
    path.write_bytes(b"".join(parts))
    found = analyze(path)
    assert [clip["num_frames"] for clip in found.clips] == [50, 50]
    for clip, size, aspect in zip(found.clips, sizes, aspects, strict=True):
        assert (clip["height"], clip["width"]) == (size[0], round(size[1] * aspect))
        (media_clip,) = cut(str(path), [(clip["start_pts"], clip["end_pts"])])
        for rgb_HWC in read_clip(media_clip.media)[0][::12]:
            rows, columns = np.nonzero(rgb_HWC.min(axis=2) > 235)
            assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.08)


def test_another_resolution_of_the_same_shape_stays_in_its_clip(tmp_path):
    path = tmp_path / "call.ts"
    sizes = ((96, 160), (48, 80))
    path.write_bytes(
        b"".join(
            encode(
                "libx264",
                "mpegts",
                pictures=[cv2.resize(frame, size[::-1]) for frame in scene(100)[50 * k : 50 * k + 50]],
                options={"bf": "0"},
                pts=range(50 * k, 50 * k + 50),
            )
            for k, size in enumerate(sizes)
        )
    )
    found = analyze(path)
    assert [(clip["num_frames"], clip["height"], clip["width"]) for clip in found.clips] == [(100, 96, 160)]
    (clip,) = cut(str(path), [(found.source.start_pts, found.source.end_pts)])
    for number, rgb_HWC in enumerate(read_clip(clip.media)[0]):
        assert np.abs(rgb_HWC.astype(int) - scene(100)[number]).mean() < 12
