"""Captioned clips to WebDataset shards, one folder a bucket, with an index beside them."""

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from manifests.arrow import combine, pc
from manifests.dataset import Commit, Dataset, DatasetError
from manifests.live_view import LiveView
from manifests.redact import redact
from manifests.shards import LAYOUT_KEY, SPLIT
from manifests.snapshots import At
from manifests.storage import is_disk_full, open_storage
from pipeline.config import PackConfig, RayConfig, config_digest
from pipeline.errors import NothingToDo
from pipeline.jobs.report import PackReport
from pipeline.pack.caption_rows import ReviewedChoice, choose_captions, count_texts, read_texts
from pipeline.pack.plan import PackPlan, check_buckets, footage_used, plan_shards, trimmed_to_one_frame
from pipeline.pack.published import DIGESTS_KEY, Published
from pipeline.pack.reviews import EDITED, NO_REVIEW, TRIM
from pipeline.pack.samples import COLUMNS, fill_tar, make_samples
from pipeline.pack.shard_sets import OutputRefused, ShardSet, open_shard_set
from pipeline.pack.splice import FormerTexts, former_texts, write_spliced
from pipeline.pack.stage import add_pack, record_of
from pipeline.pack.tars import PlannedTar, build_index, tars_of
from pipeline.planning.dry_run import StagePlan, plan_pack
from pipeline.runtime.context import StageContext
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageFailed
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import batch_units, to_row

__all__ = ["OutputRefused", "pack"]

_TASK_SAMPLES = 4096
"""Samples of one task, unless one shard is larger."""
_WAVE_TASKS = 64
"""Tasks built and run at a time: bounds the texts in memory."""
_OWN_SAMPLES = 65536
"""Maximum number of samples whose texts this process writes itself, without starting Ray."""
_SPLICING = 8
"""Tars that this process writes at a time: a disk flushes several for the price of one."""


def pack(
    dataset_uri: str,
    out_uri: str,
    config: PackConfig,
    ray_config: RayConfig,
    *,
    at: At = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> PackReport:
    """Pack every clip with a caption of the policy `config.captions`.

    The same dataset and configuration give the same bytes on any machine.

    Replaces a shard set at `out_uri` once the new one is complete; leaves a whole one that is the same alone.

    Raises:
        OutputRefused: the folder holds something else.
        NothingToDo: no clip has a caption of the policy, or none fits a bucket.
        ValueError: the policy names a caption version or length that does not exist.
    """
    begin = time.monotonic()
    check_buckets(config)
    out = open_shard_set(out_uri)
    before = out.read_description()
    dataset = Dataset.open(dataset_uri, at=at)
    view = LiveView(dataset)
    rows, choice = _rows(view, config)
    num_media = rows.num_rows + sum(choice.left_out.values())
    planned = plan_shards(rows, config)
    if not planned.shards:
        raise NothingToDo(_nothing_to_do(dataset, planned, num_media, choice))
    published = Published.read(out, before)
    tars = [*tars_of(planned.shards, out.tar_name)]
    kept = published.kept(tars)
    seconds = {"plan": round(time.monotonic() - begin, 2)}
    same, former = _same(before, planned)
    damaged = published.damage if same else ""
    same = same and not damaged
    plans: tuple[StagePlan, ...] = ()
    unnoted = ""
    if dry_run:
        plans = (
            plan_pack(
                dataset.commits, planned.num_samples, num_media, before, config, same=same, damaged=damaged
            ),
        )
    elif not same:
        try:
            index = _Writing(planned, view, out, dataset, config, ray_config, progress).run(
                tars, kept, published
            )
            out.publish(index, _description(planned, tars, choice, config), config.fps)
        finally:
            out.clean_up()  # when no task can still write
        seconds["write"] = round(time.monotonic() - begin - seconds["plan"], 2)
        unnoted = _record(dataset, planned, out, config, time.monotonic() - begin)
    names = {*published.sizes} if same else {tar.name for tar in tars}
    counts: dict[str, int] = {}
    for shard in planned.shards:
        counts[shard.bucket] = counts.get(shard.bucket, 0) + shard.num_samples
    return PackReport(
        samples=planned.num_samples,
        shards=len(before["shards"]) if same else len(planned.shards),
        nothing_left=same,
        former_layout=former and same,
        layout=config.layout,
        tars_written={} if same else _count_kinds(tar for tar in tars if tar.name not in kept),
        tars_kept={} if same else _count_kinds(tar for tar in tars if tar.name in kept),
        buckets=counts,
        footage_used=footage_used(planned.rows),
        left_out=planned.left_out,
        trimmed_to_one_frame=tuple(trimmed_to_one_frame(planned.rows)),
        without_caption=num_media - len(rows),
        policy=config.captions,
        captions=count_texts(planned.rows),
        without_caption_why=choice.left_out,
        redrawn=choice.redrawn,
        reviews=choice.reviews,
        bytes=0 if dry_run else sum(out.sizes(names).values()),
        seconds=seconds,
        dry_run=dry_run,
        plan=plans,
        unnoted=unnoted,
    )


def _same(before: Mapping[str, Any], planned: PackPlan) -> tuple[bool, bool]:
    """Return whether a `pack.json` describes the planned set, and whether it is of an earlier version."""
    found = before.get("fingerprint")
    if not found or found == planned.fingerprint or LAYOUT_KEY in before:
        return bool(found) and found == planned.fingerprint, False
    former = found in planned.former_fingerprints()
    return former, former


def _count_kinds(tars: Iterable[PlannedTar]) -> dict[str, int]:
    return dict(sorted(Counter(tar.kind for tar in tars).items()))


def _rows(view: LiveView, config: PackConfig) -> tuple[pa.Table, ReviewedChoice]:
    """Return the media that have a caption, joined with it and their clip.

    The caption is represented by the digest and length of its texts.
    """
    media = view.read("media", COLUMNS["media"])
    choice = choose_captions(view, media, config)
    chosen = ("caption_row", "version", "text_length", "fixed_length", "content", "chars", "excluded")
    chosen += (*NO_REVIEW, *EDITED.values(), *TRIM)
    rows = _join(media, choice.rows, "media_id", chosen)
    rows = rows.filter(pc.is_valid(rows["content"]))
    trimmed_s = pc.subtract(rows["trim_end_s"], rows["trim_start_s"])
    place = rows.column_names.index("duration_s")
    rows = rows.set_column(place, "duration_s", pc.coalesce(trimmed_s, rows["duration_s"]))
    clips = view.read("clips", ("clip_id", *COLUMNS["clips"]))
    rows = _join(rows, clips, "clip_id", COLUMNS["clips"])
    sources = view.read("sources", ("source_key", *COLUMNS["sources"]))
    return _join(rows, sources, "source_key", COLUMNS["sources"]), choice


def _join(rows: pa.Table, other: pa.Table, key: str, columns: Sequence[str]) -> pa.Table:
    """Append `columns` of `other` by `key`; null if it has no such row."""
    index = pc.index_in(rows[key], value_set=combine(other[key]))
    for name in columns:
        rows = rows.append_column(name, other[name].take(index))
    return rows


@dataclass(frozen=True, slots=True)
class _Writing:
    """Writes the tars of a planned set."""

    planned: PackPlan
    view: LiveView
    out: ShardSet
    dataset: Dataset
    config: PackConfig
    ray_config: RayConfig
    progress: Progress

    def run(self, tars: Sequence[PlannedTar], kept: Collection[str], published: Published) -> pa.Table:
        """Write those of `tars` that are not kept; return the index of the whole set."""
        new = [tar for tar in tars if tar.name not in kept]
        former = former_texts(self.planned.rows, published.index, published.whole)
        out_uri = self.out.begin(self.planned.fingerprint, self.config.layout)
        self.out.keep(kept)
        self.progress("pack", 0, sum(tar.num_samples for tar in new))
        by_tasks, here = _divide(new, former)
        spliced = self._splice(here, former, out_uri)
        written = self._on_ray(by_tasks, out_uri) if by_tasks else []
        return build_index(self.planned.rows, written, spliced, kept, published.index)

    def _splice(self, tars: Sequence[PlannedTar], former: FormerTexts, out_uri: str) -> list[pa.Table]:
        """Write tars of captions by threads, which wait for the disk; return where each sample lies."""
        row_N = np.concatenate([np.zeros(0, np.int64), *(former.new_rows(tar) for tar in tars)])
        rows = self.planned.rows.take(pa.array(row_N))
        samples = make_samples(rows, read_texts(self.view, rows), self.config)
        samples = [replace(each, record=record_of(each, self.dataset.storage)) for each in samples]
        new = dict(zip(row_N.tolist(), samples, strict=True))
        published, target = open_storage(self.out.uri), open_storage(out_uri)

        def write(tar: PlannedTar) -> pa.Table:
            keys = self.planned.rows["key"].slice(tar.first, tar.num_samples).to_pylist()
            places = write_spliced(tar, keys, former, new, published, target)
            self.progress("pack", tar.num_samples)
            return places

        try:
            with ThreadPoolExecutor(max(_SPLICING, target.max_concurrency)) as threads:
                return list(threads.map(write, tars))
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise self._full(str(error), out_uri) from error

    def _on_ray(self, tars: Sequence[PlannedTar], out_uri: str) -> list[dict[str, Any]]:
        """Write tars by tasks of many samples; return where each sample lies."""
        context = StageContext(dataset_uri=self.dataset.uri, pool=self.ray_config.pack)
        samples: list[dict[str, Any]] = []
        with RaySession(self.ray_config) as session:
            session.check(("pack",), [self.dataset.uri, self.out.shared_uri()])
            batches = batch_units(
                tars, cpus=session.cpus, max_weight=_TASK_SAMPLES, weight=lambda tar: tar.num_samples
            )
            tasks = self._tasks(batches, tars)
            while rows := list(islice(tasks, _WAVE_TASKS)):
                units = ray.data.from_items(rows, override_num_blocks=len(rows))
                for row in add_pack(units, context, out_uri).iter_rows():
                    samples += self._result(row, out_uri)
        return samples

    def _tasks(
        self, batches: Iterable[Sequence[PlannedTar]], tars: Sequence[PlannedTar]
    ) -> Iterator[dict[str, str]]:
        """Yield the row of each task, with the samples of its tars."""
        with_texts = [tar for tar in tars if tar.kind != "media"]
        spans = [np.arange(tar.first, tar.last) for tar in with_texts]
        rows_N = pa.array(np.concatenate([[], *spans]), pa.int64())
        texts = read_texts(
            self.view, self.planned.rows.select(["caption_row", *EDITED.values()]).take(rows_N)
        )
        first = dict(zip((tar.name for tar in with_texts), _starts(with_texts), strict=True))
        for batch in batches:
            units = []
            for tar in batch:
                rows = self.planned.rows.slice(tar.first, tar.num_samples)
                own = texts.slice(first[tar.name], tar.num_samples) if tar.name in first else None
                units.append(fill_tar(tar.name, tar.kind, rows, own, self.config))
            yield to_row(units)

    def _result(self, row: Mapping[str, str], out_uri: str) -> list[dict[str, Any]]:
        """Return what a task wrote. Raises StageFailed for a full disk."""
        if row["full"]:
            raise self._full(row["full"], out_uri)
        written = json.loads(row["samples"])
        self.progress("pack", len(written))
        return written

    def _full(self, error: str, out_uri: str) -> StageFailed:
        return StageFailed(f"pack: {redact(error.replace(out_uri, self.out.uri))}")


def _divide(
    tars: Sequence[PlannedTar], former: FormerTexts
) -> tuple[Sequence[PlannedTar], Sequence[PlannedTar]]:
    """Return the tars that tasks write, and those of captions that this process writes itself."""
    here = [tar for tar in tars if tar.kind == "captions"]
    if sum(len(former.new_rows(tar)) for tar in here) > _OWN_SAMPLES:
        return tars, []
    return [tar for tar in tars if tar.kind != "captions"], here


def _starts(tars: Sequence[PlannedTar]) -> list[int]:
    """Return the first row of each tar among the rows of all."""
    return [0, *np.cumsum([tar.num_samples for tar in tars])[:-1].tolist()] if tars else []


def _record(dataset: Dataset, planned: PackPlan, out: ShardSet, config: PackConfig, seconds: float) -> str:
    """Record the new set in the dataset's log; return the error if that failed, else an empty string."""
    commit = Commit(
        stage="pack",
        config=asdict(config)
        | {"out": out.uri, "fingerprint": planned.fingerprint, "packed": count_texts(planned.rows)},
        config_digest=config_digest(config),
        counts={"units": planned.num_samples, "shards": len(planned.shards)},
        seconds=round(seconds, 3),
    )
    try:
        dataset.commit(commit, rebase=True)
    except (OSError, DatasetError) as error:  # a read-only dataset can be packed
        return str(error)
    return ""


def _description(
    planned: PackPlan, tars: Sequence[PlannedTar], choice: ReviewedChoice, config: PackConfig
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "format": "kinora-shards",
        LAYOUT_KEY: config.layout,
        "fingerprint": planned.fingerprint,
        "fps": config.fps,
        "buckets": list(config.buckets),
        "samples": planned.num_samples,
        "captions": {"policy": config.captions, "counts": count_texts(planned.rows)},
        "reviews": {"use": asdict(config.reviews), "counts": asdict(choice.reviews)},
        "shards": [tar.name for tar in tars if tar.kind != "captions"],
        "footage_used": footage_used(planned.rows),
    }
    if config.layout == SPLIT:
        about["sidecars"] = [tar.name for tar in tars if tar.kind == "captions"]
        about[DIGESTS_KEY] = {tar.name: tar.digest for tar in tars}
    return about


def _nothing_to_do(dataset: Dataset, planned: PackPlan, num_media: int, choice: ReviewedChoice) -> str:
    if not num_media:
        return f"{dataset.uri}: no clip was cut; run `kinora curate`, or see `kinora status`"
    left_by_review = ", ".join(f"{count} {reason}" for reason, count in choice.reviews.left_out.items())
    if not planned.left_out and left_by_review:
        return (
            f"{dataset.uri}: all clips with a caption are left out by reviews ({left_by_review}); review "
            "more, or change `--reviews`"
        )
    if not planned.left_out:
        why = ", ".join(choice.left_out)
        return (
            f"{dataset.uri}: none of {num_media} clips has a caption ({why}); run `kinora caption`, or see "
            "`kinora status` for the caption versions"
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in planned.left_out.items())
    return f"{dataset.uri}: no clip fits a bucket ({reasons}); change `buckets`, `fps` or `max_crop`"
