"""Encode every packed clip once: latents by the VAE, text states by the frozen text encoder.

What is there already is kept, so another caption, a repack or a kill costs only what is new.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from manifests.arrow import combine
from manifests.shards import ShardIndex
from manifests.storage import open_storage
from trainer.config import EncodeConfig, VaeConfig
from trainer.data.encode_pool import open_workers
from trainer.data.encode_tasks import (
    Describe,
    Described,
    EncodeLatents,
    EncodeTexts,
    OpenWorkers,
    ReadTexts,
    Report,
    Task,
    Wanted,
    Workers,
)
from trainer.data.encoded_keys import (
    CAPTIONS,
    FOLDER,
    LATENTS,
    TEXTS,
    bucket_shapes,
    latent_key,
    latent_name,
    latent_space,
    names_content,
    read_samples,
    samples_of,
    text_key,
    variants_of,
    write_samples,
)
from trainer.data.latent_cache import About, Origin, read_about, write_about
from trainer.data.legacy_cache import remove_legacy
from trainer.data.tensor_store import TensorStore

_WAVE_ROWS = 8192
"""Samples whose texts are in memory at a time."""
_MIN_TASK_CLIPS, _MAX_TASK_CLIPS = 16, 256
_MAX_TASK_VALUES = 1 << 33
"""Most pixel values that one task encodes."""
_MIN_TASK_CHARS, _MAX_TASK_CHARS = 1 << 12, 1 << 17
"""Characters of the texts of one task."""
_READ_ROWS = 64
"""Samples whose texts one task reads."""
_TASKS_PER_WORKER = 4
"""So that the last task leaves no worker idle for long."""


def encode(
    config: EncodeConfig,
    progress: Callable[[str], None] = print,
    workers: OpenWorkers = open_workers,
) -> dict[str, Any]:
    """Encode what is missing of the clips of `config.shards`, a folder or an S3 prefix; return the counts.

    Args:
        workers: starts the processes that encode; by default `config.processes` on this machine.

    Raises FileNotFoundError, ValueError or OSError, with the remedy; what was written stands.
    """
    begin = time.monotonic()
    index = ShardIndex.load(config.shards)
    with workers(config) as pool:
        described = next(iter(pool.map([Describe()]))).described
        assert described is not None
        about = read_about(index)
        if about and about.legacy and about.origin == _origin(index, described, max_starts=1):
            counts = _Counts(total=index.num_samples)
        else:
            counts = _Encoding(config, index, described, pool, progress).run()
            _finish(config, index, described, counts)
    return counts.figures(index, described, time.monotonic() - begin)


def _origin(index: ShardIndex, described: Described, max_starts: int) -> Origin:
    return Origin(index=index.digest, vae=described.vae, text=described.text, max_starts=max_starts)


def _finish(config: EncodeConfig, index: ShardIndex, described: Described, counts: "_Counts") -> None:
    """Write `encoded.json`, unless it says the same, and remove a set that it replaces."""
    keys = {row: index.sample(row).key for row in counts.failed}
    about = About(
        origin=_origin(index, described, config.max_starts),
        vae_config=VaeConfig(**described.vae_config),
        text_encoder=config.text_encoder,
        failed={keys[row]: counts.failed[row] for row in sorted(keys)},
    )
    if read_about(index) != about:
        write_about(open_storage(index.out_uri), about)
        remove_legacy(index.out_uri)


@dataclass
class _Counts:
    """What an encode did."""

    total: int
    rows: set[int] = field(default_factory=set)
    texts: int = 0
    """Texts that were encoded."""
    distinct_texts: int = 0
    truncated: int = 0
    written_bytes: int = 0
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        self.rows |= set(report.rows)
        self.texts += report.texts
        self.truncated += report.truncated
        self.written_bytes += report.written_bytes
        self.failed |= report.failed

    def figures(self, index: ShardIndex, described: Described, seconds: float) -> dict[str, Any]:
        storage = open_storage(index.out_uri)
        failures = [
            {"key": index.sample(row).key, "error": error} for row, error in sorted(self.failed.items())
        ]
        return {
            "clips": self.total,
            "encoded": len(self.rows),
            "already_encoded": self.total - len(self.rows | self.failed.keys()),
            "texts": self.distinct_texts,
            "texts_encoded": self.texts,
            "texts_truncated": self.truncated,
            "max_tokens": described.max_length,
            "failed": failures,
            "folder": f"{index.out_uri}/{FOLDER}",
            "bytes": sum(info.size for info in storage.list(FOLDER)),
            "bytes_written": self.written_bytes,
            "seconds": round(seconds, 2),
        }


class _Encoding:
    """One encode, in waves of samples: read the texts that are new, then encode what the stores lack."""

    def __init__(
        self,
        config: EncodeConfig,
        index: ShardIndex,
        described: Described,
        pool: Workers,
        progress: Callable[[str], None],
    ) -> None:
        self._index, self._pool, self._progress = index, pool, progress
        self._storage, self._names_content = open_storage(index.out_uri), names_content(index)
        self._samples = samples_of(index, read_samples(self._storage))
        self._variants = variants_of(index, config.max_starts, VaeConfig(**described.vae_config))
        self._latents = _names(index, LATENTS, latent_space(described.vae, index.fps))
        self._texts = _names(index, TEXTS, described.text)
        self._shapes = bucket_shapes(index)
        self._counts = _Counts(total=index.num_samples)
        self._seen_texts: set[str] = set()
        self._done = 0

    def run(self) -> _Counts:
        self._encode([""], {}, [])
        for first in range(0, self._index.num_samples, _WAVE_ROWS):
            self._wave(range(first, min(first + _WAVE_ROWS, self._index.num_samples)))
        self._counts.distinct_texts = len(self._seen_texts)
        return self._counts

    def _wave(self, rows: range) -> None:
        samples = self._samples.slice(rows.start, len(rows)).to_pylist()
        unread = [
            row
            for row, sample in zip(rows, samples, strict=True)
            if not self._names_content or any(sample[name] not in self._texts for name in CAPTIONS)
        ]
        texts: dict[str, str] = {}
        recorded = []
        for sample in self._read(unread):
            keys = {name: text_key(text) for name, text in sample.texts.items()}
            texts |= {keys[name]: text for name, text in sample.texts.items()}
            own = samples[sample.row - rows.start]
            known = self._names_content and all(own[name] == keys[name] for name in CAPTIONS)
            own |= {"media_digest": sample.media_digest, **keys}
            if not known:
                recorded.append(own)
        name = "" if self._names_content else f"{self._index.digest}-{rows.start}"
        write_samples(self._storage, recorded, name)
        self._seen_texts |= {sample[name] for sample in samples for name in CAPTIONS if sample[name]}
        media = {row: sample["media_digest"] for row, sample in zip(rows, samples, strict=True)}
        self._encode([*texts.values()], media, rows)

    def _read(self, rows: Sequence[int]) -> Iterator[Any]:
        starts = range(0, len(rows), _READ_ROWS)
        tasks = [ReadTexts(rows=tuple(rows[start : start + _READ_ROWS])) for start in starts]
        for report in self._pool.map(tasks):
            self._counts.add(report)
            yield from report.samples

    def _encode(self, texts: Sequence[str], media: dict[int, str], rows: Sequence[int]) -> None:
        """Encode texts and the latents of rows, each if the stores lack it."""
        missing = {key: text for text in texts if (key := text_key(text)) not in self._texts}
        readable = [row for row in rows if row not in self._counts.failed]
        wanted = [each for row in readable if (each := self._wanted(row, media[row])).variants]
        self._done += len(rows) - len(wanted)
        for report in self._pool.map([*self._text_tasks([*missing.values()]), *self._latent_tasks(wanted)]):
            self._counts.add(report)
            if report.rows or report.failed:
                self._done += len(report.rows) + len(report.failed)
                self._progress(f"encoded {self._done} of {self._counts.total} clips")
            elif report.texts > 1:
                self._progress(f"encoded {self._counts.texts} texts")
        self._texts |= missing.keys()
        encoded = [each for each in wanted if each.row not in self._counts.failed]
        self._latents |= {latent_name(each.key, *variant) for each in encoded for variant in each.variants}

    def _wanted(self, row: int, medium: str) -> Wanted:
        """Return the latents of a row that the store lacks."""
        key = latent_key(medium, self._shapes[row])
        variants = tuple(
            variant for variant in self._variants[row] if latent_name(key, *variant) not in self._latents
        )
        return Wanted(row=row, key=key, variants=variants)

    def _text_tasks(self, texts: list[str]) -> Iterator[Task]:
        """Share out texts, those of about equal length together."""
        texts.sort(key=len)
        limit = min(_MAX_TASK_CHARS, max(_MIN_TASK_CHARS, self._share(sum(map(len, texts)))))
        group, chars = [], 0
        for text in texts:
            group.append(text)
            chars += len(text) + 1
            if chars >= limit:
                yield EncodeTexts(texts=tuple(group))
                group, chars = [], 0
        if group:
            yield EncodeTexts(texts=tuple(group))

    def _latent_tasks(self, wanted: list[Wanted]) -> Iterator[Task]:
        """Share out clips, those of one bucket together."""
        by_bucket: defaultdict[tuple[int, int, int], list[Wanted]] = defaultdict(list)
        for each in wanted:
            by_bucket[self._shapes[each.row]].append(each)
        share = max(_MIN_TASK_CLIPS, self._share(len(wanted)))
        for (num_frames, height, width), same in by_bucket.items():
            values = 3 * num_frames * height * width * len(same[0].variants)
            size = max(1, min(_MAX_TASK_CLIPS, share, _MAX_TASK_VALUES // values))
            for start in range(0, len(same), size):
                yield EncodeLatents(wanted=tuple(same[start : start + size]))

    def _share(self, amount: int) -> int:
        """Return how much of `amount` one task does, so that every worker gets several."""
        return ceil(amount / (self._pool.count * _TASKS_PER_WORKER)) if self._pool.count > 1 else amount


def _names(index: ShardIndex, folder: str, space: str) -> set[str]:
    """Return the names of the tensors that a store holds in a space."""
    return {*combine(TensorStore(index.out_uri, folder).table(space)["name"]).to_pylist()}
