"""Joined and split sets hold the same samples; a repack of a split one writes what changed, and no more."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pack_without_ray
import pyarrow as pa
import pytest
import webdataset as wds

from benchmarks.packable_dataset import MadeMedium, caption_row, make
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import PARTS
from manifests.shards import ShardIndex
from manifests.storage import open_storage
from pipeline.config import PackConfig, RayConfig
from pipeline.jobs import pack as job
from pipeline.jobs.report import PackReport
from pipeline.pack.stale_sets import delete_stale_set, find_stale_sets
from trainer.data.decode import read_sample

CLIPS = 30
JOINED = PackConfig(buckets=("17x64x80", "9x48x80", "1x48x80"), shard_bytes=18_000, fps=8)
SPLIT = replace(JOINED, layout="split")
PNG = cv2.imencode(".png", np.full((64, 96, 3), 90, np.uint8))[1].tobytes()


def medium(clip: int, window: int) -> MadeMedium:
    """Videos of three lengths, windows of others, and stills; their bytes are no video."""
    content = np.random.default_rng([clip, window]).bytes(900 + 130 * (clip % 7))
    if clip % 8 == 5:
        return MadeMedium(content=PNG + content, extension="png", num_frames=1, height=64, width=96, fps=24.0)
    frames = (30, 54, 103)[clip % 3] - 5 * window
    return MadeMedium(content=content, num_frames=frames, height=64, width=96 + 16 * (clip % 2))


def windows(clip: int) -> int:
    return 3 if clip % 6 == 1 else 1


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    pack_without_ray.patch(monkeypatch)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("source") / "d"
    make(root, clips=CLIPS, medium=medium, windows=windows, versions=("a", "b"))
    return root


@pytest.fixture
def dataset(source, tmp_path) -> str:
    import shutil

    shutil.copytree(source, tmp_path / "d")
    return str(tmp_path / "d")


@pytest.fixture(params=["disk", "s3"])
def out(request, tmp_path) -> str:
    """Where a test packs to, with the dataset on a disk."""
    return str(tmp_path / "shards") if request.param == "disk" else request.getfixturevalue("s3_uri")


def pack(dataset: str, out: str, config: PackConfig = SPLIT, *, dry_run: bool = False) -> PackReport:
    return job.pack(dataset, out, config, RayConfig(), dry_run=dry_run)


def edit(
    dataset: str, words: Mapping[str, str], version: str = "b", parts: Mapping[str, Any] | None = None
) -> None:
    """Commit a newer caption of some media, by media id, all with these parts."""
    opened = Dataset.open(dataset)
    media = {row["media_id"]: row for row in LiveView(opened).media.to_pylist()}
    rows = [caption_row(media[name], version, text) for name, text in words.items()]
    rows = [row | {"parts": json.dumps(parts) if parts else None} for row in rows]
    part = opened.write_part("captions", pa.Table.from_pylist(rows))
    opened.commit(Commit(stage="caption", added=(part,), config_digest=version))


def samples(out: str) -> dict[str, Any]:
    """Return each sample of a set by key, as the trainer reads it, with its record."""
    index, found = ShardIndex.load(out), {}
    with pytest.MonkeyPatch.context() as patch:
        for row in range(index.num_samples):
            ref = index.sample(row)
            members = index.read(ref)
            patch.setattr(index, "read", lambda _, members=members: members)
            record = members[members.index(b'{\n "bucket"') :].split(b"\0")[0]
            found[ref.key] = (read_sample(index, ref), json.loads(record), ref.bucket.name)
            patch.undo()
    return found


def stored(out: str) -> dict[str, tuple[int, float]]:
    """Return size and time of each tar of a set."""
    return {
        found.key: (found.size, found.modified_s)
        for found in open_storage(out).list()
        if found.key.endswith(".tar")
    }


def test_both_layouts_hold_the_same_samples_in_the_same_order(dataset, tmp_path, out):
    joined = str(tmp_path / "joined")
    report = pack(dataset, joined, JOINED)
    assert (report.layout, set(report.tars_written)) == ("joined", {"joined"})
    assert report.samples == CLIPS + 2 * sum(windows(clip) == 3 for clip in range(CLIPS))
    report = pack(dataset, out)
    assert report.tars_written["media"] == report.tars_written["captions"] == report.shards > 6
    assert samples(out) == samples(joined)
    one, other = ShardIndex.load(joined), ShardIndex.load(out)
    assert one.digest == other.digest
    for name in ("key", "clip_id", "media_digest", "text_digest", "window_frames", "source"):
        assert one.column(name) == other.column(name)
    assert len({*one.column("window_frames")}) > 3
    assert len({len(each.dense) for each, _, _ in samples(out).values()}) > 5


def test_a_repack_after_three_edits_writes_three_tars_of_captions(dataset, out):
    pack(dataset, out)
    before, texts = stored(out), samples(out)
    index = ShardIndex.load(out)
    chosen = [index.sample(row) for row in (0, 1, index.num_samples - 1)]
    touched = {ref.sidecar for ref in chosen}
    edit(dataset, {ref.media_id: f"edited {ref.key}" for ref in chosen})
    planned = pack(dataset, out, dry_run=True)
    assert stored(out) == before
    report = pack(dataset, out)
    assert dict(report.tars_written) == dict(planned.tars_written) == {"captions": len(touched)}
    assert dict(report.tars_kept) == dict(planned.tars_kept)
    assert report.tars_kept == {"media": report.shards, "captions": report.shards - len(touched)}
    after = samples(out)
    changed = {key for key in after if after[key] != texts[key]}
    assert changed == {ref.key for ref in chosen}
    assert all(after[key][0].media == texts[key][0].media for key in changed)
    assert all(after[key][0].short.startswith(f"edited {key}"[:30]) for key in changed)
    kept = {name: stat for name, stat in stored(out).items() if before.get(name) == stat}
    assert {name for name in before if name.startswith("media/")} <= kept.keys()
    assert len(kept) == 2 * report.shards - len(touched)
    assert pack(dataset, out).nothing_left
    assert find_stale_sets(out) == []


@pytest.mark.parametrize("config", [JOINED, SPLIT], ids=["joined", "split"])
def test_the_parts_of_captions_are_in_the_samples_and_read_by_the_trainer(dataset, tmp_path, config):
    parts: dict[str, Any] = dict.fromkeys(PARTS, "") | {"subjects": ["a heron", "«reed»"], "camera": "still"}
    parts |= {"actions": ["it lands"], "visible_text": []}
    out = str(tmp_path / "shards")
    pack(dataset, out, config)
    index = ShardIndex.load(out)
    assert {each.parts == {} for each, _, _ in samples(out).values()} == {True}
    ref = index.sample(index.num_samples // 2)
    edit(dataset, {ref.media_id: "with parts"}, parts=parts)
    written = pack(dataset, out, config).tars_written
    assert written == ({"captions": 1} if config.layout == "split" else {"joined": len(stored(out))})
    found = samples(out)
    assert {key: dict(each.parts) for key, (each, _, _) in found.items() if each.parts} == {ref.key: parts}
    assert {record["caption"]["parts"] for _, record, _ in found.values()} == {"{}", json.dumps(parts)}
    edit(dataset, {ref.media_id: "with parts"}, parts=parts | {"camera": "pans left"})
    assert pack(dataset, out, config).tars_written == written
    assert samples(out)[ref.key][0].parts["camera"] == "pans left"


def test_another_version_of_the_captions_writes_no_media(dataset, out):
    pack(dataset, out)
    report = pack(dataset, out, replace(SPLIT, captions="a:dense"))
    assert report.tars_written == {"captions": report.shards}
    assert report.tars_kept == {"media": report.shards}
    assert {record["caption"]["version"] for _, record, _ in samples(out).values()} == {"a"}


def test_a_set_is_converted_whole_and_never_mixed(dataset, out):
    pack(dataset, out, JOINED)
    expected = samples(out)
    planned = pack(dataset, out, dry_run=True)
    assert "layout joined -> split" in str(planned.plan[0].why)
    report = pack(dataset, out)
    assert report.tars_kept == {}
    assert samples(out) == expected
    assert {name.split("/")[0] for name in stored(out)} == {"media", "captions"}
    report = pack(dataset, out, JOINED)
    assert samples(out) == expected
    assert len(stored(out)) == report.shards
    assert all("tars/videos/" in name or "tars/images/" in name for name in stored(out))


@pytest.mark.parametrize("kind", ["media", "captions"])
def test_a_tar_that_is_gone_or_cut_short_is_written_again_alone(dataset, out, kind):
    pack(dataset, out)
    expected, storage = samples(out), open_storage(out)
    gone, short = sorted(name for name in stored(out) if name.startswith(f"{kind}/"))[:2]
    content = storage.read(short)
    storage.delete(gone)
    if out.startswith("s3://"):
        storage.put(short, content[: 2 * 512])
    else:
        (Path(out) / short).write_bytes(content[: 2 * 512])
    report = pack(dataset, out, dry_run=True)
    assert f"{kind}/" in str(report.plan[0].why)
    assert "is missing or cut short" in str(report.plan[0].why)
    report = pack(dataset, out)
    assert report.tars_written == {kind: 2}
    assert samples(out) == expected
    open_storage(out).put("set-x/y" if out.startswith("s3://") else "README.md", b"other")
    if not out.startswith("s3://"):
        (Path(out) / "index.arrow").write_bytes(b"no index")
        assert pack(dataset, out).tars_written == {"media": report.shards, "captions": report.shards}
        assert samples(out) == expected


def test_on_s3_a_later_pack_or_gc_removes_what_no_set_shares(dataset, s3_uri):
    pack(dataset, s3_uri)
    storage = open_storage(s3_uri)
    index = ShardIndex.load(s3_uri)
    edit(dataset, {index.sample(0).media_id: "edited"})
    former = index.sample(0).sidecar
    pack(dataset, s3_uri)
    assert former not in stored(s3_uri)
    storage.put("media/videos/left-0.tar", b"12345")
    [stale] = find_stale_sets(s3_uri)
    assert (stale.name, stale.is_tar, stale.size_bytes) == ("media/videos/left-0.tar", True, 5)
    expected = samples(s3_uri)
    delete_stale_set(s3_uri, stale)
    assert find_stale_sets(s3_uri) == []
    assert samples(s3_uri) == expected
    assert {key.split("/")[0].split("-")[0] for key in (i.key for i in storage.list())} == {
        "media",
        "captions",
        "set",
        "pack.json",
    }


def killed_at(step: int, dataset: str, out: str) -> bool:
    """Repack in a child that dies before its `step`-th change at or beside `out`; return whether it did."""
    if (child := os.fork()) == 0:
        left, folder = step, str(Path(out).parent)

        def count(event: str, args: tuple[object, ...]) -> None:
            nonlocal left
            if event not in ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"):
                return
            if event == "open" and not (len(args) > 2 and int(str(args[2])) & os.O_CREAT):
                return
            if not any(str(arg).startswith((folder + "/shards", folder + "/.shards")) for arg in args[:2]):
                return
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(count)
            pack(dataset, out)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_step_leaves_the_former_set_or_the_new_one(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "ThreadPoolExecutor", _OneThread)
    out = str(tmp_path / "shards")
    pack(dataset, out)
    former = samples(out)
    index = ShardIndex.load(out)
    edit(dataset, {index.sample(3).media_id: "edited"})
    seen, step = set(), 1
    while killed_at(step, dataset, out):
        found = samples(out)
        changed = {key for key in found if found[key] != former[key]}
        assert found.keys() == former.keys()
        assert changed in (set(), {index.sample(3).key})
        seen.add(bool(changed))
        step += 1 if step < 4 else 7
    assert samples(out)[index.sample(3).key][0].short.startswith("edited")
    assert seen >= {False}
    assert step > 20
    for stale in find_stale_sets(out):
        delete_stale_set(out, stale)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert pack(dataset, out).nothing_left


class _OneThread:
    """Runs in the caller's thread: a forked child has no other."""

    def __init__(self, _: int) -> None: ...
    def __enter__(self) -> "_OneThread":
        return self

    def __exit__(self, *_: object) -> None: ...
    def map(self, function: Any, items: Any) -> Iterator[Any]:
        return map(function, items)


def with_captions(samples: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Join each medium with the text and record of the same key; as docs/shards.md shows it."""
    url, texts = None, iter(())
    for sample in samples:
        if sample["__url__"] != url:
            url = sample["__url__"]
            sidecar = wds.SimpleShardList([url.replace("/media/", "/captions/")])
            texts = iter(wds.DataPipeline(sidecar, wds.tarfile_to_samples()))
        own = next(texts)
        assert own["__key__"] == sample["__key__"]
        yield {**own, **sample}


def test_webdataset_zips_media_and_captions(dataset, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    pack(dataset, str(out))
    expected = samples(str(out))
    found = {}
    for worker in range(2):
        monkeypatch.setenv("WORKER", str(worker))
        monkeypatch.setenv("NUM_WORKERS", "2")
        for kind, extension in (("videos", "mp4"), ("images", "png")):
            tars = sorted(str(path) for path in (out / "media" / kind).rglob("*.tar"))
            rows = wds.WebDataset(tars, shardshuffle=False).compose(with_captions)
            names = ("__key__", extension, "txt", "json")
            found |= {key: (media, text, record) for key, media, text, record in rows.to_tuple(*names)}
    assert found.keys() == expected.keys()
    for key, (media, text, record) in found.items():
        assert (media, text.decode()) == (expected[key][0].media, expected[key][0].short)
        assert json.loads(record) == expected[key][1]
