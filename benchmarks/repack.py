"""Time a repack after edits against a full pack of the same dataset, in the split layout.

The media are random bytes, smaller than real clips, so that a full pack is not made slow by copying.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.packable_dataset import make, random_medium
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, Review, Verdict, caption_digest
from pipeline.config import PackConfig, RayConfig
from pipeline.jobs.pack import pack
from pipeline.runtime.session import RaySession

MEDIA_BYTES = 32_000
"""Bytes of each medium; the clips of `kinora demo` have 35,000 on average, those of 720p films a million."""
SAMPLES_PER_TAR = 128
"""As many as a default tar has of clips of two megabytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepackFigures:
    """Times of both packs, without that of starting Ray."""

    samples: int
    edits: int
    full_pack_s: float
    repack_s: float
    tars: int
    """Tars of captions of the whole set."""
    tars_written: int
    """Those that the repack wrote."""
    media_written: int

    @property
    def repack_over_full(self) -> float:
        """Time of the repack as a fraction of that of the full pack."""
        return self.repack_s / self.full_pack_s


def measure_repack(
    root: Path, *, clips: int = 20_000, edits: int = 100, seed: int = 0, media_bytes: int = MEDIA_BYTES
) -> RepackFigures:
    """Make a dataset below `root`, pack it, commit `edits` reviews of random clips, and pack it again."""
    dataset = make(root / "dataset", clips=clips, medium=random_medium(media_bytes))
    out, ray_config = root / "shards", RayConfig()
    shard_bytes = SAMPLES_PER_TAR * (media_bytes + 2048)
    config = PackConfig(buckets=("17x64x80",), layout="split", captions="reviewed", shard_bytes=shard_bytes)
    with RaySession(ray_config) as session:
        _ = session.cpus
        begin = time.monotonic()
        full = pack(dataset.uri, str(out), config, ray_config)
        full_pack_s = time.monotonic() - begin
        commit_edits(dataset.refresh(), edits, seed)
        begin = time.monotonic()
        repack = pack(dataset.uri, str(out), config, ray_config)
        repack_s = time.monotonic() - begin
    shutil.rmtree(out)
    return RepackFigures(
        samples=repack.samples,
        edits=repack.reviews.edited,
        full_pack_s=full_pack_s,
        repack_s=repack_s,
        tars=full.shards,
        tars_written=repack.tars_written.get("captions", 0),
        media_written=repack.tars_written.get("media", 0),
    )


def commit_edits(dataset: Dataset, edits: int, seed: int) -> Dataset:
    """Commit an edit of the short text of `edits` random media."""
    columns = ["media_id", "clip_id", "version", *LENGTH_COLUMNS.values()]
    captions = LiveView(dataset).read("captions", columns)
    rows = np.random.default_rng(seed).choice(captions.num_rows, edits, replace=False)
    reviews = [_edit(captions.slice(int(row), 1).to_pylist()[0], number) for number, row in enumerate(rows)]
    part = dataset.write_records("reviews", reviews)
    return dataset.commit(Commit(stage="review", added=(part,), counts={"units": edits}), rebase=True)


def _edit(caption: dict[str, str], number: int) -> Review:
    return Review(
        review_id=digest_parts("edit", number),
        clip_id=caption["clip_id"],
        media_id=caption["media_id"],
        reviewer="bench",
        at="2026-01-01T00:00:00+00:00",
        verdict=Verdict.EDIT,
        caption_version=caption["version"],
        caption_digest=caption_digest(caption["short"], caption["medium"], caption["text"]),
        length="short",
        new_text=f"edited text {number}",
    )
