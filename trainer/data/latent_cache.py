"""Latents and text states of a shard set, as the transformer reads them.

They lie below `encoded/` beside the shards, in two stores (trainer/data/tensor_store.py) that survive a
repack: `latents/` and `texts/`; `samples/` says which texts a sample has; `encoded.json` names the networks
of the newest `kinora encode`, and the samples that it could not encode.

Legend: C channels, T latent frames, H height, W width, L text tokens, D text width.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Protocol

import numpy as np

from manifests.digest import digest_parts
from manifests.shards import ShardIndex
from manifests.storage import Storage, open_storage
from trainer.config import VaeConfig
from trainer.data.encoded_keys import (
    ABOUT,
    CAPTIONS,
    FOLDER,
    LATENTS,
    TEXTS,
    bucket_shapes,
    latent_key,
    latent_name,
    latent_space,
    read_samples,
    samples_of,
    starts_of,
    suffixes_of,
    text_key,
    variants_of,
)
from trainer.data.legacy_cache import LegacyParts
from trainer.data.tensor_store import TensorReader, TensorStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Digests of what a set was encoded from."""

    index: str
    vae: str
    text: str
    max_starts: int = 1
    """Most starts of each sample that training draws from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Content of `encoded.json`."""

    origin: Origin
    vae_config: VaeConfig
    text_encoder: str = ""
    """Name of the text encoder, as it was written."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Reason for each sample that could not be encoded, by its key."""
    legacy: bool = False
    """Whether an older version wrote it, which kept the clips of one index by their row."""
    leaks: bool = False
    """Whether latents of last frames are kept only as they follow the frames before them."""


def read_about(index: ShardIndex) -> About | None:
    """Return what `encoded.json` says; None if there is none, or a damaged one: encode again."""
    try:
        content = json.loads(open_storage(index.out_uri).read(f"{FOLDER}/{ABOUT}"))
    except (FileNotFoundError, ValueError):
        return None
    shape = content.pop("vae_config", None)  # sets of older versions may hold none
    vae_config = VaeConfig(**shape or {})
    if "index" in content:
        leaks = shape is None or vae_config.encoder_history > 0
        return About(origin=Origin(**content), vae_config=vae_config, legacy=True, leaks=leaks)
    return About(origin=Origin(**content.pop("origin")), vae_config=vae_config, **content)


def write_about(storage: Storage, about: About) -> None:
    """Write `encoded.json`: call it when all is encoded."""
    content = {name: value for name, value in asdict(about).items() if name not in ("legacy", "leaks")}
    storage.put(f"{FOLDER}/{ABOUT}", (json.dumps(content, indent=1) + "\n").encode())


class _Parts(Protocol):
    """Where the tensors of an index lie."""

    def latent(self, row: int, start: int, suffix: int) -> np.ndarray: ...

    def text(self, row: int, caption: str) -> np.ndarray: ...

    def empty_text(self) -> np.ndarray: ...


class EncodedSet:
    """The encoded clips of one shard set."""

    def __init__(self, index: ShardIndex, about: About, parts: _Parts, missing: Sequence[int] = ()) -> None:
        self.index, self.about, self._parts = index, about, parts
        self.origin, self.vae_config = about.origin, about.vae_config
        self.missing = tuple(missing)
        """Rows that could not be encoded."""

    @classmethod
    def load(cls, index: ShardIndex) -> "EncodedSet":
        """Open what is encoded of an index. Raises FileNotFoundError or ValueError, with the remedy."""
        where, about = f"{index.out_uri}/{FOLDER}", read_about(index)
        remedy = f"run `kinora encode --shards {index.out_uri} --vae FOLDER`"
        if about is None:
            raise FileNotFoundError(f"{where}: the clips are not encoded yet; {remedy}")
        if about.legacy:
            if about.origin.index != index.digest:
                raise ValueError(
                    f"{where}: made from other shards than those in {index.out_uri}; {remedy} again"
                )
            return cls(index, about, LegacyParts(index))
        about = replace(about, origin=replace(about.origin, index=index.digest))
        parts = StoredParts(index, about)
        failed = {row for row in parts.missing if index.sample(row).key in about.failed}
        if len(failed) < len(parts.missing):
            raise ValueError(
                f"{where}: {len(parts.missing) - len(failed)} of {index.num_samples} clips are not encoded "
                f"by VAE {about.origin.vae} and text encoder {about.origin.text}; {remedy} again"
            )
        return cls(index, about, parts, sorted(failed))

    @property
    def digest(self) -> str:
        """Digest of what training on the set sees."""
        origin, more = self.origin, []
        if not self.about.legacy:
            more = [origin.max_starts, *(self.index.sample(row).key for row in self.missing)]
        return digest_parts(origin.index, origin.vae, origin.text, *more)

    def starts(self, row: int) -> tuple[int, ...]:
        """Return the starts of index row `row` whose latents are kept."""
        ref = self.index.sample(row)
        return starts_of(ref.bucket, ref.window_frames, self.origin.max_starts)

    def suffixes(self, row: int) -> tuple[int, ...]:
        """Return the suffixes that are kept as given: numbers of latent frames."""
        return () if self.about.legacy else suffixes_of(self.vae_config, self.index.sample(row).bucket)

    def latent(self, row: int, start: int = 0, suffix: int = 0) -> np.ndarray:
        """Return latent_CTHW (float32) of a row: of the clip, or of its last `suffix` frames as given."""
        return self._parts.latent(row, start, suffix)

    def text(self, row: int, caption: str) -> np.ndarray:
        """Return state_LD (float32) of the `short` or `dense` caption of index row `row`."""
        return self._parts.text(row, caption)

    def empty_text(self) -> np.ndarray:
        """Return state_LD (float32) of the empty text, for classifier-free guidance."""
        return self._parts.empty_text()


class StoredParts:
    """The tensors of an index in the stores."""

    def __init__(self, index: ShardIndex, about: About) -> None:
        origin, samples = about.origin, samples_of(index, read_samples(open_storage(index.out_uri)))
        space = latent_space(origin.vae, index.fps)
        self._latents = TensorReader.open(TensorStore(index.out_uri, LATENTS), space)
        self._texts = TensorReader.open(TensorStore(index.out_uri, TEXTS), origin.text)
        self._variants = variants_of(index, origin.max_starts, about.vae_config)
        self._first = np.array([0, *accumulate(map(len, self._variants))])
        media = zip(samples["media_digest"].to_pylist(), bucket_shapes(index), self._variants, strict=True)
        names = [
            latent_name(key, *variant)
            for medium, shape, variants in media
            for key in [latent_key(medium, shape)]
            for variant in variants
        ]
        self._latent_at = self._latents.positions(names).astype(np.int32)
        self._text_at = {name: self._texts.positions(samples[name].to_pylist()) for name in CAPTIONS}
        self._empty_at = int(self._texts.positions([text_key("")])[0])
        self.missing = self._missing()

    def latent(self, row: int, start: int, suffix: int) -> np.ndarray:
        place = self._variants[row].index((start, suffix))
        return self._latents.at(int(self._latent_at[self._first[row] + place]))

    def text(self, row: int, caption: str) -> np.ndarray:
        return self._texts.at(int(self._text_at[caption][row]))

    def empty_text(self) -> np.ndarray:
        return self._texts.at(self._empty_at)

    def _missing(self) -> list[int]:
        lacking = np.minimum.reduceat(self._latent_at, self._first[:-1]) < 0
        for at in self._text_at.values():
            lacking |= at < 0
        return np.flatnonzero(lacking).tolist()
