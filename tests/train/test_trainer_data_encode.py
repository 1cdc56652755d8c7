"""What is encoded depends on its content alone, is encoded once, and survives a kill, a repack and a move."""

import errno
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from manifests.records import SampleRef
from manifests.shards import INDEX_FILE, ShardIndex, write_index
from manifests.storage import LocalStorage
from trainer.checkpoints import load_vae, save_model
from trainer.config import EncodeConfig, FlowConfig, TextChoice
from trainer.data import encode_worker
from trainer.data.decode import decode_sample, read_sample
from trainer.data.encode import encode
from trainer.data.latent_cache import EncodedSet
from trainer.data.latents import LatentData
from trainer.pixels import to_pixels
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae

HERE = Path(__file__).parent
RUNS = runpy.run_path(str(HERE / "training_runs.py"))
NANO, VAE = RUNS["NANO"], RUNS["VAE"]
assert_equal_to_float32_rounding = RUNS["assert_equal_to_float32_rounding"]
UNIT = runpy.run_path(str(HERE.parent / "unit" / "conftest.py"))
s3_endpoint, s3_uri = UNIT["s3_endpoint"], UNIT["s3_uri"]
CLIPS = 18


def run(shards: Path | str, vae: Path, **settings) -> dict:
    return encode(EncodeConfig(shards=str(shards), vae=str(vae), **settings), progress=lambda line: None)


@pytest.fixture
def fresh(packer, encoded, tmp_path) -> tuple[Path, Path]:
    """Return shards that are not encoded yet, and the folder of a VAE."""
    return packer(tmp_path / "shards"), encoded[1]


def tensors(shards: Path | str) -> dict[tuple, np.ndarray]:
    """Return everything that training reads of a set."""
    index = ShardIndex.load(shards)
    stored = EncodedSet.load(index)
    read: dict[tuple, np.ndarray] = {("empty",): stored.empty_text()}
    for row in range(index.num_samples):
        if row in stored.missing:
            continue
        key = index.sample(row).key
        for start in stored.starts(row):
            for suffix in (0, *stored.suffixes(row)):
                read[key, start, suffix] = stored.latent(row, start, suffix)
        for caption in ("short", "dense"):
            read[key, caption] = stored.text(row, caption)
    return read


def assert_same(one: Mapping[tuple, np.ndarray], other: Mapping[tuple, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert_equal_to_float32_rounding(tensor, other[name])


def repack(shards: Path, out: Path, edit: Mapping[str, str], per_tar: int = 4) -> Path:
    """Pack the samples anew in tars of other sizes, in another order, with some captions edited."""
    index = ShardIndex.load(shards)
    refs: list[SampleRef] = []
    out.mkdir()
    for first in range(0, index.num_samples, per_tar):
        shard = f"{first:06d}.tar"
        with (out / shard).open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            for row in reversed(range(first, min(first + per_tar, index.num_samples))):
                ref, start = index.sample(row), file.tell()
                with tarfile.open(fileobj=io.BytesIO(index.read(ref))) as sample:
                    for member in sample:
                        content = sample.extractfile(member).read()  # pyright: ignore
                        if member.name.endswith((".txt", ".json")) and ref.key in edit:
                            short = f"a square number {int(ref.key[-3:])} moves right"
                            content = content.replace(short.encode(), edit[ref.key].encode())
                        info = tarfile.TarInfo(member.name)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
                place = {"shard": shard, "offset": start, "length": file.tell() - start}
                refs.append(replace(ref, **place, text_digest="", media_digest=""))
    write_index(out, refs, fps=index.fps)
    if (shards / "encoded").is_dir():  # as `kinora pack` does into the same folder
        shutil.copytree(shards / "encoded", out / "encoded")
    return out


@pytest.mark.usefixtures("any_machine")
def test_encoding_a_clip_does_not_depend_on_its_batch(fresh):
    shards, folder = fresh
    run(shards, folder)
    index, (vae, _), text = ShardIndex.load(shards), load_vae(folder), TextEncoder("minilm")
    stored = EncodedSet.load(index)
    for row in range(index.num_samples):
        sample = read_sample(index, index.sample(row))
        frames_THWC = decode_sample(sample, index.sample(row).bucket, index.fps)
        with torch.inference_mode():
            latent_BCTHW = vae.encode(to_pixels(torch.from_numpy(frames_THWC[None])))
        assert_equal_to_float32_rounding(stored.latent(row), latent_BCTHW[0].half().float().numpy())
        state_LD = text.states([sample.dense])[0].astype(np.float32)
        assert_equal_to_float32_rounding(stored.text(row, "dense"), state_LD)


def test_a_second_encode_does_nothing(encoded):
    shards, vae = encoded
    figures = run(shards, vae)
    assert (figures["encoded"], figures["texts_encoded"], figures["bytes_written"]) == (0, 0, 0)
    assert (figures["already_encoded"], figures["failed"]) == (CLIPS, [])


def test_a_repack_encodes_nothing_and_an_edited_caption_its_texts_alone(fresh, tmp_path):
    shards, vae = fresh
    assert run(shards, vae)["texts_encoded"] == 13  # 6 short, 6 dense and the empty one
    before = tensors(shards)
    moved = repack(shards, tmp_path / "moved", {})
    figures = run(moved, vae)
    assert (figures["encoded"], figures["texts_encoded"], figures["already_encoded"]) == (0, 0, CLIPS)
    assert_same(tensors(moved), before)

    key = "9x32x48-003"
    edited = repack(shards, tmp_path / "edited", {key: "a circle moves left"})
    figures = run(edited, vae)
    assert (figures["encoded"], figures["texts_encoded"]) == (0, 2)  # its short and its dense caption
    after, text = tensors(edited), TextEncoder()
    for caption, words in {
        "short": "a circle moves left",
        "dense": "a circle moves left. It is a very plain square.",
    }.items():
        expected = text.states([words])[0].astype(np.float32)
        assert_equal_to_float32_rounding(after.pop((key, caption)), expected)
        del before[key, caption]
    assert_same(after, before)


def test_a_set_copied_over_an_older_one_has_its_own_texts(fresh, tmp_path):
    shards, vae = fresh
    run(shards, vae)
    edited = repack(shards, tmp_path / "edited", {"1x32x32-002": "a square number 2 moves down"})
    shutil.rmtree(edited / "encoded")
    expected = run(edited, vae) and tensors(edited)
    shutil.rmtree(edited / "encoded")
    shutil.copytree(edited, shards, dirs_exist_ok=True)
    assert run(shards, vae)["encoded"] == 0
    assert_same(tensors(shards), expected)


def without_digests(shards: Path) -> None:
    """Rewrite an index as an older version wrote it."""
    with pa.ipc.open_file(shards / INDEX_FILE) as file:
        table = file.read_all()
    old = table.select(["clip_id", "num_frames", "height", "width", "shard", "offset", "length"])
    with pa.ipc.new_file(shards / INDEX_FILE, old.schema) as writer:
        writer.write_table(old)


def test_shards_of_an_older_version_are_read_anew_each_time(fresh, tmp_path):
    shards, vae = fresh
    run(shards, vae)
    expected = tensors(shards)
    edited = repack(shards, tmp_path / "edited", {"1x32x32-002": "a square number 2 moves down"}, per_tar=18)
    shutil.rmtree(edited / "encoded")
    same = repack(shards, tmp_path / "same", {}, per_tar=18)
    shutil.rmtree(same / "encoded")
    for folder in (same, edited):
        without_digests(folder)
    assert run(same, vae)["encoded"] == CLIPS
    assert_same(tensors(same), expected)
    assert run(same, vae)["encoded"] == 0
    shutil.copytree(edited, same, dirs_exist_ok=True)
    assert run(same, vae)["texts_encoded"] == 2
    state_LD = TextEncoder().states(["a square number 2 moves down"])[0].astype(np.float32)
    assert_equal_to_float32_rounding(tensors(same)["1x32x32-002", "short"], state_LD)


class Killed(BaseException):
    """Ends an encode as a signal would."""


def test_a_killed_encode_goes_on_and_loses_at_most_one_part(fresh, monkeypatch):
    shards, vae = fresh
    decoded: list[str] = []

    def until_killed(sample, *args, **kwargs):
        if len(decoded) == 11:
            raise Killed
        decoded.append(sample.clip_id)
        return decode_sample(sample, *args, **kwargs)

    monkeypatch.setattr(encode_worker, "decode_sample", until_killed)
    with pytest.raises(Killed):
        run(shards, vae, part_s=1e-9, batch_size=4)
    with pytest.raises(FileNotFoundError, match="not encoded yet; run `kinora encode"):
        EncodedSet.load(ShardIndex.load(shards))
    monkeypatch.setattr(encode_worker, "decode_sample", decode_sample)
    figures = run(shards, vae)
    assert figures["encoded"] == CLIPS - 10  # of eleven, one was in the batch that was lost
    assert figures["texts_encoded"] == 13  # texts come after latents
    assert figures["already_encoded"] == 10


def test_a_full_disk_loses_nothing_that_was_written(fresh, monkeypatch):
    shards, vae = fresh
    put, written = LocalStorage.put, []

    def full(self, key: str, data: bytes) -> None:
        if "latents/" in key and len(written) == 4:
            raise OSError(errno.ENOSPC, f"{key}: cannot be written, {self.root} is full")
        written.extend([key] if "latents/" in key else [])
        put(self, key, data)

    monkeypatch.setattr(LocalStorage, "put", full)
    with pytest.raises(OSError, match="is full"):
        run(shards, vae, part_s=1e-9, batch_size=2)
    monkeypatch.undo()
    assert run(shards, vae)["already_encoded"] == 2  # in two parts


def test_a_corrupt_sample_is_reported_and_left_out_of_training(fresh):
    shards, vae = fresh
    index = ShardIndex.load(shards)
    broken = [row for row in range(CLIPS) if index.sample(row).key in ("9x32x48-001", "1x32x32-004")]
    for row in broken:
        ref = index.sample(row)
        with (shards / ref.shard).open("r+b") as file:
            file.seek(ref.offset + 512)
            file.write(b"\0" * 3000 if ref.bucket.num_frames > 1 else b"\0" * 100)
    figures = run(shards, vae)
    assert [row["key"] for row in figures["failed"]] == ["9x32x48-001", "1x32x32-004"]
    assert all("cannot be decoded" in row["error"] for row in figures["failed"])
    assert (figures["encoded"], figures["already_encoded"]) == (CLIPS - 2, 0)
    assert len([name for name in tensors(shards) if len(name) == 3 and name[1:] == (0, 0)]) == CLIPS - 2
    data = LatentData(
        shards=str(shards),
        batch_size=4,
        validation_fraction=0,
        flow=FlowConfig(),
        text=TextChoice(),
        dit=NANO,
    )
    with pytest.warns(UserWarning, match="2 of 18 clips could not be encoded .* as 9x32x48-001"):
        data.setup("fit")
    assert not {*broken} & {*data.training_rows.tolist()}
    assert len(data.training_rows) == CLIPS - 2
    again = run(shards, vae)
    assert (len(again["failed"]), again["encoded"], again["already_encoded"]) == (2, 0, CLIPS - 2)


def test_networks_live_side_by_side_and_the_newest_is_read(fresh, tmp_path):
    shards, vae = fresh
    run(shards, vae)
    first = tensors(shards)
    torch.manual_seed(5)
    save_model(tmp_path / "other", "vae", VideoVae(replace(VAE, encoder_depths=(0, 0))), {})
    figures = run(shards, tmp_path / "other")
    assert (figures["encoded"], figures["texts_encoded"]) == (CLIPS, 0)
    stored = EncodedSet.load(ShardIndex.load(shards))
    assert stored.origin.vae == load_vae(tmp_path / "other")[1]["digest"]
    assert stored.suffixes(0) == ()  # no latent of this encoder depends on the frames before it
    assert run(shards, vae)["encoded"] == 0
    assert_same(tensors(shards), first)


def test_what_is_not_encoded_is_named_with_the_networks(fresh, tmp_path):
    shards, vae = fresh
    run(shards, vae)
    shutil.rmtree(shards / "encoded" / "latents")
    digest = load_vae(vae)[1]["digest"]
    with pytest.raises(ValueError, match=f"18 of 18 clips are not encoded by VAE {digest} .*`kinora encode"):
        EncodedSet.load(ShardIndex.load(shards))


def test_weights_that_give_nan_fail_every_clip(fresh, tmp_path):
    model = VideoVae(VAE)
    model.latent_mean_C.fill_(float("nan"))
    save_model(tmp_path / "nan", "vae", model, {})
    figures = run(fresh[0], tmp_path / "nan")
    assert len(figures["failed"]) == CLIPS
    assert "values that are not finite; check its weights" in figures["failed"][0]["error"]


def test_bad_inputs_are_refused_before_anything_is_written(fresh, tmp_path):
    shards, vae = fresh
    with pytest.raises(FileNotFoundError, match="train one with `kinora train vae"):
        run(shards, tmp_path / "no vae")
    with pytest.raises(FileNotFoundError, match="make the shards with `kinora pack"):
        run(tmp_path / "no shards", vae)
    with pytest.raises(FileNotFoundError, match=r"text encoder .*nowhere"):
        run(shards, vae, text_encoder=str(tmp_path / "nowhere"))
    assert not (shards / "encoded").exists()


def test_texts_that_are_cut_are_counted(packer, encoded, tmp_path):
    shards = packer(tmp_path / "shards", clips_a_bucket=2)
    edits = {f"{bucket}-001": "a square moves right and then left again " * 60 for bucket in ("17x32x32",)}
    long = repack(shards, tmp_path / "long", edits)
    figures = run(long, encoded[1])
    assert (figures["texts_truncated"], figures["max_tokens"]) == (2, 256)


@pytest.mark.slow
def test_two_processes_encode_what_one_does(fresh, tmp_path):
    shards, vae = fresh
    run(shards, vae)
    one = tensors(shards)
    shutil.rmtree(shards / "encoded")
    figures = run(shards, vae, processes=2, part_s=1e-9)
    assert (figures["encoded"], figures["texts_encoded"]) == (CLIPS, 13)
    assert_same(tensors(shards), one)


@pytest.mark.slow
def test_a_killed_command_leaves_no_process_and_goes_on(fresh):
    shards, vae = fresh
    many = repack(shards, shards.with_name("many"), {})
    command = [sys.executable, "-m", "kinora", "encode", "--shards", str(many), "--vae", str(vae)]
    with subprocess.Popen([*command, "--processes", "2", "--part-s", "0.001"]) as process:
        latents = many / "encoded" / "latents"
        while process.poll() is None and not (latents.is_dir() and any(latents.glob("*.parquet"))):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _encoders(many) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _encoders(many)
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)
    assert figures["already_encoded"] + figures["encoded"] == CLIPS
    assert figures["already_encoded"] > 0


def _encoders(shards: Path) -> list[int]:
    """Return the processes that have a file of a set open, or its path in their arguments."""
    return [pid for pid in _pids() if str(shards) in _read(f"/proc/{pid}/cmdline") and pid != os.getpid()]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def test_shards_on_s3_are_encoded_there(fresh, s3_uri):
    shards, vae = fresh
    run(shards, vae)
    expected = tensors(shards)
    shutil.rmtree(shards / "encoded")
    (shards / "pack.json").write_text(json.dumps({"set": "set-1"}))
    upload(shards, s3_uri)
    figures = run(s3_uri, vae)
    assert (figures["encoded"], figures["folder"]) == (CLIPS, f"{s3_uri}/encoded")
    assert_same(tensors(s3_uri), expected)
    assert run(s3_uri, vae)["encoded"] == 0


def upload(shards: Path, uri: str) -> None:
    """Copy a set as `kinora pack` lays it out on S3: the set below a folder that `pack.json` names."""
    from manifests.storage import open_storage

    storage = open_storage(uri)
    for path in shards.rglob("*"):
        if path.is_file():
            name = path.relative_to(shards).as_posix()
            storage.put(name if name == "pack.json" else f"set-1/{name}", path.read_bytes())
