"""A long file analysed in chunks gives the same rows as one pass over it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
import pytest
from shot_scenes import FPS, joined, shot

from manifests.parts import PartStore
from pipeline.analysis import Analysis
from pipeline.analyze.chunks import num_chunks, split
from pipeline.analyze.stage import ChunkMerger, analyze_batch, split_batch
from pipeline.analyze.task import analyze_file, content_digest, probe_within_limits, split_source
from pipeline.config import AnalyzeConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.units import TaskResult, to_row
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.frames import read_frames

CODECS = {
    "mp4": ("libx264", {"g": "30", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "mkv": ("libvpx-vp9", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "mov": ("libx265", {"preset": "ultrafast", "x265-params": "keyint=30:open-gop=1:log-level=none"}),
    "avi": ("mpeg4", {"g": "30"}),
}
LIMITS = SandboxConfig()
CONFIG = AnalyzeConfig(min_chunk_s=4.0)
KINDS = ["cut", "dissolve", "cut", "fade_black", "cut", "whip_pan", "dissolve", "cut"]


def encode(path: Path, frames: np.ndarray, steps: Any = 1) -> str:
    codec, options = CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 3 * FPS)
        pts = 0
        for index, rgb_HWC in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 3 * FPS)
            pts += 3 if steps == 1 else steps[index]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


def whole_and_parts(path: str, many: int, config: AnalyzeConfig = CONFIG) -> tuple[Analysis, list[Analysis]]:
    found = probe_within_limits(path, LIMITS)
    parts = split(found, many, content_digest(path))
    return analyze_file(stat_source(path), config, LIMITS), [
        analyze_file(stat_source(path), config, LIMITS, each) for each in parts
    ]


def check_equal(whole: Analysis, parts: list[Analysis]) -> None:
    assert [clip for part in parts for clip in part.clips] == [*whole.clips]
    assert [gap for part in parts for gap in part.gaps] == [*whole.gaps]
    assert sum(part.source.num_frames or 0 for part in parts) == whole.source.num_frames
    joined_row = replace(
        parts[0].source, end_pts=parts[-1].source.end_pts, num_frames=whole.source.num_frames
    )
    assert joined_row == whole.source


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("many", [2, 5])
def test_chunks_give_the_rows_of_the_whole(tmp_path, kind, many):
    frames, truth = joined(KINDS, 12)
    whole, parts = whole_and_parts(encode(tmp_path / f"a.{kind}", frames), many)
    check_equal(whole, parts)
    assert len(whole.clips) == len(truth) + 1
    assert sum(map(bool, (part.clips for part in parts))) == many


def test_chunks_at_a_variable_frame_rate_give_the_rows_of_the_whole(tmp_path):
    frames, _ = joined(KINDS, 12)
    steps = Random(0).choices([1, 2, 3, 5], k=len(frames))
    check_equal(*whole_and_parts(encode(tmp_path / "a.mkv", frames, steps), 3))


@pytest.mark.parametrize("away", [-1, 0, 1])
def test_a_cut_where_a_chunk_begins_is_emitted_once(tmp_path, away):
    frames, _ = joined(["cut"] * 5, 0)  # cuts at each 50th of 300 frames
    frames = frames[abs(away) : len(frames) - abs(away)] if away else frames
    whole, parts = whole_and_parts(encode(tmp_path / "a.mp4", frames), 2)
    check_equal(whole, parts)
    assert len(whole.clips) == 6


def test_a_long_shot_is_emitted_by_the_chunk_that_it_begins_in(tmp_path):
    frames = shot(1, 500, 0.2)
    whole, parts = whole_and_parts(encode(tmp_path / "a.mp4", frames), 4)
    check_equal(whole, parts)
    assert [len(part.clips) for part in parts] == [1, 0, 0, 0]


def test_a_worker_decodes_little_more_than_its_chunk(tmp_path, monkeypatch):
    frames, _ = joined(["cut"] * 15, 0)
    path = encode(tmp_path / "a.mp4", frames)
    seen: list[float] = []

    def counted(*args: Any, **named: Any) -> Any:
        for frame in read_frames(*args, **named):
            seen.append(frame.time_s)
            yield frame

    monkeypatch.setattr("pipeline.analyze.decode_pass.read_frames", counted)
    _, parts = whole_and_parts(path, 4)
    monkeypatch.undo()
    del seen[: len(frames)]  # of the whole
    assert len(frames) < len(seen) < 4 * len(frames) * 0.75
    assert sum(part.source.num_frames or 0 for part in parts) == len(frames)


def test_after_a_late_seek_the_file_is_decoded_from_its_first_frame(tmp_path, monkeypatch):
    frames, _ = joined(["cut"] * 7, 0)
    path = encode(tmp_path / "a.mp4", frames)

    def late(container, stream, pts):
        container.seek(pts + 3 * 3 * FPS, stream=stream, backward=True)

    monkeypatch.setattr("video.frames.seek_before", late)
    check_equal(*whole_and_parts(path, 3))


def test_files_that_must_be_decoded_from_the_first_frame_are_not_split(tmp_path):
    frames, _ = joined(["cut"] * 7, 0)  # 16 s
    path = encode(tmp_path / "a.mp4", frames)
    found = probe_within_limits(path, LIMITS)
    assert num_chunks(found, CONFIG, LIMITS, 100) == 4
    assert num_chunks(found, CONFIG, LIMITS, 2) == 2
    for other in (
        replace(CONFIG, min_chunk_s=0.0),
        replace(CONFIG, min_chunk_s=9.0),
        replace(CONFIG, detector="content"),
    ):
        assert num_chunks(found, other, LIMITS, 100) == 1
    assert num_chunks(found, CONFIG, replace(LIMITS, max_frames=300), 100) == 1
    assert num_chunks(replace(found, interlaced=True), CONFIG, LIMITS, 100) == 1
    assert num_chunks(replace(found, duration_s=None), CONFIG, LIMITS, 100) == 1
    avi = stat_source(encode(tmp_path / "a.avi", frames))
    assert split_source(avi, CONFIG, LIMITS, 1) == ()
    assert len(split_source(stat_source(path), CONFIG, LIMITS, 1)) == 4


def row(paths: list[str]) -> dict[str, Any]:
    return to_row([stat_source(path) for path in paths]) | {"task": 3, "unit_index": [*range(len(paths))]}


def stage_context(tmp_path: Path) -> StageContext:
    return StageContext(
        dataset_uri=str(tmp_path / "d"), attempts_uri=str(tmp_path / "attempts"), sandbox=LIMITS
    )


def done_of(tmp_path: Path, paths: list[str]) -> list[TaskResult]:
    """Divide and analyse files as the tasks of a job do; return what each task hands back."""
    context = stage_context(tmp_path)
    rows = split_batch(row(paths), config=CONFIG, context=context, max_chunk_bytes=10_000)
    return [piece.result for each in rows for piece in analyze_batch(each, config=CONFIG, context=context)]


def test_long_files_of_a_row_are_split_and_merged(tmp_path):
    frames, _ = joined(["cut"] * 7, 0)
    long = encode(tmp_path / "long.mp4", frames)
    short = encode(tmp_path / "short.mp4", frames[:30])
    (tmp_path / "broken.mp4").write_bytes(b"nothing like a film" * 1000)
    paths = [short, long, str(tmp_path / "broken.mp4")]
    rows = split_batch(row(paths), config=CONFIG, context=stage_context(tmp_path), max_chunk_bytes=10_000)
    assert [each["unit_index"] for each in rows] == [[1]] * 4 + [[0, 2]]
    done = done_of(tmp_path, paths)
    assert [each.units for each in done] == [0, 0, 0, 0, 2]
    pieces = ChunkMerger(str(tmp_path / "d"))
    given = [pieces(each) for each in reversed(done)]
    assert [each and each.units for each in given] == [2, None, None, None, 1]
    whole = given[-1]
    assert whole is not None
    assert whole.counts == {"clips": 8, "gaps": 0}
    (part,) = (part for part in whole.parts if part.table == "sources")
    table = PartStore(str(tmp_path / "d")).read_part(part).to_pydict()
    assert table["num_frames"] == [len(frames)]
    assert table["start_pts"] == [0]


def test_a_source_with_a_broken_chunk_fails_once_without_clips(tmp_path):
    frames, _ = joined(["cut"] * 7, 0)
    path = Path(encode(tmp_path / "long.mkv", frames))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 6 // 10)
    done = done_of(tmp_path, [str(path)])
    assert len(done) == 4
    pieces = ChunkMerger(str(tmp_path / "d"))
    *none, whole = [pieces(each) for each in done]
    assert none == [None] * 3
    assert whole is not None
    assert whole.failed == {"TRUNCATED": 1}
    assert {part.table for part in whole.parts} == {"sources", "failures"}
    assert whole.units == 1


def test_columns_do_not_depend_on_memory_alignment(tmp_path):
    path = encode(tmp_path / "a.mp4", shot(2, 60, 1.5))
    random = Random(0)
    first = analyze_file(stat_source(path), CONFIG, LIMITS).clips
    for _ in range(12):
        moved = [np.empty(random.randint(1, 5000), np.uint8) for _ in range(random.randint(1, 30))]
        assert analyze_file(stat_source(path), CONFIG, LIMITS).clips == first
        del moved
