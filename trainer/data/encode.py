"""Encode every packed clip once: latents by the VAE, text states by the frozen text encoder.

What is there already is kept, so another caption, a repack or a kill costs only what is new.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from manifests.arrow import combine
from manifests.shards import ShardIndex
from manifests.storage import open_storage
from trainer.config import EncodeConfig, VaeConfig
from trainer.data.encode_pool import open_workers
from trainer.data.encode_shares import latent_tasks, read_tasks, text_tasks
from trainer.data.encode_tasks import OpenWorkers, Report, SampleTexts, Task, Wanted, Workers
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
from trainer.data.latent_cache import About, Origin, write_about
from trainer.data.latent_cache import read_about as read_encoded
from trainer.data.legacy_cache import remove_legacy
from trainer.data.tensor_store import TensorStore
from trainer.model_files import VAE, latents_digest, read_about
from trainer.text_digest import describe_encoder

_WAVE_ROWS = 8192
"""Samples whose texts are in memory at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """The networks that encode."""

    vae: str
    """Digest of the VAE."""
    vae_config: VaeConfig
    text: str
    """Digest of the text encoder."""
    max_length: int
    """Most tokens of a text."""

    @classmethod
    def read(cls, config: EncodeConfig, about: dict[str, Any]) -> Self:
        """Read the files of the networks, without loading them.

        Args:
            about: `read_about` of the VAE.
        """
        text, max_length = describe_encoder(config.text_encoder)
        vae_config = VaeConfig(**about["config"])
        return cls(vae=latents_digest(about), vae_config=vae_config, text=text, max_length=max_length)


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
    index, about_vae = ShardIndex.load(config.shards), read_about(config.vae, VAE)
    with workers(config) as pool:
        about = read_encoded(index)
        if about is None:
            pool.start()  # they import while the encoders' files are read here
        described = Described.read(config, about_vae)
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
        vae_config=described.vae_config,
        text_encoder=config.text_encoder,
        failed={keys[row]: counts.failed[row] for row in sorted(keys)},
    )
    if read_encoded(index) != about:
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
    """One encode, in waves of samples: what the stores lack of their latents, then of their texts.

    A sample is read once, for both; only where its index does not name its medium, its texts are read before.
    """

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
        self._variants = variants_of(index, config.max_starts, described.vae_config)
        self._latents = _names(index, LATENTS, latent_space(described.vae, index.fps))
        self._texts, self._text_space = _names(index, TEXTS, described.text), described.text
        self._shapes = bucket_shapes(index)
        self._counts = _Counts(total=index.num_samples)
        self._seen_texts: set[str] = set()
        self._done = 0

    def run(self) -> _Counts:
        texts = {text_key(""): ""}
        for first in range(0, self._index.num_samples, _WAVE_ROWS):
            texts |= self._wave(range(first, min(first + _WAVE_ROWS, self._index.num_samples)))
            self._encode_texts(texts)
            texts = {}
        self._encode_texts(texts)
        self._counts.distinct_texts = len(self._seen_texts)
        return self._counts

    def _wave(self, rows: range) -> dict[str, str]:
        """Encode latents, and record the samples' texts; return the texts that were read, by key."""
        samples = self._samples.slice(rows.start, len(rows)).to_pylist()
        unread = {
            row
            for row, sample in zip(rows, samples, strict=True)
            if not self._names_content or any(sample[name] not in self._texts for name in CAPTIONS)
        }
        read: list[SampleTexts] = []
        if not self._names_content:
            read += self._run(read_tasks(sorted(unread)))
            for each in read:
                samples[each.row - rows.start]["media_digest"] = each.media_digest
            unread = set()
        readable = [row for row in rows if row not in self._counts.failed]
        lacking = (self._wanted(row, samples[row - rows.start]["media_digest"], unread) for row in readable)
        wanted = [each for each in lacking if each.variants]
        self._done += len(rows) - len(wanted)
        unread -= {each.row for each in wanted}
        tasks = [*latent_tasks(wanted, self._shapes, self._pool.count), *read_tasks(sorted(unread))]
        read += self._run(tasks)
        encoded = [each for each in wanted if each.row not in self._counts.failed]
        self._latents |= {latent_name(each.key, *variant) for each in encoded for variant in each.variants}
        return self._record(rows, samples, read)

    def _record(
        self, rows: range, samples: list[dict[str, Any]], read: Sequence[SampleTexts]
    ) -> dict[str, str]:
        texts: dict[str, str] = {}
        recorded = []
        for sample in read:
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
        return texts

    def _encode_texts(self, texts: dict[str, str]) -> None:
        missing = {key: text for key, text in texts.items() if key not in self._texts}
        self._run(text_tasks([*missing.values()], self._text_space, self._pool.count))
        self._texts |= missing.keys()

    def _wanted(self, row: int, medium: str, unread: set[int]) -> Wanted:
        """Return the latents of a row that the store lacks."""
        key = latent_key(medium, self._shapes[row])
        variants = tuple(
            variant for variant in self._variants[row] if latent_name(key, *variant) not in self._latents
        )
        return Wanted(row=row, key=key, variants=variants, texts=row in unread)

    def _run(self, tasks: Iterable[Task]) -> list[SampleTexts]:
        """Run tasks, count what they did, and return the texts that they read."""
        samples: list[SampleTexts] = []
        for report in self._pool.map(tasks):
            self._counts.add(report)
            samples += report.samples
            if report.rows or report.failed:
                self._done += len(report.rows) + len(report.failed)
                self._progress(f"encoded {self._done} of {self._counts.total} clips")
            elif report.texts > 1:
                self._progress(f"encoded {self._counts.texts} texts")
        return samples


def _names(index: ShardIndex, folder: str, space: str) -> set[str]:
    """Return the names of the tensors that a store holds in a space."""
    return {*combine(TensorStore(index.out_uri, folder).table(space)["name"]).to_pylist()}
