"""Sources of every kind: S3, lists, tars. What is wrong says where and what to do."""

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_faults import DEAD, answer

from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Selection
from manifests.storage import DatasetError
from pipeline.analyze.stage import analyze_batch
from pipeline.config import AnalyzeConfig, CutConfig, ListConfig
from pipeline.cut.stage import cut_batch
from pipeline.errors import NothingToDo
from pipeline.planning import pending
from pipeline.runtime.context import StageContext
from pipeline.runtime.pieces import Piece
from pipeline.runtime.units import to_row
from pipeline.select.select import KEPT
from pipeline.sources.listing import list_sources
from pipeline.sources.lists import SourceListError
from pipeline.sources.stat import refresh, stat_source
from video.config import SandboxConfig
from video.encode import encode_mp4

LIST = ListConfig()


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    encode_mp4(np.random.default_rng(0).integers(0, 255, (25, 48, 64, 3), np.uint8), 25, path)
    return path.read_bytes()


def put(uri: str, content: bytes) -> str:
    """Put an object; return its URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    boto3.Session().client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return uri


def tar_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def commit(dataset: Dataset, stage: str, pieces: Iterator[Piece]) -> Dataset:
    [done] = [piece.result for piece in pieces]
    return dataset.commit(Commit(stage=stage, added=done.parts, counts=dict(done.counts)), rebase=True)


def curate(source: str, dataset_uri: str, tmp_path, limits: SandboxConfig | None = None) -> Dataset:
    """Take all at `source` into a dataset, without Ray."""
    dataset = Dataset.create(dataset_uri)
    sandbox = limits or SandboxConfig()
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path), sandbox=sandbox)
    units = to_row(list_sources(source, LIST).sources)
    done = analyze_batch(units, config=AnalyzeConfig(), context=context)
    dataset = commit(dataset, "analyze", done)
    clips = LiveView(dataset).clips["clip_id"].to_pylist()
    kept = [Selection(clip_id=c, kept=True, reason=KEPT, detail="", rules="r") for c in clips]
    if kept:
        dataset = dataset.commit(Commit(stage="select", added=(dataset.write_records("selections", kept),)))
        clips_to_cut = pending.to_cut(LiveView(dataset), CutConfig())
        cutting = to_row(pending.cut_units(clips_to_cut, CutConfig()))
        dataset = commit(dataset, "cut", cut_batch(cutting, config=CutConfig(), context=context))
    return dataset


def test_a_prefix_is_taken_in_wherever_the_dataset_lies(film, s3_uri, place, tmp_path):
    put(f"{s3_uri}/raw/a.mp4", film)
    put(f"{s3_uri}/raw/deep/b.mp4", b"no film")
    put(f"{s3_uri}/raw/deep/c.txt", b"no source")
    put(f"{s3_uri}-neighbour/raw/d.mp4", film)
    dataset = curate(f"{s3_uri}/raw", f"{place}/dataset", tmp_path)
    assert {row["uri"] for row in LiveView(dataset).sources.to_pylist()} == {
        f"{s3_uri}/raw/a.mp4",
        f"{s3_uri}/raw/deep/b.mp4",
    }
    assert LiveView(dataset).media.num_rows == LiveView(dataset).clips.num_rows == 1
    (failure,) = LiveView(dataset).failures.to_pylist()
    assert (failure["uri"], failure["code"]) == (f"{s3_uri}/raw/deep/b.mp4", "NOT_MEDIA")
    assert conservation.violations(dataset) == []
    again = list_sources(f"{s3_uri}/raw", LIST).sources
    done = {row["source_key"] for row in LiveView(dataset).sources.to_pylist()}
    assert {source.source_key for source in again} == done


def test_one_object_is_a_source(film, s3_uri):
    uri = put(f"{s3_uri}/odd name #1?.mp4", film)
    (source,) = list_sources(uri, LIST).sources
    assert (source.uri, source.size_bytes) == (uri, len(film))
    assert source == stat_source(uri)


def test_a_changed_object_and_a_vanished_one_have_their_own_codes(film, s3_uri, tmp_path):
    put(f"{s3_uri}/a.mp4", film)
    put(f"{s3_uri}/b.mp4", film + b"b")
    put(f"{s3_uri}/c.mp4", film + b"c")
    sources = list_sources(s3_uri, LIST).sources
    put(f"{s3_uri}/b.mp4", film + b"B")
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    boto3.Session().client("s3").delete_object(Bucket=bucket, Key=f"{key}/c.mp4")
    dataset = Dataset.create(str(tmp_path / "d"))
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path))
    done = analyze_batch(to_row(sources), config=AnalyzeConfig(), context=context)
    dataset = commit(dataset, "analyze", done)
    codes = {row["uri"][-5:]: row["code"] for row in LiveView(dataset).failures.to_pylist()}
    assert codes == {"b.mp4": "CHANGED", "c.mp4": "VANISHED"}


@pytest.mark.parametrize(("status", "code"), [(403, "UNREADABLE"), (404, "VANISHED")])
def test_one_object_that_cannot_be_had_fails_alone(status, code, film, s3_uri, tmp_path):
    for name in "abc":
        put(f"{s3_uri}/{name}.mp4", film + name.encode())
    answer(f"{s3_uri}/b.mp4", status)
    dataset = curate(s3_uri, str(tmp_path / "d"), tmp_path)
    (failure,) = LiveView(dataset).failures.to_pylist()
    assert (failure["uri"], failure["code"]) == (f"{s3_uri}/b.mp4", code)
    if status == 403:
        assert "AccessDenied" in failure["message"]
        assert failure["remedy"].startswith("these credentials may not do that")
    assert (LiveView(dataset).sources.num_rows, LiveView(dataset).media.num_rows) == (3, 2)
    assert conservation.violations(dataset) == []


def test_of_an_object_that_may_be_listed_alone_nothing_can_be_seen(film, s3_uri):
    put(f"{s3_uri}/a.mp4", film)
    (source,) = list_sources(f"{s3_uri}/", LIST).sources
    answer(source.uri, 403)
    assert refresh(source) is None
    answer(source.uri, 200)
    assert refresh(source) == source


def test_what_becomes_forbidden_before_it_is_cut_has_not_changed(film, s3_uri, tmp_path):
    put(f"{s3_uri}/a.mp4", film)
    dataset = curate(s3_uri, str(tmp_path / "d"), tmp_path)
    clips = pending.to_cut(LiveView(dataset), CutConfig(crf=40))
    (unit,) = pending.cut_units(clips, CutConfig())
    answer(f"{s3_uri}/a.mp4", 403)
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path))
    commit(dataset, "cut", cut_batch(to_row([unit]), config=CutConfig(crf=40), context=context))
    (row,) = Dataset.open(dataset.uri).read("failures").to_pylist()
    assert (row["code"], row["stage"]) == ("UNREADABLE", "cut")
    assert "403" in row["message"]


def test_a_tar_that_may_not_be_read_is_counted(s3_uri):
    put(f"{s3_uri}/a.tar", tar_of(**{"a.mp4": b"x"}))
    answer(f"{s3_uri}/a.tar", 403)
    assert [source.uri for source in list_sources(f"{s3_uri}/", LIST).sources] == [f"{s3_uri}/a.tar"]


def test_an_endpoint_that_goes_away_fails_what_is_left_and_soon(film, tmp_path, monkeypatch, s3_uri):
    command = [sys.executable, str(Path(__file__).with_name("s3_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{int(server.stdout.readline())}")
        boto3.Session().client("s3").create_bucket(Bucket="all")
        for name in "abc":
            put(f"s3://all/{name}.mp4", film + name.encode())
        answer("s3://all/b.mp4", DEAD)
        begin = time.monotonic()
        dataset = curate("s3://all/", str(tmp_path / "d"), tmp_path)
        assert time.monotonic() - begin < 30
        server.wait()
    assert conservation.violations(dataset) == []
    failures = LiveView(dataset).failures.to_pylist()
    assert {(row["stage"], row["uri"][-5:], row["code"]) for row in failures} == {
        ("analyze", "b.mp4", "UNREADABLE"),
        ("analyze", "c.mp4", "UNREADABLE"),
        ("cut", "a.mp4", "UNREADABLE"),
    }
    assert all("AWS_ENDPOINT_URL" in row["remedy"] for row in failures)


def test_an_object_over_the_limit_is_not_fetched(film, s3_uri, tmp_path):
    put(f"{s3_uri}/a.mp4", film)
    dataset = curate(s3_uri, str(tmp_path / "d"), tmp_path, SandboxConfig(max_fetch_mb=0))
    (failure,) = LiveView(dataset).failures.to_pylist()
    assert failure["code"] == "TOO_LARGE"
    assert "--sandbox.max-fetch-mb" in failure["message"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_list_carries_its_columns_along(kind, film, s3_uri, tmp_path):
    (tmp_path / "a.mp4").write_bytes(film)
    rows = [
        {"uri": "a.mp4", "licence": "CC0"},
        {"uri": put(f"{s3_uri}/b.mp4", film + b"b"), "licence": "CC BY, 4.0"},
        {"uri": "gone.mp4", "licence": "none"},
    ]
    path = tmp_path / f"list.{kind}"
    if kind == "csv":
        lines = [f'{row["uri"]},"{row["licence"]}"' for row in rows]
        path.write_text("\n".join(["uri,licence", *lines]))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    dataset = curate(str(path), str(tmp_path / "d"), tmp_path)
    found = {row["uri"].rpartition("/")[2]: row for row in LiveView(dataset).sources.to_pylist()}
    licences = {name: json.loads(row["carried"])["licence"] for name, row in found.items()}
    assert licences == {"a.mp4": "CC0", "b.mp4": "CC BY, 4.0", "gone.mp4": "none"}
    (failure,) = LiveView(dataset).failures.to_pylist()
    assert (failure["uri"], failure["code"]) == (str(tmp_path / "gone.mp4"), "VANISHED")
    assert LiveView(dataset).media.num_rows == 2
    assert conservation.violations(dataset) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,licence\na.mp4,CC0\n", "row 1 has no column `uri` or `path` or `url`, only file, licence"),
        ("uri,licence\na.mp4,CC0\na.mp4,CC1\n", "rows 1 and 2 name the same file, a.mp4"),
        ("uri,licence\na.mp4,CC0,x\n", "line 2 does not have 2 cells"),
        ("uri\n", "no rows"),
        ("uri,licence\n,CC0\n", "row 1 has no column"),
    ],
)
def test_a_bad_list_names_itself_the_row_and_the_remedy(text, said, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(SourceListError, match=said) as error:
        list_sources(str(path), LIST)
    assert str(path) in str(error.value)


def test_equal_rows_count_once_and_the_column_can_be_named(tmp_path):
    (tmp_path / "list.csv").write_text("film,x\na.mp4,1\na.mp4,1\n")
    (source,) = list_sources(str(tmp_path / "list.csv"), ListConfig(uri_column="film")).sources
    assert (source.uri, source.carried) == (str(tmp_path / "a.mp4"), '{"x": "1"}')


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_members_of_tars_are_sources_with_what_lies_beside_them(where, film, s3_uri, tmp_path):
    beside = {"x/1.txt": b"noise", "x/1.json": b'{"licence": "CC0"}'}
    content = tar_of(**{"x/1.mp4": film, **beside, "2.mp4": b""})
    (tmp_path / "raw").mkdir()
    if where == "disk":
        (tmp_path / "raw" / "0.tar").write_bytes(content)
    root = str(tmp_path / "raw") if where == "disk" else s3_uri + "/raw"
    if where == "s3":
        put(f"{root}/0.tar", content)
    first, second = list_sources(root, LIST).sources
    assert json.loads(first.carried) == {"caption": "noise", "licence": "CC0"}
    assert (first.size_bytes, second.size_bytes, second.carried) == (len(film), 0, "{}")
    assert stat_source(first.uri).source_key == first.source_key
    dataset = curate(root, str(tmp_path / "d"), tmp_path)
    assert LiveView(dataset).media.num_rows == 1
    assert LiveView(dataset).clips["uri"].to_pylist() == [f"tar+{root}/0.tar#512+{len(film)}/x/1.mp4"]
    assert [row["code"] for row in LiveView(dataset).failures.to_pylist()] == ["EMPTY_FILE"]
    assert conservation.violations(dataset) == []


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_hidden_members_and_objects_are_passed_over_and_counted(where, film, s3_uri, tmp_path):
    names = ("./a/clip.mp4", "a/._clip.mp4", "a/.trash/old.mp4", "__MACOSX/a/clip.mp4", "a/clip.npy")
    members: dict[str, bytes] = dict.fromkeys(names, film)
    content = tar_of(**members)
    (tmp_path / "raw" / "@eaDir").mkdir(parents=True)
    root = str(tmp_path / "raw") if where == "disk" else s3_uri + "/raw"
    for name in ("mac.tar", "@eaDir/thumb.jpg", "b.txt"):
        if where == "disk":
            (tmp_path / "raw" / name).write_bytes(content)
        else:
            put(f"{root}/{name}", content)
    listing = list_sources(root, LIST)
    assert [source.uri.rpartition("#")[2].partition("/")[2] for source in listing.sources] == ["./a/clip.mp4"]
    counts = {each.reason: each.count for each in listing.left_out}
    assert counts == {"hidden": 2, "kept by a system": 2, "ending .npy": 1, "ending .txt": 1}
    everything = list_sources(root, ListConfig(hidden=True)).sources
    assert len(everything) == 5


def test_in_a_tar_of_dotted_names_each_clip_has_its_own_text(tmp_path):
    members: dict[str, bytes] = {}
    for number, text in ((1, b"a red bird"), (2, b"a car"), (3, b"rain")):
        members |= {f"clip.{number:04d}.mp4": bytes(number), f"clip.{number:04d}.txt": text}
    members |= {"clip.json": b'{"licence": "CC0"}', "clip.0004.txt": b"of a clip in the next tar"}
    (tmp_path / "set.tar").write_bytes(tar_of(**members))
    listing = list_sources(str(tmp_path / "set.tar"), LIST)
    carried = [json.loads(source.carried) for source in listing.sources]
    texts = ("a red bird", "a car", "rain")
    assert carried == [{"caption": text, "licence": "CC0"} for text in texts]
    assert [(each.reason, each.count) for each in listing.left_out] == [("ending .txt", 1)]


def test_a_tar_cut_short_is_counted(film, tmp_path):
    (tmp_path / "raw").mkdir()
    content = tar_of(**{"1.mp4": film, "2.mp4": film})
    (tmp_path / "raw" / "0.tar").write_bytes(content[: 512 + len(film) + 2000])
    dataset = curate(str(tmp_path / "raw"), str(tmp_path / "d"), tmp_path)
    codes = [row["code"] for row in LiveView(dataset).failures.to_pylist()]
    assert LiveView(dataset).clips.num_rows == 1
    assert codes


def test_the_tars_of_a_dataset_are_no_sources(film, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes(film)
    curate(str(tmp_path / "raw"), str(tmp_path / "raw" / "dataset"), tmp_path)
    assert len(list_sources(str(tmp_path / "raw"), LIST).sources) == 1


def test_a_missing_bucket_and_missing_credentials_are_reported(s3_uri, monkeypatch):
    with pytest.raises(DatasetError, match="make the bucket, or name another"):
        list_sources("s3://no-such-bucket-of-ours/raw", LIST)
    with pytest.raises(NothingToDo, match="no such object"):
        list_sources(f"{s3_uri}/nothing", LIST)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DatasetError, match="no credentials found; set AWS_PROFILE"):
        list_sources(s3_uri, LIST)
