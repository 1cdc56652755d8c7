"""Make a tiny folder in the layout of a finished demo run, for the tests of its report page."""

import csv
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa

from manifests import conservation, schemas
from manifests.dataset import Commit, Dataset
from manifests.records import (
    Bucket,
    Caption,
    Clip,
    Failure,
    Media,
    Outcome,
    SampleRef,
    Selection,
    SourceRow,
    SourceStatus,
)
from manifests.shards import write_index

HOSTILE = "<script>alert('caption')</script> & \"quoted\""
"""A caption that must stay text."""


def mp4(*, width: int = 64, height: int = 64, num_frames: int = 9, color: int = 200, fps: int = 8) -> bytes:
    """Return an H.264 video of a square that moves to the right."""
    out = BytesIO()
    with av.open(out, "w", "mp4") as target:
        stream = target.add_stream("libx264", rate=fps, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for t in range(num_frames):
            frame_HWC = np.full((height, width, 3), 40, np.uint8)
            left = (4 + 3 * t) % max(1, width - 16)
            frame_HWC[height // 3 : height // 3 + 14, left : left + 14] = (color, 60, 90)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        target.mux(stream.encode())
    return out.getvalue()


def make_demo(demo: Path, *, videos: int = 4) -> Path:
    """Fill `demo` with figures, a dataset of three clips, shards, logs and `videos` judged videos."""
    demo.mkdir(parents=True)
    dataset = make_dataset(demo / "dataset")
    (demo / "figures.json").write_text(json.dumps(figures(videos, conservation.funnel(dataset))))
    make_shards(demo / "shards")
    make_log(demo / "runs" / "vae" / "metrics.csv", steps=12)
    make_log(demo / "runs" / "dit" / "csv" / "version_0" / "metrics.csv", steps=400)
    make_generated(demo / "generated", videos)
    return demo


def figures(n: int, funnel: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figures.json."""
    found: dict[str, Any] = {
        "seconds": {"render": 9.5, "curate": 31.5, "caption": 12.0, "train dit": 500.0, "generate": 41.0},
        "peak_memory_mb": 2345.6,
        "funnel": dict(funnel),
        "vae": {"psnr_db": 28.25, "first_loss": 1.25, "last_loss": 0.125},
        "dit": {"steps": 400, "first_loss": 2.0, "last_loss": 0.25},
        "machine": {"cpu": "Some CPU", "cores": 2, "memory_gb": 15.5},
        "versions": {"python": "3.11.9", "torch": "2.14.1"},
        "seed": 7,
        "n": n,
    }
    for name, value in (("colour", 0.93), ("direction", 0.91), ("shape", 0.55)):
        found |= {name: value, f"{name}_low": value - 0.06, f"{name}_chance": 0.125, f"{name}_ceiling": 0.98}
    return found


def make_dataset(root: Path) -> Dataset:
    """Make a dataset: a world clip, a real clip, a dropped clip and a failed source."""
    dataset = Dataset.create(root)
    clips = [_clip(name) for name in ("world-0.mp4", "bikes.mp4", "black.mp4")]
    thumbnail = cv2.imencode(".jpg", np.full((36, 64, 3), 20, np.uint8))[1].tobytes()
    table = schemas.to_table(Clip, clips).append_column("thumbnail", pa.array([thumbnail] * 3, pa.binary()))
    contents = [mp4(), mp4(width=640, height=272, num_frames=12)]
    (root / "media").mkdir()
    (root / "media" / "cut-0.tar").write_bytes(b"".join(contents))
    offsets = (0, len(contents[0]))
    media = [
        _media(clip, offset, data) for clip, offset, data in zip(clips[:2], offsets, contents, strict=True)
    ]
    captions = [
        _caption(media[0], captioner="embedded", short="a red square moves right", text=HOSTILE),
        _caption(media[1], captioner="facts", short="a person on a bicycle", text="Found: bicycle, person."),
    ]
    dropped = Selection(
        clip_id=clips[2].clip_id, kept=False, reason="too_dark", detail="luma 2 < 16", rules="r"
    )
    kept = [Selection(clip_id=c.clip_id, kept=True, reason="kept", detail="", rules="r") for c in clips[:2]]
    failure = Failure(
        stage="analyze",
        unit="key-notes.mp4",
        uri="/raw/notes.mp4",
        code="no_video",
        message="not a video file",
        remedy="remove it from the source folder",
        config="c",
    )
    parts = (
        dataset.write_records("sources", [*(_source(c.uri) for c in clips), _source("notes.mp4", ok=False)]),
        dataset.write_part("clips", table),
        dataset.write_records("selections", [*kept, dropped]),
        dataset.write_records("media", media),
        dataset.write_records("captions", captions),
        dataset.write_records("failures", [failure]),
    )
    return dataset.commit(Commit(stage="test", added=parts))


def make_shards(root: Path) -> None:
    """Make an index of five samples in three buckets, with one tar."""
    counts = {(17, 64, 64): 2, (17, 36, 64): 2, (1, 64, 64): 1}
    samples = [
        SampleRef(
            clip_id=f"{shape}-{i}",
            bucket=Bucket(num_frames=shape[0], height=shape[1], width=shape[2]),
            shard="a.tar",
            offset=0,
            length=1,
        )
        for shape, count in counts.items()
        for i in range(count)
    ]
    root.mkdir()
    (root / "a.tar").write_bytes(b"")
    write_index(root, samples, fps=8.0)


def make_log(path: Path, *, steps: int) -> None:
    """Write a log as Lightning's CSVLogger does: validation in rows of its own."""
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, ["epoch", "step", "train/loss", "val/loss", "lr"])
        rows.writeheader()
        for step in range(steps):
            rows.writerow({"epoch": 0, "step": step, "train/loss": 2 / (1 + step / 10), "lr": 1e-3})
            if step % 5 == 4:
                rows.writerow({"epoch": 0, "step": step, "val/loss": 2.2 / (1 + step / 10)})


def make_generated(root: Path, videos: int) -> None:
    """Write judged videos; every second one moves the wrong way."""
    root.mkdir()
    rows: list[Mapping[str, Any]] = []
    for number in range(videos):
        (root / f"{number:04d}.mp4").write_bytes(mp4(color=100 + 20 * (number % 6)))
        way = "left" if number % 2 else "right"
        verdict = {
            "color": {"ok": True, "measured": "red", "wanted": "red"},
            "direction": {"ok": way == "right", "measured": way, "wanted": "right"},
            "speed": {"ok": None, "measured": None, "wanted": None},
        }
        rows.append(
            {"file": f"{number:04d}.mp4", "prompt": f"a red square moves right <{number}>", "seed": number}
            | {"size": "64x64", "num_frames": 9, "verdict": verdict}
        )
    (root / "judged.json").write_text(json.dumps(rows))


def _source(name: str, *, ok: bool = True) -> SourceRow:
    uri = f"/raw/{Path(name).name}"
    return SourceRow(
        source_key=f"key-{Path(name).name}",
        uri=uri,
        size_bytes=1,
        etag="1",
        carried="{}",
        analysis="a",
        status=SourceStatus.OK if ok else SourceStatus.FAILED,
        source_digest="d" if ok else None,
        kind="video" if ok else None,
        codec="h264" if ok else None,
        width=64,
        height=64,
        fps=8.0,
        start_pts=0,
        end_pts=9,
        time_base_num=1,
        time_base_den=8,
        num_frames=9,
    )


def _clip(name: str) -> Clip:
    return Clip(
        clip_id=f"clip-{name}",
        source_key=f"key-{name}",
        source_digest="d",
        uri=f"/raw/{name}",
        kind="video",
        stream_index=0,
        start_pts=0,
        end_pts=9,
        time_base_num=1,
        time_base_den=8,
        num_frames=9,
        height=64,
        width=64,
        analysis="a",
    )


def _media(clip: Clip, offset: int, data: bytes) -> Media:
    return Media(
        media_id=f"media-{clip.clip_id}",
        clip_id=clip.clip_id,
        encoding="e",
        path="media/cut-0.tar",
        offset=offset,
        length=len(data),
        extension="mp4",
        num_frames=9,
        height=64,
        width=64,
        fps=8.0,
        duration_s=1.125,
    )


def _caption(media: Media, *, captioner: str, short: str, text: str) -> Caption:
    return Caption(
        clip_id=media.clip_id,
        media_id=media.media_id,
        outcome=Outcome.OK,
        text=text,
        short=short,
        captioner=captioner,
        model=f"{captioner}-model",
        revision="r",
        prompt_digest="p",
        decoding="{}",
        frames_shown=(0, 4),
        version="v",
    )
