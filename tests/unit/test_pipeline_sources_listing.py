"""Listing takes every name that a file system can hold, ends in every loop, and reads no byte."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from golden_cases import make_cases

from manifests.records import Source
from manifests.schemas import arrow_schema
from pipeline.analyze.task import analyze_file, analyze_in_sandbox
from pipeline.config import AnalyzeConfig, ListConfig
from pipeline.errors import NothingToDo
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.sources.listing import list_sources
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.container import local_path
from video.sandbox import Sandbox

ODD = ("name/", "place/")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    paths = {name: path for name, path in make_cases(root).items() if name.startswith(ODD)}
    return root, paths


def test_every_odd_name_is_listed_once_and_can_be_stored(corpus):
    root, paths = corpus
    sources = [source for part in ODD for source in list_sources(str(root / part), ListConfig())]
    listed = [source.uri for source in sources]
    assert len(set(listed)) == len(listed)
    absent = {"place/gone", "place/too-long"}
    wanted = {os.fsencode(path) for name, path in paths.items() if name not in absent}
    assert wanted <= {os.fsencode(local_path(uri)) for uri in listed}
    table = pa.Table.from_pylist(
        [{name: getattr(source, name) for name in arrow_schema(Source).names} for source in sources],
        schema=arrow_schema(Source),
    )
    assert table["uri"].to_pylist() == listed
    assert [stat_source(uri).source_key for uri in listed] == [source.source_key for source in sources]


def test_each_ends_as_clips_or_as_a_failure_with_a_code(corpus, tmp_path):
    root, _ = corpus
    outcomes = {}
    config, sandbox, attempts = AnalyzeConfig(min_shot_s=0.0), Sandbox(SandboxConfig()), AttemptLog(tmp_path)
    for part in ODD:
        for source in list_sources(str(root / part), ListConfig()):
            analysis = analyze_in_sandbox(source, config, sandbox, attempts, analyze_file)
            outcomes[source.uri] = [row.code for row in analysis.failures] or ["OK"] * len(analysis.clips)
    codes = {code for found in outcomes.values() for code in found}
    assert codes == {"OK", "VANISHED", "UNREADABLE"}
    assert all(outcomes.values())


def test_links_that_loop_end(tmp_path):
    (tmp_path / "film.mp4").touch()
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for other in ("up", "back"):
            (tmp_path / name / other).symlink_to(tmp_path)
    assert len(list_sources(str(tmp_path), ListConfig())) == 1
    assert len(list_sources(str(tmp_path / "**" / "*.mp4"), ListConfig())) == 1


def test_a_name_with_wildcards_is_a_name_first(tmp_path):
    for name in ("[a-z]*?{1}.mp4", "b.mp4"):
        (tmp_path / name).touch()
    assert [Path(s.uri).name for s in list_sources(str(tmp_path / "[a-z]*?{1}.mp4"), ListConfig())] == [
        "[a-z]*?{1}.mp4"
    ]
    assert [Path(s.uri).name for s in list_sources(str(tmp_path / "[a-b].mp4"), ListConfig())] == ["b.mp4"]


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0.mp4", "gone.mp4", "gone*.mp4"])
def test_a_name_that_cannot_be_is_nothing_to_do(tmp_path, name):
    with pytest.raises(NothingToDo):
        list_sources(f"{tmp_path}/{name}", ListConfig())


def test_listing_reads_no_byte(tmp_path, monkeypatch):
    (tmp_path / "film.mp4").write_bytes(b"12345")

    def opened(*args, **kwargs):
        raise AssertionError("a file was opened")

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr("os.open", opened)
    monkeypatch.setattr("pathlib.Path.open", opened)
    (source,) = list_sources(str(tmp_path), ListConfig())
    assert source.size_bytes == 5
