"""A small dataset with everything in it: two videos, their clips, cuts, and captions of two versions.

The source files and the cut clips are real videos, and all ids and digests are those that the pipeline gives.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes, digest_file
from manifests.records import (
    Caption,
    Clip,
    Duplicate,
    Failure,
    Gap,
    Media,
    Outcome,
    Selection,
    Source,
    SourceRow,
    SourceStatus,
    clip_id,
)
from pipeline.config import CutConfig, SelectConfig, config_digest
from pipeline.cut.windows import media_id_of
from pipeline.media.tar import TarWriter
from video.cut import cut
from video.encode import encode_mp4

FPS, FRAMES, SHOT, HEIGHT, WIDTH = 24, 48, 20, 48, 64
COLORS = ((200, 30, 30), (30, 160, 60), (30, 60, 200), (210, 200, 40))
CARRIED = '{"licence": "CC0"}'
VERSIONS = ("facts-00000001", "vlm-00000002")


def write_dataset(
    folder: Path, uri: str | Path | None = None, carried: tuple[str, str] = (CARRIED, CARRIED)
) -> Dataset:
    """Write the raw videos below `folder`, and the dataset at `uri`, by default beside them.

    Args:
        carried: what the source list holds of each video.
    """
    raw = folder / "raw"
    raw.mkdir(parents=True)
    dataset = Dataset.create(str(uri or folder / "data"))
    sources, clips, gaps = [], [], []
    for number in range(2):
        path = raw / f"video-{number}.mp4"
        _write_video(path, COLORS[2 * number : 2 * number + 2])
        source, spans = _source(path, carried[number]), ((0, SHOT), (SHOT, FRAMES - 4))
        sources.append(source)
        clips += [_clip(source, *span) for span in spans]
        gap = {"start_pts": FRAMES - 4, "end_pts": FRAMES, "reason": "transition", "analysis": "a1"}
        gaps.append(Gap(source_key=source.source_key, **gap))
    table = schemas.to_table(Clip, clips)
    for name, values in {"brightness": [0.3, 0.4, 0.2, 0.7], "motion": [0.1, 0.2, 0.3, None]}.items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    parts = [dataset.write_records("sources", sources), dataset.write_part("clips", table)]
    parts.append(dataset.write_records("gaps", gaps))
    dataset = dataset.commit(Commit(stage="analyze", added=tuple(parts), config_digest="a1"))
    dataset = _decide(dataset, clips)
    dataset, media = _cut(dataset, sources, clips[:3])
    for version in VERSIONS:
        dataset = _caption(dataset, media, version)
    return dataset


def _write_video(path: Path, colors: tuple[tuple[int, int, int], ...]) -> None:
    frames_THWC = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for index in range(FRAMES):
        frames_THWC[index] = colors[index >= SHOT]
        left = 2 + index
        frames_THWC[index, 10:30, left : left + 12] = 240
    encode_mp4(frames_THWC, FPS, path)


def _source(path: Path, carried: str) -> SourceRow:
    stat = path.stat()
    listed = Source(uri=str(path), size_bytes=stat.st_size, etag=str(stat.st_mtime_ns), carried=carried)
    return SourceRow(
        **asdict(listed),
        source_key=listed.source_key,
        analysis="a1",
        status=SourceStatus.OK,
        source_digest=digest_file(path),
        kind="video",
        codec="h264",
        width=WIDTH,
        height=HEIGHT,
        fps=float(FPS),
        start_pts=0,
        end_pts=FRAMES,
        time_base_num=1,
        time_base_den=FPS,
        num_frames=FRAMES,
    )


def _clip(source: SourceRow, start: int, end: int) -> Clip:
    assert source.source_digest
    return Clip(
        clip_id=clip_id(source.source_digest, 0, start, end),
        source_key=source.source_key,
        source_digest=source.source_digest,
        uri=source.uri,
        kind="video",
        stream_index=0,
        start_pts=start,
        end_pts=end,
        time_base_num=1,
        time_base_den=FPS,
        num_frames=end - start,
        height=HEIGHT,
        width=WIDTH,
        analysis="a1",
    )


def _decide(dataset: Dataset, clips: list[Clip]) -> Dataset:
    """Keep all clips but the last, which is a copy of the third."""
    config = SelectConfig()
    rows = [
        Selection(clip_id=clip.clip_id, kept=True, reason="kept", detail="", rules="r1") for clip in clips[:3]
    ]
    copy = {"kind": "near", "keeper": clips[2].clip_id, "distance": 2.0, "offset_s": 0.0}
    detail = f"of {clips[2].clip_id}"
    rows.append(
        Selection(clip_id=clips[3].clip_id, kept=False, reason="duplicate_near", detail=detail, rules="r1")
    )
    copies = [Duplicate(clip_id=clips[3].clip_id, **copy, detail=detail, config="d1")]
    dataset = dataset.commit(
        Commit(stage="dedup", added=(dataset.write_records("duplicates", copies),), config_digest="d1")
    )
    commit = Commit(
        stage="select",
        added=(dataset.write_records("selections", rows),),
        config=asdict(config),
        config_digest=config_digest(config),
    )
    return dataset.commit(commit)


def _cut(dataset: Dataset, sources: list[SourceRow], clips: list[Clip]) -> tuple[Dataset, list[Media]]:
    media: list[Media] = []
    path, config = "media/one.tar", CutConfig()
    with TarWriter(dataset.storage, path) as tar:
        for source in sources:
            own = [clip for clip in clips if clip.source_key == source.source_key]
            units = [_pts(source, clip) for clip in own]
            for clip, piece in zip(own, cut(source.uri, units), strict=True):
                _, offset = tar.add(f"{clip.clip_id}-000.mp4", piece.media)
                media.append(_media(clip, piece, path, offset))
    commit = Commit(
        stage="cut",
        added=(dataset.write_records("media", media),),
        config=asdict(config),
        config_digest=config_digest(config),
    )
    return dataset.commit(commit), media


def _pts(source: SourceRow, clip: Clip) -> tuple[int, int]:
    """Return a span in the time base of the file, whose units are finer than frames."""
    from video.probe import probe

    base = probe(source.uri).time_base
    unit = 1 / FPS / float(base)
    return round(clip.start_pts * unit), round(clip.end_pts * unit)


def _media(clip: Clip, piece: Any, path: str, offset: int) -> Media:
    span = (clip.start_pts, clip.end_pts)
    return Media(
        media_id=media_id_of(clip.clip_id, None, span),
        clip_id=clip.clip_id,
        encoding="e1",
        path=path,
        offset=offset,
        length=len(piece.media),
        extension="mp4",
        num_frames=piece.num_frames,
        height=piece.height,
        width=piece.width,
        fps=float(FPS),
        duration_s=clip.num_frames / FPS,
        digest=digest_bytes(piece.media),
        window_index=0,
        num_windows=1,
        window_start_pts=clip.start_pts,
        window_end_pts=clip.end_pts,
    )


def _caption(dataset: Dataset, media: list[Media], version: str) -> Dataset:
    """Caption all media with `version`; the last one fails with the second version."""
    colors = ("red", "green", "blue")
    captions, failures = [], []
    for row, color in zip(media, colors, strict=True):
        failed = version == VERSIONS[1] and color == "blue"
        short = f"A white box moves right over {color}." if version == VERSIONS[0] else f"A box over {color}."
        captions.append(
            Caption(
                clip_id=row.clip_id,
                media_id=row.media_id,
                outcome=Outcome.REFUSED if failed else Outcome.OK,
                text=None if failed else f"{short} The camera is still, and the light is even.",
                short=None if failed else short,
                captioner=version.split("-")[0],
                model="m",
                revision="1",
                prompt_digest=f"p-{version}",
                decoding="{}",
                frames_shown=(0, 7, 14),
                detail="it refused" if failed else "",
                version=version,
            )
        )
        if failed:
            about: dict[str, Any] = {"uri": "/raw", "code": "REFUSED", "message": "it refused"}
            about["remedy"] = "another model"
            failures.append(Failure(stage="caption", unit=row.media_id, config=version, **about))
    parts = [dataset.write_records("captions", captions)]
    parts += [dataset.write_records("failures", failures)] if failures else []
    return dataset.commit(Commit(stage="caption", added=tuple(parts), config_digest=version))
