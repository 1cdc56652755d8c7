"""Captions that people have find their clips, are judged, and are added once."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import exchange_dataset
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kinora.commands import retry
from kinora.exchange.config import ImportConfig
from kinora.exchange.import_captions import ImportReport, import_captions
from manifests import conservation, integrity
from manifests.dataset import Dataset
from manifests.live_view import LiveView


@pytest.fixture
def root(tmp_path) -> Path:
    exchange_dataset.make_dataset(tmp_path, captions=False)
    return tmp_path


def run(
    root: Path, path: Path | str, *, dry_run: bool = False, unmatched: str = "", **config: Any
) -> ImportReport:
    report = import_captions(
        str(root / "data"),
        str(path),
        ImportConfig(**config),
        dry_run=dry_run,
        unmatched_file=unmatched,
        command="kinora captions import",
    )
    assert conservation.violations(Dataset.open(root / "data")) == []
    return report


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def media(root: Path) -> list[dict[str, Any]]:
    return LiveView(Dataset.open(root / "data")).media.to_pylist()


def captions(root: Path, version: str | None = None) -> dict[str, dict[str, Any]]:
    rows = LiveView(Dataset.open(root / "data")).captions(version).to_pylist()
    return {row["media_id"]: row for row in rows}


def clips_of(root: Path, name: str) -> list[dict[str, Any]]:
    """Return the media of the clips of a source, with their source."""
    view = LiveView(Dataset.open(root / "data"))
    uris = {row["clip_id"]: row["uri"] for row in view.clips.to_pylist()}
    return [row for row in media(root) if uris[row["clip_id"]].endswith(name)]


def test_rows_are_matched_by_media_clip_key_and_source(root):
    one, long = clips_of(root, "a/car-test-1.mp4")[0], clips_of(root, "c/long.mp4")
    still = clips_of(root, "still.png")[0]
    vfr, [first, second] = clips_of(root, "c/vfr.mp4")[0], clips_of(root, "b/one.mp4")
    path = jsonl(
        root / "captions.jsonl",
        {"media_id": one["media_id"], "caption": "By media."},
        {"clip_id": vfr["clip_id"], "caption": "By clip."},
        {"key": f"{long[1]['clip_id']}-001", "caption": "By the key of a window."},
        {"path": "still.png", "uri": "still.png", "caption": "By a relative path."},
        {"uri": str(root / "raw" / "b" / "one.mp4"), "start_s": 0, "end_s": 1, "caption": "By its span."},
        {"file_name": f"clips/{second['clip_id']}.mp4", "caption": "By a file named by its id."},
    )
    report = run(root, path, version="mine", model="people", revision="2024")
    found = captions(root, "mine")
    assert {name: row["text"] for name, row in found.items()} == {
        one["media_id"]: "By media.",
        vfr["media_id"]: "By clip.",
        long[1]["media_id"]: "By the key of a window.",
        still["media_id"]: "By a relative path.",
        first["media_id"]: "By its span.",
        second["media_id"]: "By a file named by its id.",
    }
    assert (report.ok, report.rows, report.unmatched, report.problems) == (6, 6, {}, [])
    row = found[one["media_id"]]
    assert [row[name] for name in ("captioner", "model", "revision", "outcome", "short")] == [
        "import",
        "people",
        "2024",
        "ok",
        None,
    ]
    assert row["clip_id"] == one["clip_id"]
    commit = Dataset.open(root / "data").commits[-1]
    assert (commit.stage, commit.config_digest, commit.counts) == ("import", "mine", {"ok": 6})
    assert commit.command == "kinora captions import"
    assert integrity.verify(Dataset.open(root / "data"), quick=False, media=True).broken == []


def test_a_second_import_adds_nothing_and_a_corrected_text_counts(root):
    one = clips_of(root, "a/car-test-1.mp4")[0]["media_id"]
    path = jsonl(root / "c.jsonl", {"media_id": one, "caption": "A sqare."}, {"key": "still", "caption": ""})
    first = run(root, path, version="mine")
    assert (first.ok, first.not_ok, first.unchanged) == (1, {"empty": 1}, 0)
    before = Dataset.open(root / "data").number
    again = run(root, path, version="mine")
    assert (again.ok, again.not_ok, again.unchanged) == (0, {}, 2)
    assert Dataset.open(root / "data").number == before
    jsonl(path, {"media_id": one, "caption": "A square."}, {"key": "still", "caption": ""})
    better = run(root, path, version="mine")
    assert (better.ok, better.unchanged) == (1, 1)
    assert captions(root)[one]["text"] == "A square."
    jsonl(path, {"media_id": one, "caption": "A sqare."})
    assert run(root, path, version="mine").ok == 1
    assert captions(root)[one]["text"] == "A sqare."


def test_without_a_name_the_same_file_makes_the_same_version(root):
    rows = [{"key": "still.png", "caption": "Tiles."}]
    first = run(root, jsonl(root / "a.jsonl", *rows))
    assert first.version.startswith("import-")
    assert run(root, jsonl(root / "renamed.jsonl", *rows)).unchanged == 1
    assert run(root, root / "renamed.jsonl", model="x").version != first.version


def test_lengths_from_fields_and_from_several_files(root):
    one = clips_of(root, "a/car-test-1.mp4")[0]["media_id"]
    nested = {"id": one, "caps": {"long": "A white square moves right.", "tiny": "A square.", "mid": None}}
    path = jsonl(root / "c.jsonl", nested)
    run(root, path, version="a", dense_field="caps.long", short_field="caps.tiny", medium_field="caps.mid")
    row = captions(root, "a")[one]
    texts = [row[name] for name in ("text", "short", "medium")]
    assert texts == ["A white square moves right.", "A square.", None]
    run(root, jsonl(path, {"id": one, "caption": "A square moves."}), version="b", length="medium")
    assert captions(root, "b")[one]["medium"] == "A square moves."
    folder = root / "several"
    folder.mkdir()
    jsonl(folder / "1.jsonl", {"id": one, "short": "Short."})
    (folder / "2.csv").write_text(f"id,dense\n{one},Dense and longer.\n")
    report = run(root, folder, version="c")
    assert (report.files, report.rows, report.ok) == (2, 2, 1)
    row = captions(root, "c")[one]
    assert [row[name] for name in ("text", "short")] == ["Dense and longer.", "Short."]


def test_sidecars_beside_the_sources_and_in_another_folder(root):
    raw = root / "raw"
    (raw / "a" / "car-test-1.txt").write_text("One.\n")
    (raw / "a" / "car-test-1.short.txt").write_text("Short one.")
    (raw / "c" / "vfr.mp4.caption").write_text("Größer 🎈")
    (raw / "still.txt").write_text("Tiles.")
    (raw / "b" / "other.txt").write_text("Nothing of ours.")
    report = run(root, raw, version="beside")
    texts = {row["text"]: row["short"] for row in captions(root, "beside").values()}
    assert texts == {"One.": "Short one.", "Größer 🎈": None, "Tiles.": None}
    assert report.unmatched == {"unknown": 1}
    assert [Path(each.file).name for each in report.first_unmatched] == ["other.txt"]
    away = root / "away"
    (away / "c").mkdir(parents=True)
    (away / "c" / "vfr.txt").write_text("By its path below the folder.")
    (away / f"{clips_of(root, 'b/one.mp4')[0]['clip_id']}.txt").write_text("By id.")
    assert run(root, away, version="away").ok == 2


def test_one_text_for_a_source_of_several_clips_is_refused_unless_it_is_allowed(root):
    (root / "t").mkdir()
    jsonl(
        root / "t" / "c.jsonl",
        {"uri": str(root / "raw/b/one.mp4"), "caption": "Both."},
        {"file": "part.mp4", "caption": "Of two clips one was kept."},
        {"clip_id": clips_of(root, "c/long.mp4")[0]["clip_id"], "caption": "Both windows."},
        {"file": "one.mp4", "start_s": 0.2, "end_s": 9, "caption": "A span of nobody."},
    )
    report = run(root, root / "t", version="mine", unmatched=str(root / "u.jsonl"))
    assert report.ok == 0
    assert report.unmatched == {"several clips": 2, "several windows": 1, "no clip at this span": 1}
    listed = [json.loads(line) for line in (root / "u.jsonl").read_text().splitlines()]
    assert [row["line"] for row in listed] == [1, 2, 3, 4]
    assert "2 clips" in listed[0]["detail"]
    assert "--spread" in listed[2]["detail"]
    assert "0.000 to 1.001 s" in listed[3]["detail"] or "1.001 to 2.002 s" in listed[3]["detail"]
    report = run(root, root / "t", version="mine", spread=True)
    assert report.unmatched == {}
    texts = {row["media_id"]: row["text"] for row in captions(root, "mine").values()}
    assert [texts[row["media_id"]] for row in clips_of(root, "c/long.mp4")] == ["Both windows."] * 2
    assert [texts[row["media_id"]] for row in clips_of(root, "c/part.mp4")] == ["Of two clips one was kept."]
    assert report.conflicting == 2  # `Both.` and the span of nobody, for the clips of b/one.mp4


def test_a_name_that_several_sources_have_and_a_clip_that_was_not_cut(root):
    path = root / "raw" / "d"
    path.mkdir()
    dataset = Dataset.open(root / "data")
    view = LiveView(dataset)
    kept = {row["clip_id"] for row in media(root)}
    [dropped] = [row["clip_id"] for row in view.clips.to_pylist() if row["clip_id"] not in kept]
    jsonl(
        root / "c.jsonl",
        {"file": "nobody.mp4", "caption": "x y"},
        {"clip_id": dropped, "caption": "x y"},
        {"file": "/elsewhere/raw/c/vfr.mp4", "caption": "Of another machine."},
        {"file": "/elsewhere/q/still.png", "caption": "Another folder."},
        {"caption": "No key."},
        {"file": "q/vfr.mp4", "caption": "A folder that is not there."},
    )
    report = run(root, root / "c.jsonl", version="mine")
    assert (report.ok, report.unmatched) == (1, {"unknown": 3, "not cut": 1, "no key": 1})
    assert [row["text"] for row in captions(root, "mine").values()] == ["Of another machine."]


def test_what_is_no_caption_is_recorded_as_that(root):
    rows = media(root)
    texts = [
        "A square moves to the right.",
        "   ",
        "I'm sorry, but I cannot describe this video.",
        "A square moves.<|im_end|>",
        "the the the the the the the the the the the the the the the the the the the the",
        "Sure! Here is the caption: A square moves.",
    ]
    path = jsonl(
        root / "c.jsonl",
        *({"media_id": row["media_id"], "text": text} for row, text in zip(rows, texts, strict=False)),
    )
    report = run(root, path, version="mine")
    assert (report.ok, report.not_ok) == (1, {"degenerate": 3, "empty": 1, "refused": 1})
    found = captions(root, "mine")
    outcomes = [found[row["media_id"]]["outcome"] for row in rows[: len(texts)]]
    assert outcomes == ["ok", "empty", "refused", "degenerate", "degenerate", "degenerate"]
    assert all(found[row["media_id"]]["text"] is None for row in rows[1 : len(texts)])
    failures = LiveView(Dataset.open(root / "data")).failures.to_pylist()
    assert sorted(row["code"] for row in failures) == ["DEGENERATE"] * 3 + ["EMPTY", "REFUSED"]
    assert any(f"{path}:3: dense: refuses" in row["message"] for row in failures)
    assert report.failed_share == pytest.approx(5 / 6)
    cleaned = run(root, path, version="clean", clean=True)
    assert cleaned.ok == 3
    assert captions(root, "clean")[rows[5]["media_id"]]["text"] == "A square moves."


def test_broken_lines_are_named_and_the_rest_goes_on(root):
    one = media(root)[0]["media_id"]
    path = root / "c.jsonl"
    lines = [
        b'{"media_id": "m", "caption": "half',
        b'{"media_id": "m", "caption": "gr\xf6\xdfer"}',
        b"[1, 2]",
        b'{"media_id": "m", "caption": 5}',
        b'{"media_id": "m", "note": "no text"}',
        rb'{"media_id": "m", "caption": "half a \ud83d"}',
        b"",
        b'{"media_id": "m", "caption": "a b", "start_s": 3, "end_s": 1}',
        json.dumps({"media_id": one, "caption": "Fine."}).encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    report = run(root, path, version="mine")
    assert (report.ok, report.broken, report.rows) == (1, 7, 8)
    assert [each.line for each in report.problems] == [1, 2, 3, 4, 5, 6, 8]
    messages = " | ".join(each.message for each in report.problems)
    for part in ("is not JSON", "not UTF-8 (byte 0xf6)", "not a JSON object", "not a text", "--text-field"):
        assert part in messages
    assert {each.file for each in report.problems} == {str(path)}


def test_rows_that_contradict_each_other_are_named_and_none_is_taken(root):
    one, two = (row["media_id"] for row in media(root)[:2])
    path = jsonl(
        root / "c.jsonl",
        {"media_id": one, "caption": "A square."},
        {"media_id": two, "caption": "Same."},
        {"media_id": two, "caption": "Same."},
        {"media_id": one, "caption": "A circle."},
        {"media_id": two, "caption": ""},
    )
    report = run(root, path, version="mine")
    assert (report.ok, report.conflicting) == (1, 2)
    assert list(captions(root, "mine")) == [two]
    [problem] = report.problems
    assert (problem.line, "c.jsonl:4" in problem.message, one in problem.message) == (1, True, True)


def test_csv_with_quotes_line_breaks_and_a_record_that_is_broken(root):
    ids = [row["media_id"] for row in media(root)]
    path = root / "c.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file)
        rows.writerow(["media_id", "caption"])
        rows.writerow([ids[0], 'A "square", then\nmore; größer'])
    with path.open("ab") as file:
        file.write(f"{ids[1]},too,many\n".encode())
        file.write(f'{ids[2]},"never closed\n'.encode())
        file.write(f"{ids[3]},Fine.\n".encode())
        file.write(f"{ids[4]},".encode() + b"gr\xf6\xdfer\n")
        file.write(f'{ids[5]},"Fine, too."\n'.encode())
    report = run(root, path, version="mine")
    texts = {name: row["text"] for name, row in captions(root, "mine").items()}
    assert texts == {
        ids[0]: 'A "square", then\nmore; größer',
        ids[3]: "Fine.",
        ids[5]: "Fine, too.",
    }
    assert [each.line for each in report.problems] == [4, 5, 7]


def test_parquet_reads_only_the_columns_that_it_needs(root):
    one, two = media(root)[:2]
    table = pa.table(
        {
            "video": pa.array([{"bytes": b"x" * 100, "path": f"{one['clip_id']}.mp4"}, None]),
            "clip_id": pa.array([None, two["clip_id"]]),
            "caption": pa.array(["By path.", "By clip."]),
        }
    )
    pq.write_table(table, root / "c.parquet")
    assert run(root, root / "c.parquet", version="mine").ok == 2
    assert {row["text"] for row in captions(root, "mine").values()} == {"By path.", "By clip."}
    data = (root / "c.parquet").read_bytes()
    (root / "cut.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.parquet: not a Parquet file"):
        run(root, root / "cut.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.jsonl", '{"a": 1}'.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("c.csv", b"", "is empty"),
        ("c.csv", b"media_id;caption\nx;y\n", "separate columns by commas"),
        ("c.json", b"[]", "--format label-studio`; of other JSON write one object per line"),
        ("c.mp4", b"", "not a caption file"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_named_with_a_remedy(root, name, content, message):
    (root / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        run(root, root / name)
    assert str(root / name) in str(error.value)


def test_a_dry_run_counts_and_adds_nothing(root):
    path = jsonl(root / "c.jsonl", {"file": "still.png", "caption": "Tiles."}, {"file": "vfr", "caption": ""})
    before = sorted(str(each) for each in (root / "data").rglob("*"))
    report = run(root, path, dry_run=True)
    assert (report.ok, report.not_ok, report.dry_run) == (1, {"empty": 1}, True)
    assert sorted(str(each) for each in (root / "data").rglob("*")) == before
    real = run(root, path)
    assert replace(real, dry_run=True, seconds=0) == replace(report, seconds=0)


def test_a_retry_leaves_imported_captions_to_the_person_who_has_them(root):
    first, *_ = media(root)
    run(root, jsonl(root / "c.jsonl", {"clip_id": first["clip_id"], "caption": " "}), version="mine")
    result = retry.run(retry.Config(dataset=str(root / "data")))
    assert result.data == {"retried": 0}
    assert "imported or refined captions that failed: 1 (mine); mend their texts" in str(result.text)


@pytest.mark.parametrize(
    "version", ["reviewed", "latest-ok", "a:short", "a=1", "a,b", "reviewed+a", " a", "a\n", "\x1b[2J"]
)
def test_a_version_that_pack_could_not_choose_is_refused(version):
    with pytest.raises(ValueError, match="could not be chosen with `kinora pack --captions`"):
        ImportConfig(version=version)


def test_the_version_of_a_captioner_is_refused(tmp_path):
    exchange_dataset.make_dataset(tmp_path)
    before = LiveView(Dataset.open(tmp_path / "data")).captions().to_pylist()
    path = jsonl(tmp_path / "captions.jsonl", {"media_id": before[0]["media_id"], "caption": "Mine."})
    with pytest.raises(ValueError, match=f"holds captions of {before[0]['captioner']}; name another"):
        run(tmp_path, path, version=before[0]["version"])
    assert LiveView(Dataset.open(tmp_path / "data")).captions().to_pylist() == before


def test_the_list_of_what_matches_nothing_overwrites_no_captions(root):
    path = jsonl(root / "captions.jsonl", {"uri": "nobody.mp4", "caption": "A cat sleeps."})
    before = path.read_bytes()
    for given in (path, root):
        with pytest.raises(ValueError, match="is one of the files to import; name another one"):
            run(root, given, unmatched=str(root / "." / "captions.jsonl"))
    assert path.read_bytes() == before
