"""A dataset of cut clips of simulated worlds, all families, with captions and their truth file."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.records import Caption, Clip, Media, Outcome, Selection, SourceRow, SourceStatus, clip_id
from pipeline.media.tar import TarWriter
from video.encode import encode_mp4
from worlds import families
from worlds.family import AnyWorld

SIDE, FRAMES, FPS, PER_SOURCE = 96, 12, 8, 4
DISTINCT = 72
"""Clips after which the same ones come again."""
Texts = Callable[[Sequence[AnyWorld]], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class WorldsDataset:
    """The dataset, its worlds in the order of the captions, and the truth."""

    uri: str
    truth: Path
    worlds: tuple[AnyWorld, ...]
    media_ids: tuple[str, ...]


@cache
def sample_worlds(count: int) -> tuple[AnyWorld, ...]:
    """Return worlds of all families in turn, in the flat style."""
    return tuple(_sample(index % DISTINCT) for index in range(count))


@cache
def _sample(index: int) -> AnyWorld:
    names = [*families.FAMILIES]
    name = names[index % len(names)]
    return families.sample(name, 500 + index, width=SIDE, height=SIDE, fps=FPS, num_frames=FRAMES)


@cache
def encoded(index: int) -> bytes:
    file = io.BytesIO()
    encode_mp4(families.render(_sample(index % DISTINCT)), FPS, file)
    return file.getvalue()


def dense_captions(worlds: Sequence[AnyWorld]) -> list[str]:
    return [families.dense_caption(world, index) for index, world in enumerate(worlds)]


def write_dataset(
    folder: Path, count: int, texts: Texts = dense_captions, version: str = "v-1"
) -> WorldsDataset:
    """Write `count` clips, four of each source one after another, and a caption of each."""
    worlds = sample_worlds(count)
    sources = [_source(number) for number in range(-(-count // PER_SOURCE))]
    clips = [_clip(sources[index // PER_SOURCE], index % PER_SOURCE) for index in range(count)]
    dataset = Dataset.create(str(folder / "data"))
    parts = [dataset.write_records("sources", sources), dataset.write_records("clips", clips)]
    dataset = dataset.commit(Commit(stage="analyze", added=tuple(parts), config_digest="a1"))
    kept = [
        Selection(clip_id=clip.clip_id, kept=True, reason="kept", detail="", rules="r1") for clip in clips
    ]
    part = dataset.write_records("selections", kept)
    dataset = dataset.commit(Commit(stage="select", added=(part,), config_digest="r1"))
    media = _media(dataset, clips)
    part = dataset.write_records("media", media)
    dataset = dataset.commit(Commit(stage="cut", added=(part,), config_digest="c1"))
    truth = folder / "truth.jsonl"
    truth.write_text("\n".join(_truth_line(source, worlds, index) for index, source in enumerate(sources)))
    found = WorldsDataset(
        uri=dataset.uri, truth=truth, worlds=worlds, media_ids=tuple(each.media_id for each in media)
    )
    write_captions(found, texts(worlds), version)
    return found


def write_captions(made: WorldsDataset, texts: Sequence[str], version: str) -> None:
    """Write a caption of each clip as a version of its own."""
    dataset = Dataset.open(made.uri)
    rows = [
        Caption(
            clip_id=media_id.removeprefix("m-"),
            media_id=media_id,
            outcome=Outcome.OK if text else Outcome.EMPTY,
            text=text or None,
            short=None,
            captioner="vlm",
            model="m",
            revision="r",
            prompt_digest="p",
            decoding="{}",
            frames_shown=(0,),
            version=version,
        )
        for media_id, text in zip(made.media_ids, texts, strict=True)
    ]
    part = dataset.write_records("captions", rows)
    dataset.commit(Commit(stage="caption", added=(part,), config_digest=version))


def _source(number: int) -> SourceRow:
    return SourceRow(
        source_key=f"s{number}",
        uri=f"raw/video-{number}.mp4",
        size_bytes=1,
        etag="1",
        carried="{}",
        analysis="a1",
        status=SourceStatus.OK,
        source_digest=f"d{number}",
        kind="video",
        codec="h264",
        width=SIDE,
        height=SIDE,
        fps=float(FPS),
        start_pts=0,
        end_pts=FRAMES * PER_SOURCE,
        time_base_num=1,
        time_base_den=FPS,
        num_frames=FRAMES * PER_SOURCE,
    )


def _clip(source: SourceRow, place: int) -> Clip:
    assert source.source_digest
    start, end = place * FRAMES, (place + 1) * FRAMES
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
        num_frames=FRAMES,
        height=SIDE,
        width=SIDE,
        analysis="a1",
    )


def _media(dataset: Dataset, clips: Sequence[Clip]) -> list[Media]:
    path = "media/0.tar"
    rows: list[Media] = []
    with TarWriter(dataset.storage, path) as tar:
        for index, clip in enumerate(clips):
            content = encoded(index)
            _, offset = tar.add(f"{clip.clip_id}.mp4", content)
            rows.append(
                Media(
                    media_id=f"m-{clip.clip_id}",
                    clip_id=clip.clip_id,
                    encoding="e",
                    path=path,
                    offset=offset,
                    length=len(content),
                    extension="mp4",
                    num_frames=FRAMES,
                    height=SIDE,
                    width=SIDE,
                    fps=float(FPS),
                    duration_s=FRAMES / FPS,
                    digest=digest_bytes(content),
                    num_windows=1,
                    window_start_pts=clip.start_pts,
                    window_end_pts=clip.end_pts,
                )
            )
    return rows


def _truth_line(source: SourceRow, worlds: Sequence[AnyWorld], number: int) -> str:
    first = number * PER_SOURCE
    shots = [
        {
            "start_s": place * FRAMES / FPS,
            "end_s": (place + 1) * FRAMES / FPS,
            "short": families.short_caption(world, 0),
            "dense": families.dense_caption(world, 0),
            "world": world.to_json(),
        }
        for place, world in enumerate(worlds[first : first + PER_SOURCE])
    ]
    return json.dumps({"file": Path(source.uri).name, "shots": shots})


def swapped_in_pairs(texts: Sequence[str]) -> list[str]:
    return [texts[index ^ 1] for index in range(len(texts))]


def off_by_one(texts: Sequence[str]) -> list[str]:
    return [*texts[1:], texts[0]]


def swapped_in_batch(texts: Sequence[str], first: int = 24, size: int = 8) -> list[str]:
    """Return texts of which `size` consecutive ones are each on another clip of their batch."""
    order = np.roll(np.arange(first, first + size), 3).tolist()
    return [*texts[:first], *(texts[index] for index in order), *texts[first + size :]]
