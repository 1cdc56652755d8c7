"""A shard set on S3 appears whole or not at all, and nothing of anybody else is touched."""

import json

import pytest

from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex
from manifests.storage import DatasetError, open_storage
from pipeline.pack.shard_sets import OutputRefused, open_shard_set

REF = SampleRef(
    clip_id="c", bucket=Bucket(num_frames=1, height=8, width=8), shard="ar_1-1/0.tar", offset=2, length=3
)


def write(uri: str, fingerprint: str, data: bytes) -> None:
    open_storage(open_shard_set(uri).begin(fingerprint)).put(REF.shard, data)


def publish(uri: str, fingerprint: str) -> None:
    place = open_shard_set(uri)
    place.read_description()
    place.begin(fingerprint)
    place.publish([REF], {"fingerprint": fingerprint, "shards": [REF.shard]}, 8.0)
    assert place.size([REF.shard]) == 6


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


def test_a_prefix_with_anything_else_is_refused_and_stays_as_it_is(s3_uri):
    open_storage(s3_uri).put("_log/00000000.json", json.dumps({}).encode())
    with pytest.raises(OutputRefused, match="_log"):
        open_shard_set(s3_uri).read_description()
    with pytest.raises(OutputRefused, match="name one"):
        open_shard_set("gs://somewhere/else")
