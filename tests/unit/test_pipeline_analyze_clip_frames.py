"""Frames for scorers that come later are those that the pass over the file kept."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.analyze.clip_frames import media_frames, read_clip_frames, span_frames
from pipeline.analyze.decode_pass import decode_pass
from pipeline.config import AnalyzeConfig, ScorersConfig
from pipeline.errors import SourceChanged
from pipeline.runtime.context import StageContext
from pipeline.score.unit import ScoreUnit
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.encode import VideoWriter
from video.probe import probe

CONFIG = AnalyzeConfig(
    detector="content", min_shot_s=0.2, max_shot_s=10.0, scorers=ScorersConfig(logo=True, frames_per_s=3.0)
)
LIMITS = SandboxConfig()


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Four shots of 20 s; wide enough for the codec's filter to be skipped."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, height=404, width=720, fps=4) as out:
        for index in range(4 * 80):
            tiles = np.random.default_rng(index // 80).integers(0, 255, (6, 10, 3), np.uint8)
            rgb_HWC = np.roll(cv2.resize(tiles, (720, 404), interpolation=cv2.INTER_CUBIC), 9 * index, 1)
            out.write(np.ascontiguousarray(rgb_HWC), index)
    return path


def test_the_frames_of_all_clips_and_of_some_equal_those_of_the_pass(film):
    clips = decode_pass(str(film), probe(film), CONFIG, LIMITS).clips
    assert len(clips) >= 8
    assert all(len(clip.frames) == 3 for clip in clips)
    for some in (clips, clips[-1:], [clips[0], clips[-2]], clips[3:5]):
        spans = [(clip.start_pts, clip.end_pts) for clip in some]
        found = span_frames(str(film), spans, clips[0].start_pts, CONFIG, LIMITS)
        assert found == [clip.frames for clip in some]


def test_the_frame_of_a_still_is_the_still(tmp_path):
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    [clip] = decode_pass(str(path), probe(path), CONFIG, LIMITS).clips
    assert len(clip.frames) == 1
    spans = [(clip.start_pts, clip.end_pts)]
    assert span_frames(str(path), spans, clip.start_pts, CONFIG, LIMITS) == [clip.frames]


def unit_of(path: Path, media: tuple[tuple[str, int, int], ...]) -> ScoreUnit:
    [clip, *_] = decode_pass(str(path), probe(path), CONFIG, LIMITS).clips
    return ScoreUnit(
        source_key=stat_source(str(path)).source_key,
        uri=str(path),
        scorers=("logo",),
        first_pts=clip.start_pts,
        time_base_num=1,
        time_base_den=1,
        clip_ids=("c",),
        spans=((clip.start_pts, clip.end_pts),),
        media=(media,),
    )


def test_without_its_source_a_clip_is_read_from_its_media_and_without_either_it_fails(film, tmp_path):
    content = film.read_bytes()
    source = tmp_path / "film.mp4"
    source.write_bytes(content)
    (tmp_path / "d" / "media").mkdir(parents=True)
    (tmp_path / "d" / "media" / "a.tar").write_bytes(b"head" + content)
    context = StageContext(dataset_uri=str(tmp_path / "d"), attempts_uri=str(tmp_path / "attempts"))
    unit = unit_of(source, (("media/a.tar", 4, len(content)),))
    [from_source] = read_clip_frames(unit, CONFIG, context)
    source.unlink()
    [from_media] = read_clip_frames(unit, CONFIG, context)
    assert from_media == media_frames([content], CONFIG.scorers) != from_source
    assert len(from_media) == 3
    with pytest.raises(SourceChanged, match="went away"):
        read_clip_frames(replace(unit, media=((),)), CONFIG, context)
