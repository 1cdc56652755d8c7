"""Write a dataset of any size with captions of several versions and no videos, column by column.

Texts have the length of real ones and words from a vocabulary of realistic size, the frequent ones as
frequent as in English (Zipf), so that an index of them has realistic lists.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.parts import Part, PartStore, TableName
from pipeline.config import AnalyzeConfig, CaptionConfig, CutConfig, SelectConfig, config_digest

ROWS_PER_PART = 10_000
CLIPS_PER_SOURCE = 10
VOCABULARY = 30_000
_SENTENCES = 40_000
"""Sentences of which texts are made."""
_SENTENCE_WORDS = (8, 24)
_SENTENCES_OF_DENSE = 4
_SHAPES = ((1280, 720), (1920, 1080), (1080, 1920), (960, 720), (1080, 1080))
_FAILED_EVERY = 499
_BAND_EVERY = 101
_SYLLABLES = [
    *"aeiou",
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "st",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of a made dataset, by rank, and sentences of them."""

    words: Sequence[str]
    sentences: pa.Array


def make_words(seed: int) -> Words:
    """Make a vocabulary, and sentences that use word number r with a probability of about 1 / r."""
    rng = np.random.default_rng([seed, 1])
    words = list[str]()
    known = set[str]()
    while len(words) < VOCABULARY:
        count = int(rng.integers(1, 5))
        word = "".join(_SYLLABLES[index] for index in rng.integers(len(_SYLLABLES), size=count).tolist())
        word = word if word not in known else f"{word}{_SYLLABLES[len(words) % len(_SYLLABLES)]}"
        if word not in known:
            known.add(word)
            words.append(word)
    share_V = 1 / np.arange(1, VOCABULARY + 1)
    ends_V = np.cumsum(share_V / share_V.sum())
    lengths_S = rng.integers(*_SENTENCE_WORDS, size=_SENTENCES)
    ranks_W = np.minimum(np.searchsorted(ends_V, rng.random(int(lengths_S.sum()))), VOCABULARY - 1)
    starts_S = np.concatenate([[0], np.cumsum(lengths_S)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(starts_S), pa.array(words).take(pa.array(ranks_W)))
    sentences = pc.binary_join_element_wise(pc.binary_join(lists, " "), "", ".")
    return Words(words=words, sentences=sentences)


def version_name(number: int) -> str:
    """Return the name of a caption version; 0 is the oldest."""
    return f"made-captions-{number}"


def make(root: Path, clips: int, *, versions: int = 5, seed: int = 0) -> Dataset:
    """Write a dataset of `clips` kept, cut and captioned clips, one commit for each stage and version."""
    dataset, words = Dataset.create(root), make_words(seed)
    store = PartStore(dataset.storage)
    groups = [
        _Group(number=number, first=first, count=min(ROWS_PER_PART, clips - first), seed=seed)
        for number, first in enumerate(range(0, clips, ROWS_PER_PART))
    ]

    def commit(stage: str, config: Any, write: Callable[[_Group], list[Part]], digest: str) -> None:
        nonlocal dataset
        with ThreadPoolExecutor(2) as threads:
            added = tuple(part for parts in threads.map(write, groups) for part in parts)
        dataset = dataset.commit(
            Commit(
                stage=stage, added=added, config=asdict(config), config_digest=digest, counts={"units": clips}
            )
        )

    def part(table: TableName, rows: Callable[[_Group], pa.Table]) -> Callable[[_Group], list[Part]]:
        return lambda group: [store.write_part(table, rows(group))]

    analyze = config_digest(AnalyzeConfig())
    commit(
        "analyze",
        AnalyzeConfig(),
        lambda g: [store.write_part("sources", _sources(g)), store.write_part("clips", _clips(g))],
        analyze,
    )
    commit("select", SelectConfig(), part("selections", _selections), config_digest(SelectConfig()))
    commit("cut", CutConfig(), part("media", _media), config_digest(CutConfig()))
    for number in range(versions):
        write = part("captions", lambda group, number=number: captions(group, words, number))
        commit("caption", CaptionConfig(), write, version_name(number))
    return dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Clips that become one part of each table."""

    number: int
    first: int
    count: int
    seed: int

    def rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, purpose])

    def ids(self, purpose: int, length: int, count: int | None = None) -> list[str]:
        data = self.rng(purpose).bytes((count or self.count) * length // 2).hex()
        return [data[start : start + length] for start in range(0, len(data), length)]

    @property
    def clip_ids(self) -> list[str]:
        return [f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}" for i in self.ids(10, 32)]

    @property
    def media_ids(self) -> list[str]:
        return self.ids(11, 32)

    @property
    def source_keys(self) -> list[str]:
        return self.ids(12, 32, -(-self.count // CLIPS_PER_SOURCE))

    def uri(self, index: int) -> str:
        return f"s3://made/raw/{self.number:05d}/{index:05d}.mp4"


def _table(count: int, **columns: Any) -> pa.Table:
    """Return a table; plain values are repeated."""
    return pa.table(
        {
            name: value if isinstance(value, list | pa.Array) else pa.repeat(pa.scalar(value), count)
            for name, value in columns.items()
        }
    )


def _sources(group: _Group) -> pa.Table:
    keys = group.source_keys
    return _table(
        len(keys),
        source_key=keys,
        uri=[group.uri(index) for index in range(len(keys))],
        size_bytes=50_000_000,
        etag="1",
        carried="{}",
        analysis=config_digest(AnalyzeConfig()),
        status="ok",
        source_digest=group.ids(13, 32, len(keys)),
        kind="video",
        codec="h264",
        width=1280,
        height=720,
        fps=24.0,
        start_pts=0,
        end_pts=1000 * CLIPS_PER_SOURCE,
        time_base_num=1,
        time_base_den=250,
        num_frames=96 * CLIPS_PER_SOURCE,
    )


def _clips(group: _Group) -> pa.Table:
    source_N = np.arange(group.count) // CLIPS_PER_SOURCE
    starts_N = 1000 * (np.arange(group.count) % CLIPS_PER_SOURCE)
    keys, uris = group.source_keys, [group.uri(index) for index in range(int(source_N[-1]) + 1)]
    rng = group.rng(20)
    return _table(
        group.count,
        clip_id=group.clip_ids,
        source_key=pa.array(keys).take(pa.array(source_N)),
        source_digest=pa.array(group.ids(13, 32, len(keys))).take(pa.array(source_N)),
        uri=pa.array(uris).take(pa.array(source_N)),
        kind="video",
        stream_index=0,
        start_pts=pa.array(starts_N),
        end_pts=pa.array(starts_N + 1000),
        time_base_num=1,
        time_base_den=250,
        num_frames=96,
        height=720,
        width=1280,
        analysis=config_digest(AnalyzeConfig()),
        black=0.0,
        static=0.0,
        brightness=pa.array(rng.random(group.count)),
        sharpness=pa.array(0.01 + rng.random(group.count)),
        motion=pa.array(0.004 + rng.random(group.count) * 0.1),
    )


def _selections(group: _Group) -> pa.Table:
    is_band_N = (np.arange(group.count) + group.first) % _BAND_EVERY == 0
    return _table(
        group.count,
        clip_id=group.clip_ids,
        kept=True,
        reason="kept",
        detail=pa.array(np.where(is_band_N, "nsfw 0.31, limit 0.5", "")),
        review=pa.array(np.where(is_band_N, "nsfw", "")),
        rules=config_digest(SelectConfig()),
    )


def _media(group: _Group) -> pa.Table:
    shape_N = group.rng(21).integers(len(_SHAPES), size=group.count)
    sizes = np.array(_SHAPES)
    return _table(
        group.count,
        media_id=group.media_ids,
        clip_id=group.clip_ids,
        encoding=config_digest(CutConfig()),
        path=f"media/{group.number:05d}.tar",
        offset=pa.array(512 + np.arange(group.count) * 900_000),
        length=890_000,
        extension="mp4",
        num_frames=96,
        height=pa.array(sizes[shape_N, 1]),
        width=pa.array(sizes[shape_N, 0]),
        fps=24.0,
        duration_s=4.0,
        digest=group.ids(14, 32),
        window_index=0,
        num_windows=1,
        window_start_pts=pa.array(1000 * (np.arange(group.count) % CLIPS_PER_SOURCE)),
        window_end_pts=pa.array(1000 * (np.arange(group.count) % CLIPS_PER_SOURCE) + 1000),
        audio="",
    )


def captions(group: _Group, words: Words, number: int) -> pa.Table:
    """Return the captions of one version of a group; every 499th captioner's answer was empty."""
    rng = group.rng(30 + number)
    picks_SN = rng.integers(_SENTENCES, size=(_SENTENCES_OF_DENSE, group.count))
    sentences = [words.sentences.take(pa.array(picks_N)) for picks_N in picks_SN]
    failed = pa.array((np.arange(group.count) + group.first + 7 * number) % _FAILED_EVERY == 0)
    nothing = pa.scalar(None, pa.string())
    frames = pa.array([list(range(0, 96, 12))]).take(pa.array(np.zeros(group.count, np.int64)))
    return _table(
        group.count,
        clip_id=group.clip_ids,
        media_id=group.media_ids,
        outcome=pc.if_else(failed, "empty", "ok"),
        text=pc.if_else(failed, nothing, pc.binary_join_element_wise(*sentences, " ")),
        short=pc.if_else(failed, nothing, sentences[0]),
        medium=pc.if_else(failed, nothing, pc.binary_join_element_wise(*sentences[:2], " ")),
        parts=pa.scalar(None, pa.string()),
        heard="",
        captioner="vlm",
        model="made",
        revision=str(number),
        prompt_digest="p" * 32,
        decoding='{"max_new_tokens": 192}',
        frames_shown=frames,
        detail="",
        version=version_name(number),
    )
