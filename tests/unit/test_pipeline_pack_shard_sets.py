"""A shard set on S3 appears whole or not at all, and nothing of anybody else is touched."""

import json

import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex, index_table
from manifests.storage import DatasetError, open_storage
from pipeline.pack.published import Published
from pipeline.pack.shard_sets import OutputRefused, open_shard_set

REF = SampleRef(
    clip_id="c", bucket=Bucket(num_frames=1, height=8, width=8), shard="ar_1-1/0.tar", offset=2, length=3
)


def write(uri: str, fingerprint: str, data: bytes) -> None:
    open_storage(open_shard_set(uri).begin(fingerprint, "joined")).put(REF.shard, data)


def publish(uri: str, fingerprint: str) -> None:
    place = open_shard_set(uri)
    place.read_description()
    place.begin(fingerprint, "joined")
    place.publish(index_table([REF]), {"fingerprint": fingerprint, "shards": [REF.shard]}, 8.0)
    assert place.sizes([REF.shard, "other.tar"]) == {REF.shard: 6}


def test_until_pack_json_is_written_there_is_no_set_and_the_next_run_begins_again(s3_uri):
    write(s3_uri, "one", b"ababab")
    assert open_shard_set(s3_uri).read_description() == {}
    with pytest.raises(FileNotFoundError, match="kinora pack"):
        ShardIndex.load(s3_uri)
    publish(s3_uri, "one")
    assert open_shard_set(s3_uri).read_description()["fingerprint"] == "one"
    index = ShardIndex.load(s3_uri)
    assert index.read(index.sample(0)) == b"aba"


def test_a_new_set_takes_the_place_of_the_old_one_and_the_old_one_goes(s3_uri):
    write(s3_uri, "one", b"ababab")
    publish(s3_uri, "one")
    write(s3_uri, "two", b"cdcdcd")
    index = ShardIndex.load(s3_uri)
    assert index.read(index.sample(0)) == b"aba"
    publish(s3_uri, "two")
    index = ShardIndex.load(s3_uri)
    assert index.read(index.sample(0)) == b"cdc"
    assert {found.key.partition("/")[0] for found in open_storage(s3_uri).list()} == {"pack.json", "set-two"}


def test_a_set_that_lacks_a_shard_is_not_published(s3_uri):
    with pytest.raises(DatasetError, match=r"set-one/ar_1-1/0.tar: was removed meanwhile; pack again"):
        publish(s3_uri, "one")
    assert open_shard_set(s3_uri).read_description() == {}


@pytest.mark.parametrize("on_s3", [False, True])
def test_a_set_with_a_tar_or_an_index_that_is_gone_or_cut_short_is_damaged(on_s3, s3_uri, tmp_path):
    uri = s3_uri if on_s3 else str(tmp_path / "set")
    storage = open_storage(open_shard_set(uri).begin("one", "joined"))
    storage.put(REF.shard, b"ababab")
    if on_s3:
        publish(uri, "one")
        below = "set-one/"
    else:
        place = open_shard_set(uri)
        new = place.begin("one", "joined")
        open_storage(new).put(REF.shard, b"ababab")
        place.publish(index_table([REF]), {"fingerprint": "one", "shards": [REF.shard]}, 8.0)
        below = ""
    stored = open_storage(uri)

    def found() -> str:
        place = open_shard_set(uri)
        return Published.read(place, place.read_description()).damage

    assert found() == ""
    stored.put(below + REF.shard, b"abab")  # the sample ends at byte 5
    assert found() == REF.shard
    stored.delete(below + REF.shard)
    assert found() == REF.shard
    index = ShardIndex.load(uri)
    with pytest.raises(FileNotFoundError, match=r"tar ar_1-1/0.tar of the index is not there"):
        index.read(index.sample(0))
    stored.put(below + "index.arrow", b"no index")
    assert found() == "index.arrow"
    stored.put("pack.json", b"")
    assert "damaged" in open_shard_set(uri).read_description()


OTHERS = {"README.md": b"# my set", "tars/videos/.nv-meta/dataset.yaml": b"mine", "tars/notes.txt": b"mine"}
DERIVED = ("tars/videos/.nv-meta/split.yaml", "tars/videos/.nv-meta/.info.json", "tars/videos/a.tar.idx")
ENCODED = {"encoded/latents/0.safetensors": b"latent"}


def test_a_new_set_keeps_what_others_wrote_but_not_their_indexes_of_the_old_tars(tmp_path):
    """`energon prepare` and the hubs write into the folder; what is encoded is keyed by content."""
    out = tmp_path / "out"
    write_local(out, "one", b"ababab")
    for name, data in {**OTHERS, **ENCODED, **dict.fromkeys(DERIVED, b"derived")}.items():
        open_storage(out).put(name, data)
    write_local(out, "two", b"cdcdcd")
    index = ShardIndex.load(out)
    assert index.read(index.sample(0)) == b"cdc"
    ours = {"index.arrow", "index.parquet", "pack.json", REF.shard}
    assert {found.key for found in open_storage(out).list()} == {*OTHERS, *ENCODED, *ours}
    assert all((out / name).read_bytes() == data for name, data in (OTHERS | ENCODED).items())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_holds_only_a_readme_takes_a_set(tmp_path):
    open_storage(tmp_path / "out").put("README.md", b"# my set")
    write_local(tmp_path / "out", "one", b"ababab")
    assert (tmp_path / "out" / "README.md").read_bytes() == b"# my set"


def test_a_new_set_on_s3_keeps_what_others_wrote(s3_uri):
    write(s3_uri, "one", b"ababab")
    publish(s3_uri, "one")
    storage = open_storage(s3_uri)
    storage.put("README.md", b"# my set")
    for name, data in {**OTHERS, **dict.fromkeys(DERIVED, b"derived")}.items():
        storage.put(f"set-one/{name}", data)
    write(s3_uri, "two", b"cdcdcd")
    publish(s3_uri, "two")
    ours = {"index.arrow", "index.parquet", "pack.json", REF.shard}
    below = {f"set-two/{name}" for name in {*OTHERS, *ours}}
    assert {found.key for found in storage.list()} == {"README.md", "pack.json", *below}


def write_local(out, fingerprint: str, data: bytes) -> None:
    place = open_shard_set(str(out))
    place.read_description()
    open_storage(place.begin(fingerprint, "joined")).put(REF.shard, data)
    place.publish(index_table([REF]), {"fingerprint": fingerprint, "shards": [REF.shard]}, 8.0)
    place.clean_up()


def test_a_prefix_with_anything_else_is_refused_and_stays_as_it_is(s3_uri):
    open_storage(s3_uri).put("_log/00000000.json", json.dumps({}).encode())
    with pytest.raises(OutputRefused, match="_log"):
        open_shard_set(s3_uri).read_description()
    with pytest.raises(OutputRefused, match="name one"):
        open_shard_set("gs://somewhere/else")
