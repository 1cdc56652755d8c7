"""What is removed is gone from every view, is not taken again, and after a purge no byte of it is left."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pack_without_ray
import pyarrow as pa
import pytest
from small_dataset import write_dataset

from kinora.cli import main as cli
from kinora.cli.result import Exit
from kinora.commands.remove import Config, run
from manifests import caption_checks, conservation, integrity
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.parts import TableName
from manifests.records import Review, Source, SourceRow, Verdict
from manifests.removals import find_where
from manifests.review import checks
from manifests.sandboxed_sql import QueryError
from manifests.shards import ShardIndex
from manifests.tombstones import Tombstones
from pipeline.config import ListConfig, PackConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.listing import list_for_run
from pipeline.jobs.pack import pack

ROOT = Path(__file__).parents[2]
PICTURE = b"\xff\xd8 the picture of a clip"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Two videos with three cut and captioned clips, thumbnails, and a review of each medium."""
    folder = tmp_path_factory.mktemp("removal")
    dataset = write_dataset(folder)
    clips = dataset.read("clips")
    clips = clips.append_column("thumbnail", pa.array([PICTURE] * len(clips), pa.binary()))
    parts = [dataset.write_part("clips", clips)]
    about = {"reviewer": "ann", "at": "2026-11-01T00:00:00+00:00", "verdict": Verdict.EDIT, "length": "dense"}
    reviews = [
        Review(
            review_id=f"{n:032x}",
            clip_id=row["clip_id"],
            media_id=row["media_id"],
            new_text="by ann",
            **about,
        )
        for n, row in enumerate(LiveView(dataset).media.to_pylist())
    ]
    parts.append(dataset.write_records("reviews", reviews))
    dataset = dataset.commit(Commit(stage="analyze", added=tuple(parts), config_digest="a1"))
    requests = dict(LiveView(dataset).caption_requests())
    checked = dataset.write_part("captions", checked_captions(dataset))
    dataset.commit(Commit(stage=caption_checks.STAGE, added=(checked,), config={"requests": requests}))
    return folder


def checked_captions(dataset: Dataset) -> pa.Table:
    """Return the captions with parts, a transcript and claims."""
    captions = dataset.read("captions")
    for name, text in (("parts", '{"subjects": ["a box"]}'), ("heard", "A voice counts.")):
        place = captions.column_names.index(name)
        captions = captions.set_column(place, captions.schema.field(name), pa.array([text] * len(captions)))
    claims = [[{"text": "box", "verdict": "supported", "kind": "subject"}]] * len(captions)
    return captions.append_column("claims", pa.array(claims, caption_checks.CLAIMS_TYPE))


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A copy of the dataset; its sources stay where they are."""
    shutil.copytree(original / "data", tmp_path / "data")
    return tmp_path


def counts(dataset: Dataset) -> dict[str, int]:
    view = LiveView(dataset)
    return {name: view.read(name).num_rows for name in ("sources", "clips", "media", "captions", "gaps")}


def remove(folder: Path, **flags) -> dict:
    return dict(run(Config(dataset=str(folder / "data"), **flags)).data)


def video(original: Path, number: int) -> str:
    return str(original / "raw" / f"video-{number}.mp4")


def test_a_removed_source_is_gone_from_every_view_and_from_no_earlier_commit(original, folder, capsys):
    before = Dataset.open(folder / "data")
    assert counts(before) == {"sources": 2, "clips": 4, "media": 3, "captions": 3, "gaps": 2}
    dry = remove(folder, uri=(video(original, 0),), dry_run=True)
    assert Dataset.open(folder / "data").number == before.number
    done = remove(folder, uri=(video(original, 0),), reason="opt-out of 2026-11-29")
    assert done["removed"] == dry["removed"] == {"sources": 1, "clips": 2, "media": 2, "captions": 2}
    after = Dataset.open(folder / "data")
    assert counts(after) == {"sources": 1, "clips": 2, "media": 1, "captions": 1, "gaps": 1}
    assert counts(Dataset.open(folder / "data", at=before.number)) == counts(before)
    assert conservation.violations(after) == []
    assert integrity.verify(after, media=True).broken == []
    [row] = LiveView(after).read("removals").to_pylist()
    assert (row["uri"], row["reason"], row["purge"]) == (video(original, 0), "opt-out of 2026-11-29", False)
    assert cli.main(["status", "--dataset", str(folder / "data"), "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["sources"] == {
        "listed": 1,
        "ok": 1,
        "failed": {},
        "removed": 1,
    }
    assert remove(folder, uri=(video(original, 0),))["already_removed"]
    assert Dataset.open(folder / "data").number == after.number


def test_a_removed_file_is_not_taken_again_and_counted(original, folder, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(original / "raw", raw)
    dataset = Dataset.open(folder / "data")
    known = {row["uri"]: row for row in dataset.read("sources").to_pylist()}
    moved = [row | {"uri": str(raw / Path(uri).name), "source_key": f"k{uri}"} for uri, row in known.items()]
    dataset = dataset.commit(
        Commit(
            stage="analyze", added=(dataset.write_records("sources", [SourceRow(**row) for row in moved]),)
        )
    )
    assert counts(dataset)["sources"] == 4
    remove(folder, uri=(video(original, 0),))
    dataset = Dataset.open(folder / "data")
    assert counts(dataset)["sources"] == 2  # the copy has the same bytes, and goes too
    os.utime(raw / "video-1.mp4")
    listing = list_for_run(str(original / "raw"), ListConfig(), dataset)
    assert [Path(source.uri).name for source in listing.sources] == ["video-1.mp4"]
    assert [(each.reason, each.count) for each in listing.left_out] == [("removed", 1)]
    os.utime(video(original, 0))
    touched = list_for_run(str(original / "raw"), ListConfig(), dataset)
    assert touched.sources == listing.sources
    with pytest.raises(NothingToDo, match="all 1 files were removed"):
        list_for_run(video(original, 0), ListConfig(), dataset)


def test_one_version_of_a_file_goes_and_another_is_taken(original, folder):
    view = LiveView(Dataset.open(folder / "data"))
    [key] = [row["source_key"] for row in view.sources.to_pylist() if row["uri"] == video(original, 0)]
    assert remove(folder, source_key=(key,))["removed"]["clips"] == 2
    newer = Source(uri=video(original, 0), size_bytes=7, etag="later")
    tombstones = Tombstones.of(Dataset.open(folder / "data"))
    assert tombstones.hold(replace(newer, uri="/other")) is False
    assert tombstones.hold(newer) is False
    assert tombstones.source_keys == {key}


def test_a_condition_over_licences_names_sources(folder):
    view = LiveView(Dataset.open(folder / "data"))
    assert len(find_where(view, "licence = 'CC0'")) == 2
    assert find_where(view, "licence = 'none' OR (carried->>'licence') = 'none'") == []
    with pytest.raises(QueryError, match="width"):
        find_where(view, "wdith > 3")
    result = run(Config(dataset=str(folder / "data"), where="uri LIKE '%video-9%'"))
    assert result.exit == Exit.NOTHING
    assert remove(folder, where="uri LIKE '%video-1.mp4'")["removed"]["sources"] == 1


def test_an_unknown_name_is_said_and_nothing_else_is_stopped(original, folder):
    result = run(Config(dataset=str(folder / "data"), uri=(video(original, 0), "/typo.mp4")))
    assert (result.exit, result.data["unknown"]) == (Exit.FAILED, ["/typo.mp4"])
    assert result.data["removed"]["sources"] == 1
    with pytest.raises(ValueError, match="name the sources to remove"):
        run(Config(dataset=str(folder / "data")))


def content_left(folder: Path, original: Path, number: int) -> list[str]:
    """Return what a dataset still holds of a video: media, thumbnails, captions, edits."""
    dataset = Dataset.open(folder / "data")
    clips = dataset.read("clips").to_pylist()
    own = {row["clip_id"] for row in clips if row["uri"] == video(original, number)}
    left = [f"{name} of a clip" for row in clips if row["clip_id"] in own
            for name in ("thumbnail", "brightness", "motion") if row[name] is not None]  # fmt: skip
    for row in dataset.read("media").to_pylist():
        path = folder / "data" / row["path"]
        data = path.read_bytes()[row["offset"] :][: row["length"]] if path.exists() else b""
        left += ["a medium"] if row["clip_id"] in own and any(data) else []
    texts: dict[TableName, tuple[str, ...]] = {
        "captions": ("text", "short", "medium", "parts", "heard", "claims"),
        "reviews": ("new_text",),
    }
    for table, columns in texts.items():
        rows = [row for row in dataset.read(table).to_pylist() if row["clip_id"] in own]
        left += [f"{name} of {table}" for row in rows for name in columns if row[name]]
    carried = [
        row["carried"] for row in dataset.read("sources").to_pylist() if row["uri"] == video(original, number)
    ]
    return left + [f"carried {each}" for each in carried if each != "{}"]


def test_a_purge_leaves_no_byte_of_it_and_every_byte_of_others(original, folder):
    before = Dataset.open(folder / "data")
    assert content_left(folder, original, 0)
    others = content_left(folder, original, 1)
    [kept] = [
        row
        for row in LiveView(before).media.to_pylist()
        if row["clip_id"] in LiveView(before).media["clip_id"].to_pylist()[2:]
    ]
    content = (folder / "data" / kept["path"]).read_bytes()[kept["offset"] :][: kept["length"]]
    done = remove(folder, uri=(video(original, 0),), purge=True)
    assert content_left(folder, original, 0) == []
    assert content_left(folder, original, 1) == others
    assert (done["purged"]["media"], done["purged"]["tars_rewritten"], done["purged"]["tars_deleted"]) == (
        2,
        1,
        0,
    )
    assert (folder / "data" / kept["path"]).read_bytes()[kept["offset"] :][: kept["length"]] == content
    after = Dataset.open(folder / "data")
    for table in ("clips", "media", "captions", "reviews", "sources"):
        assert before.read(table).num_rows == after.read(table).num_rows
    found = integrity.verify(after, media=True)
    assert (found.broken, found.orphans) == ([], [])
    assert checks.problems(after) == []
    assert conservation.violations(after) == []
    again = remove(folder, uri=(video(original, 0),), purge=True)
    assert again["purged"]["parts"] == again["purged"]["media"] == 0
    assert Dataset.open(folder / "data").number == after.number
    last = remove(folder, uri=(video(original, 1),), purge=True)
    assert last["purged"]["tars_deleted"] == 1
    assert not (folder / "data" / kept["path"]).exists()
    after = Dataset.open(folder / "data")
    assert counts(after)["sources"] == 0
    assert integrity.verify(after, media=True).broken == []


def test_what_was_removed_can_be_purged_later(original, folder):
    remove(folder, uri=(video(original, 0),))
    assert content_left(folder, original, 0)
    assert remove(folder, uri=(video(original, 0),), purge=True)["purged"]["media"] == 2
    assert content_left(folder, original, 0) == []


def test_packed_sets_and_encodings_are_named_and_pack_rewrites_what_changed(original, folder, monkeypatch):
    pack_without_ray.patch(monkeypatch)
    config = PackConfig(buckets=("5x48x64",), layout="split")
    out = str(folder / "shards")
    pack(str(folder / "data"), out, config, RayConfig())
    keys = set(ShardIndex.load(out).column("clip_id"))
    done = remove(folder, uri=(video(original, 0),), purge=True)
    [affected] = done["pack_again"]
    assert (affected["shards"], affected["samples"]) == (out, 2)
    assert all((folder / "shards" / tar).is_file() for tar in affected["tars"])
    pack(str(folder / "data"), out, config, RayConfig())
    left = set(ShardIndex.load(out).column("clip_id"))
    assert (len(keys), len(left)) == (3, 1)
    assert left < keys
    assert remove(folder, uri=(video(original, 0),), purge=True)["pack_again"] == []


def test_a_removal_killed_at_any_step_is_all_or_nothing_and_the_next_finishes_it(original, tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("remover.py"))]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline().strip() == "ready"
        step, halves = 0, 0
        for step in range(1, 40):
            folder = tmp_path / f"{step}"
            shutil.copytree(original / "data", folder / "data")
            asked = {
                "dataset": str(folder / "data"),
                "uri": [video(original, 0)],
                "purge": True,
                "step": step,
            }
            print(json.dumps(asked), file=server.stdin, flush=True)
            code = int(server.stdout.readline())
            dataset = Dataset.open(folder / "data")
            assert counts(dataset)["clips"] in (2, 4)
            assert conservation.violations(dataset) == []
            broken = integrity.verify(dataset, media=True).broken
            assert all("kinora remove --purge" in problem for problem in broken)
            halves += bool(broken)
            remove(folder, uri=(video(original, 0),), purge=True)
            dataset = Dataset.open(folder / "data")
            assert content_left(folder, original, 0) == []
            assert integrity.verify(dataset, media=True).broken == []
            assert counts(dataset) == {"sources": 1, "clips": 2, "media": 1, "captions": 1, "gaps": 1}
            if code == 0:
                break
    assert 6 < step < 39
    assert halves
