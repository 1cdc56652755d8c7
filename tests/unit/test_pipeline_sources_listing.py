"""Listing takes every name that a file system can hold, ends in every loop, and reads no byte."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from golden_cases import make_cases  # pyright: ignore[reportMissingImports]

from manifests.records import Source
from manifests.schemas import arrow_schema
from pipeline.analyze.task import analyze_file, analyze_in_sandbox
from pipeline.config import AnalyzeConfig, ListConfig
from pipeline.errors import NothingToDo
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.sources.left_out import describe_left_out
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
    sources = [source for part in ODD for source in list_sources(str(root / part), ListConfig()).sources]
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
        for source in list_sources(str(root / part), ListConfig()).sources:
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
    assert len(list_sources(str(tmp_path), ListConfig()).sources) == 1
    assert len(list_sources(str(tmp_path / "**" / "*.mp4"), ListConfig()).sources) == 1


def test_a_name_with_wildcards_is_a_name_first(tmp_path):
    for name in ("[a-z]*?{1}.mp4", "b.mp4"):
        (tmp_path / name).touch()
    for pattern, name in (("[a-z]*?{1}.mp4", "[a-z]*?{1}.mp4"), ("[a-b].mp4", "b.mp4")):
        sources = list_sources(str(tmp_path / pattern), ListConfig()).sources
        assert [Path(source.uri).name for source in sources] == [name]


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
    (source,) = list_sources(str(tmp_path), ListConfig()).sources
    assert source.size_bytes == 5


def left_out(listing) -> dict[str, int]:
    return {each.reason: each.count for each in listing.left_out}


def names_of(listing, root) -> list[str]:
    return [source.uri.removeprefix(f"{root}/") for source in listing.sources]


@pytest.fixture
def nas(tmp_path) -> Path:
    """A share as cameras, a NAS and a Mac leave it."""
    root = tmp_path / "share"
    for name in (
        "tv.ts", "dvd.VOB", "old.asf", "camera.mts", "disc.m2ts", "studio.mxf", "phone.3gp", "a.mp4",
        "day/@eaDir/a.mp4/thumb.jpg", "day/.AppleDouble/a.mp4", "day/._a.mp4", "day/b.mp4",
        "__MACOSX/a.mp4", "#recycle/c.mp4", "notes.txt", "clip.srt", "clip.en.srt", "security.dav",
        "frame.0001", "frame.0002", "README",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_endings_of_cameras_discs_and_broadcasts_are_taken_and_others_counted(nas):
    listing = list_sources(str(nas), ListConfig())
    assert names_of(listing, nas) == [
        "a.mp4", "camera.mts", "day/b.mp4", "disc.m2ts", "dvd.VOB", "old.asf", "phone.3gp", "studio.mxf",
        "tv.ts",
    ]  # fmt: skip
    assert left_out(listing) == {
        "ending .txt": 1,
        "ending .srt": 2,
        "ending .dav": 1,
        "no ending": 3,
        "hidden": 2,
        "kept by a system": 3,
    }
    said = "\n".join(describe_left_out(listing.left_out))
    assert "2 .srt" in said
    assert "--listing.more-extensions" in said
    assert "--listing.hidden" in said
    assert f"such as {nas}/#recycle" in said


def test_flags_take_what_is_left_out(nas):
    listing = list_sources(str(nas), ListConfig(more_extensions=(".DAV", "srt"), hidden=True))
    assert {"security.dav", "clip.srt", "day/._a.mp4", "__MACOSX/a.mp4", "#recycle/c.mp4"} <= {
        *names_of(listing, nas)
    }
    assert left_out(listing) == {"ending .txt": 1, "no ending": 3}


def test_linked_folders_are_counted_and_followed_once_on_request(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "far.mp4").touch()
    root = tmp_path / "raw"
    (root / "b").mkdir(parents=True)
    (root / "b" / "near.mp4").touch()
    (root / "a").symlink_to(root / "b")
    (root / "c").symlink_to(tmp_path / "other")
    (root / "d").symlink_to(root)
    (root / "file.mp4").symlink_to(tmp_path / "other" / "far.mp4")
    plain = list_sources(str(root), ListConfig())
    assert names_of(plain, root) == ["b/near.mp4", "file.mp4"]
    assert left_out(plain) == {"linked folder": 3}
    assert plain.left_out[0].taken_by == "--listing.follow-links takes them"
    followed = list_sources(str(root), ListConfig(follow_links=True))
    assert names_of(followed, root) == ["b/near.mp4", "c/far.mp4", "file.mp4"]
    assert left_out(followed) == {}


def test_a_closed_folder_is_counted_with_its_name(tmp_path, monkeypatch):
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").touch()
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path) == str(tmp_path / "closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    listing = list_sources(str(tmp_path), ListConfig())
    assert names_of(listing, tmp_path) == ["open/a.mp4"]
    [closed] = listing.left_out
    assert (closed.reason, closed.count) == ("folder that cannot be read", 1)
    assert closed.examples == (f"{tmp_path}/closed (Permission denied)",)
    with pytest.raises(NothingToDo, match="left out 1 folder that cannot be read"):
        list_sources(str(tmp_path / "closed"), ListConfig())


def test_what_is_nothing_says_what_lies_there(tmp_path):
    (tmp_path / "security.dav").touch()
    with pytest.raises(NothingToDo, match=r"left out 1 of other endings: 1 \.dav"):
        list_sources(str(tmp_path), ListConfig())
