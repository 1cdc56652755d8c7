"""Replaced and unfinished shard sets are deleted; the published one stays, and the only copy of one."""

import json
import os
import time
from pathlib import Path

import pytest
from test_pipeline_pack_shard_sets import REF, publish, write, write_local

from kinora.cli import main as cli
from manifests.shards import ShardIndex, index_table
from manifests.storage import open_storage
from pipeline.pack.shard_sets import OutputRefused, open_shard_set
from pipeline.pack.stale_sets import delete_stale_set, find_stale_sets

HEX = "0123456789abcdef" * 2


def names(uri: str) -> list[str]:
    return [stale.name for stale in find_stale_sets(uri)]


def test_folders_that_killed_runs_left_are_deleted(tmp_path):
    out = tmp_path / "out"
    write_local(out, "one", b"ababab")
    for name in (f".out.{HEX}.partial", f".out.{HEX}.old", ".out.notes", f".other.{HEX}.partial"):
        open_storage(tmp_path / name).put("tars/a.tar", b"12345")
    stale = find_stale_sets(str(out))
    assert [(each.name, each.size_bytes) for each in stale] == [
        (f".out.{HEX}.old", 5),
        (f".out.{HEX}.partial", 5),
    ]
    assert all(abs(each.modified_s - time.time()) < 600 for each in stale)
    for each in stale:
        delete_stale_set(str(out), each)
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".out.notes", f".other.{HEX}.partial"}
    index = ShardIndex.load(out)
    assert index.read(index.sample(0)) == b"aba"


def test_a_set_that_was_moved_away_is_the_only_copy_and_comes_back_with_the_next_pack(tmp_path):
    """A run was killed between the two renames of `publish`."""
    out = tmp_path / "out"
    write_local(out, "one", b"ababab")
    open_storage(out).put("encoded/latents/a.safetensors", b"latent")
    out.rename(tmp_path / f".out.{HEX}.old")
    assert names(str(out)) == []
    place = open_shard_set(str(out))
    assert place.read_description() == {}
    open_storage(place.begin("two", "joined")).put(REF.shard, b"cdcdcd")
    assert ShardIndex.load(out).num_samples == 1
    place.publish(index_table([REF]), {"fingerprint": "two", "shards": [REF.shard]}, 8.0)
    assert (out / "encoded" / "latents" / "a.safetensors").read_bytes() == b"latent"
    assert names(str(out)) == []


def test_sets_on_s3_that_are_not_published_are_found(s3_uri):
    write(s3_uri, "one", b"ababab")
    publish(s3_uri, "one")
    write(s3_uri, "killed", b"xx")
    storage = open_storage(s3_uri)
    for key in ("index.arrow", "ar_1-1/0.tar", "tars/videos/0.tar", "encoded/a", "README.md"):
        storage.put(key, b"12345")
    stale = {each.name: each for each in find_stale_sets(s3_uri)}
    assert {name: each.size_bytes for name, each in stale.items()} == {
        "ar_1-1": 5,
        "index.arrow": 5,
        "set-killed": 2,
        "tars": 5,
    }
    for each in stale.values():
        delete_stale_set(s3_uri, each)
    assert {found.key.partition("/")[0] for found in storage.list()} == {
        "pack.json",
        "set-one",
        "encoded",
        "README.md",
    }


def test_a_set_at_the_root_of_a_prefix_is_the_published_one(s3_uri):
    """As `aws s3 sync` lays out a folder."""
    storage = open_storage(s3_uri)
    for key in ("index.arrow", "tars/videos/0.tar"):
        storage.put(key, b"12345")
    storage.put("pack.json", b'{"fingerprint": "one"}')
    assert names(s3_uri) == []


def test_the_command_respects_age_and_refuses_other_folders(tmp_path, capsys):
    out = tmp_path / "out"
    write_local(out, "one", b"ababab")
    left = tmp_path / f".out.{HEX}.partial"
    open_storage(left).put("tars/a.tar", b"12345")

    def run(*flags: str) -> dict:
        assert cli.main(["gc", "--shards", str(out), "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    assert run()["kept"] == {"shard sets and tars too young to be dropped": {"count": 1, "bytes": 0}}
    for path in [*left.rglob("*"), left]:
        os.utime(path, (0, 0))
    sets = {"replaced or unfinished shard sets": {"count": 1, "bytes": 5}}
    assert run("--dry-run")["dropped"] == sets
    assert left.exists()
    assert run()["dropped"] == sets
    assert not left.exists()
    assert cli.main(["gc", "--shards", str(tmp_path / "typo")]) == 2
    assert "no shard set is here" in capsys.readouterr().err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(OutputRefused, match=r"mine\.txt"):
        find_stale_sets(str(tmp_path / "notes"))
    assert cli.main(["gc", "--shards", str(tmp_path / "notes")]) == 2
    error = capsys.readouterr().err
    assert "nothing of it was deleted; name what `kinora pack --out` wrote" in " ".join(error.split())
    assert "empty" not in error
    assert Path(tmp_path / "notes" / "mine.txt").exists()
