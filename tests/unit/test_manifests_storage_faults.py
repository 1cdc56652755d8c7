"""Full disks, broken connections, stores that lie, and secrets: nothing half is seen, no secret is said."""

import errno
import io
import os
import resource
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from botocore.exceptions import ConnectionClosedError

from kinora.cli import main as cli
from manifests.dataset import Commit, Dataset, DatasetError
from manifests.records import Failure
from manifests.redact import redact
from manifests.storage import LocalStorage, local, s3
from manifests.storage.s3 import S3Storage

ROOT = Path(__file__).parents[2]


def add(dataset: Dataset, unit: str) -> Dataset:
    row = Failure(stage="x", unit=unit, uri="/u", code="X", message="m", remedy="r", config="c")
    return dataset.commit(Commit(stage="x", added=(dataset.write_records("failures", [row]),)))


def units(uri: str) -> list[str]:
    return Dataset.open(uri).read("failures")["unit"].to_pylist()


@pytest.mark.parametrize("allowed", range(12))
def test_a_disk_that_fills_up_at_any_flush(tmp_path, monkeypatch, allowed):
    """The flush is where a file system says that it is full; readers see what was committed before."""
    root = str(tmp_path / "d")
    dataset = add(Dataset.create(root), "before")
    left, flush = allowed, os.fsync

    def full(descriptor: int) -> None:
        nonlocal left
        if (left := left - 1) < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(local.os, "fsync", full)
    acknowledged = ["before"]
    with suppress(OSError):
        for number in range(9):
            dataset = add(dataset, f"{number}")
            acknowledged.append(f"{number}")
    assert left < 0
    monkeypatch.undo()
    assert units(root)[: len(acknowledged)] == acknowledged
    assert len(units(root)) <= len(acknowledged) + 1  # a commit may be there that nobody was told of
    assert list(LocalStorage(Path(root)).incomplete_uploads()) == []
    assert [*units(root), "after"] == add(Dataset.open(root), "after").read("failures")["unit"].to_pylist()


def test_a_file_that_cannot_grow_is_no_part(tmp_path):
    """A real limit of the operating system, in a process of its own: the write breaks off half-way."""
    root = tmp_path / "d"
    add(Dataset.create(root), "before")
    code = (
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from manifests.dataset import Dataset\n"
        "dataset = Dataset.open(sys.argv[1])\n"
        "with dataset.storage.open_writer('media/x.tar') as out:\n"
        "    out.write(bytes(2**20))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list((root / "media").iterdir()) == []
    assert units(str(root)) == ["before"]


def test_a_file_system_without_hard_links_is_refused(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(local.os, "link", no_links)
    with pytest.raises(DatasetError, match="has no hard links"):
        Dataset.create(tmp_path / "d")


@pytest.fixture(autouse=True)
def own_client():
    """A client of its own, since tests hook into its events."""
    s3._connect.cache_clear()
    yield
    s3._connect.cache_clear()


def events(place: S3Storage):
    return place._client.meta.events


def test_an_upload_that_breaks_leaves_nothing(s3_uri, monkeypatch):
    monkeypatch.setattr(s3, "_MULTIPART_BYTES", 5 * 2**20)
    place = S3Storage(s3_uri)

    def break_off(params, **_):
        if params["PartNumber"] == 2:
            raise OSError("the cable was cut")

    events(place).register("provide-client-params.s3.UploadPart", break_off)
    with pytest.raises(OSError, match="the cable was cut"), place.open_writer("media/x.tar") as out:
        out.write(bytes(11 * 2**20))
    assert list(place.list()) == []
    assert list(place.incomplete_uploads()) == []


def test_a_commit_whose_answer_was_lost_counts_once(s3_uri):
    """boto3 tries again and is told that the key is there: it is the writer's own entry, so it has won."""
    dataset = Dataset.create(s3_uri)
    assert isinstance(dataset.storage, S3Storage)
    puts = []

    def lose(request_dict, caught_exception=None, attempts=0, response=None, **_):
        if response and not puts:
            puts.append(response)
            return 0.01  # seconds until the next try, as after a broken connection
        return None

    client = dataset.storage._client
    client.meta.events.register_first("needs-retry.s3.PutObject", lose)
    statuses = []
    client.meta.events.register(
        "response-received.s3.PutObject",
        lambda response_dict, **_: statuses.append(response_dict["status_code"]),
    )
    before = dataset.number
    dataset = dataset.commit(Commit(stage="once"), rebase=True)
    assert statuses == [200, 412]
    assert [c.stage for c in Dataset.open(s3_uri).commits[before + 1 :]] == ["once"]


def test_a_connection_that_breaks_while_reading_is_read_again(s3_uri):
    place = S3Storage(s3_uri)
    place.put("x", b"0123456789")
    broken = []

    class Body:
        def read(self) -> bytes:
            from botocore.exceptions import IncompleteReadError

            raise IncompleteReadError(actual_bytes=3, expected_bytes=10)

    def break_once(parsed, **_):
        if not broken:
            broken.append(parsed["Body"])
            parsed["Body"] = Body()

    events(place).register("after-call.s3.GetObject", break_once)
    assert place.read("x") == b"0123456789"
    assert len(broken) == 1


@pytest.mark.parametrize(
    ("said", "most", "silent_s"),
    [(b"", 6, 0.2), (b"HTTP/1.1 403 Forbidden\r\n\r\n<Error><Code>AccessDenied</Code></Error>", 1, 2.0)],
    ids=["nothing", "an error whose end it does not tell"],
)
def test_a_store_that_falls_silent_is_given_up(s3_uri, monkeypatch, said, most, silent_s):
    asked = []

    def talk(connection: socket.socket) -> None:
        with connection:
            while connection.recv(2**16):
                asked.append(1)
                connection.sendall(said)

    def listen() -> None:
        with suppress(OSError):
            while True:
                Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=listen, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(s3, "_SILENT_S", silent_s)
        with pytest.raises(DatasetError, match=r"x: .*AWS_ENDPOINT_URL"):
            S3Storage(s3_uri).download("x", io.BytesIO(), offset=0, length=9, etag="e")
    assert len(asked) == most


def test_a_store_that_ignores_the_condition_is_refused(s3_uri, monkeypatch):
    """Some old S3 look-alikes take `If-None-Match` and overwrite: two writers would both win."""

    make = s3.boto3.Session.client

    def client_without_conditions(self, *args, **kwargs):
        client = make(self, *args, **kwargs)
        client.meta.events.register(
            "before-call.s3.PutObject",
            lambda params, **_: params["headers"].pop("If-None-Match", None) and None,
        )
        return client

    monkeypatch.setattr(s3.boto3.Session, "client", client_without_conditions)
    with pytest.raises(DatasetError, match="does not support conditional puts"):
        Dataset.create(s3_uri)
    assert list(S3Storage(s3_uri).list()) == []


SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


def test_a_uri_with_credentials_is_refused_without_repeating_them(capsys):
    uri = f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/prefix"
    for command in ("status", "failures", "captions check"):
        assert cli.main([*command.split(), "--dataset", uri]) == 2
        said = capsys.readouterr()
        assert SECRET not in said.err + said.out
        assert "AKIAIOSFODNN7EXAMPLE" not in said.err + said.out
        assert "s3://***@bucket/prefix" in said.err


def test_errors_of_the_store_hide_the_secret(s3_uri, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    place = S3Storage(s3_uri)

    def leak(**_):
        raise ConnectionClosedError(endpoint_url=f"http://user:{SECRET}@host/?X-Amz-Signature={SECRET}")

    events(place).register("before-send.s3.GetObject", leak)
    with pytest.raises(DatasetError) as raised:
        place.read("x")
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown
    assert "***" in str(raised.value)
    assert SECRET not in repr(place)
    assert SECRET not in place.uri


def test_no_credentials_and_no_bucket_say_what_to_do(s3_uri, monkeypatch):
    with pytest.raises(DatasetError, match="make the bucket, or name another"):
        Dataset.open("s3://no-such-bucket-here/x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DatasetError, match="set AWS_PROFILE"):
        Dataset.open(s3_uri)


def test_credentials_may_come_from_a_profile(s3_uri, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    held = tmp_path / "credentials"
    held.write_text(f"[lab]\naws_access_key_id = testing\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(held))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    add(Dataset.create(s3_uri), "a")
    assert units(s3_uri) == ["a"]
    assert all(SECRET.encode() not in S3Storage(s3_uri).read(s.key) for s in S3Storage(s3_uri).list())


def test_no_secret_is_written_into_a_commit(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    config = {
        "endpoint": f"https://me:{SECRET}@captions.example/v1",
        "api_key": SECRET,
        "nested": {"urls": [f"http://h/?token={SECRET}&n=3"]},
        "max_tokens": 512,
    }
    dataset.commit(Commit(stage="caption", config=config))
    written = (tmp_path / "d" / "_log" / "00000001.json").read_text()
    assert SECRET not in written
    read = Dataset.open(tmp_path / "d").commits[1].config
    assert read["endpoint"] == "https://***@captions.example/v1"
    assert read["nested"] == {"urls": ["http://h/?token=***&n=3"]}
    assert read["max_tokens"] == 512


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host/x",
        f"s3://user:p@{SECRET}@bucket",
        f"GET /b/k?X-Amz-Credential=me/{SECRET}&X-Amz-Signature={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: AWS4-HMAC-SHA256 Credential={SECRET}/x, Signature={SECRET}",
        f"password={SECRET}",
    ],
)
def test_redaction(text):
    assert SECRET not in redact(text)
    assert "***" in redact(text)


def test_ordinary_text_stays():
    text = "s3://bucket/a@b/part.parquet: 3 tokens, see https://docs.example/x?page=2 (me@example.org)"
    assert redact(text) == text
