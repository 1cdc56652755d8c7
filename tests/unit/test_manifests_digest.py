"""Stored digests: datasets, shard sets and checkpoints name their content by these very values."""

import io

import pytest

from captioner.prompts import Prompt
from manifests.digest import digest_bytes, digest_file, digest_files, digest_parts, digest_stream
from manifests.records import Source, clip_id

LARGE = b"pixels" * 500_000  # longer than one block


@pytest.mark.parametrize(
    ("parts", "digest"),
    [
        (("source", "file:///a.mp4", 12, "7"), "fe896d66150ea9707e7bb441761d8a54"),
        ((("a", 1), None, 0.5), "5b1df8218a20949fe223151be547652c"),
        ((), "cae66941d9efbd404e4d88758ea67670"),
    ],
)
def test_digest_of_parts(parts, digest):
    assert digest_parts(*parts) == digest


@pytest.mark.parametrize("data", [b"pixels", memoryview(b"pixels")])
def test_digest_of_bytes(data):
    assert digest_bytes(data) == "7d448d65cb41c2b7821037c68e29b2db"
    assert digest_bytes(b"Describe the video.", size=8) == "3dc8bac5d174d483"


def test_digest_of_files_and_streams(tmp_path):
    (tmp_path / "a").write_bytes(LARGE)
    (tmp_path / "b").write_bytes(b"more")
    assert digest_file(tmp_path / "a") == "bd2a83a7a8d795d99be9768561a93207"
    assert digest_stream(io.BytesIO(LARGE)) == "bd2a83a7a8d795d99be9768561a93207"
    assert digest_files([tmp_path / "a", tmp_path / "b"], size=8) == "1d7f7fb7de754b5b"


def test_ids_and_keys():
    assert (
        Source(uri="s3://b/k.mp4", size_bytes=10, etag="e").source_key == "c362d46a9bd224425fca339921dff0d3"
    )
    assert clip_id("d", 0, 1, 2) == "3b17536e-2e47-56d1-8d35-a624bc5c10dd"
    assert Prompt(name="x", text="Describe the video.").digest == "3dc8bac5d174d483"
