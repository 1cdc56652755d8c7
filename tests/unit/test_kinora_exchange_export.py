"""Exports hold what the dataset holds: bytes, keys, spans, texts and numbers; or nothing is left behind."""

import csv
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import exchange_dataset
import pyarrow.parquet as pq
import pytest
import yaml
from exchange_dataset import CLAIMS, MEDIUM, PARTS, VARIABLE

from kinora.exchange.config import ExportConfig, ImportConfig
from kinora.exchange.export import ExportReport, export
from kinora.exchange.import_captions import import_captions
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.storage import DatasetError
from pipeline.media.read import read_media

FORMATS = ("jsonl", "csv", "huggingface", "fiftyone", "label-studio", "croissant")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("export")
    exchange_dataset.add_reviews(exchange_dataset.make_dataset(root))
    return root


@pytest.fixture(scope="module")
def media(root) -> dict[str, dict[str, Any]]:
    """The media by key, with their bytes."""
    dataset = Dataset.open(root / "data")
    rows = LiveView(dataset).media.to_pylist()
    keys = [row["clip_id"] + f"-{row['window_index']:03d}" * (row["num_windows"] > 1) for row in rows]
    assert len({*keys}) == 8
    return {
        key: row | {"bytes": read_media(dataset.storage, row)} for key, row in zip(keys, rows, strict=True)
    }


def run(root: Path, out: Path, **config: Any) -> ExportReport:
    report = export(Dataset.open(root / "data"), str(out), ExportConfig(**config))
    assert report is not None
    return report


def table(root: Path, out: Path, **config: Any) -> dict[str, dict[str, Any]]:
    """Export JSON lines; return the rows by key."""
    run(root, out, format="jsonl", **config)
    rows = [json.loads(line) for line in (out / "captions.jsonl").read_text().splitlines()]
    return {row["key"]: row for row in rows}


def key_of(media: dict[str, dict[str, Any]], num_frames: int) -> str:
    return next(key for key, row in media.items() if row["num_frames"] == num_frames)


def test_jsonl_has_all_keys_spans_texts_scores_claims_and_reviews(root, media, tmp_path):
    rows = table(root, tmp_path / "out")
    view = LiveView(Dataset.open(root / "data"))
    assert [*rows] == sorted(media)
    assert len({tuple(row) for row in rows.values()}) == 1
    clips = {row["clip_id"]: row for row in view.clips.to_pylist()}
    captions = view.read("caption_attempts").to_pylist()
    for key, row in rows.items():
        of, clip = media[key], clips[media[key]["clip_id"]]
        names = ("media_id", "clip_id", "num_frames", "fps", "height", "width", "duration_s")
        assert [row[name] for name in names] == [of[name] for name in names]
        unit_s = clip["time_base_num"] / clip["time_base_den"]
        span = [of["window_start_pts"] * unit_s, of["window_end_pts"] * unit_s]
        assert [row["start_s"], row["end_s"], row["uri"]] == [*span, clip["uri"]]
        assert row["scores"] == {name: clip[name] for name in ("brightness", "motion")}
        texts = {
            each["version"]: (each["short"], each["medium"], each["text"])
            for each in captions
            if each["media_id"] == of["media_id"]
        }
        assert {c["version"]: (c["short"], c["medium"], c["dense"]) for c in row["captions"]} == texts
        assert row["caption_version"] == max(texts)
        assert row["parts"] == (PARTS if max(texts) == "v2" else None)
        told = {c["version"]: (c["parts"], c["heard"]) for c in row["captions"]}
        assert told == {name: (PARTS, "A voice counts.") if name == "v2" else (None, "") for name in texts}
        assert row["claims"] == (CLAIMS if max(texts) == "v2" else [])
    first = rows[key_of(media, 24)]
    assert (first["short"], first["edited"], first["medium"]) == ("A white square.", True, MEDIUM)
    assert first["captions"][-1]["short"] == "A square, v2."
    assert (first["licence"], json.loads(first["carried"])["url"]) == ("CC-BY", "https://x.org/1")
    assert (first["review"]["verdict"], first["review"]["reviewers"]) == ("edit", ["ada"])
    still, variable = rows[key_of(media, 1)], rows[key_of(media, len(VARIABLE))]
    assert (still["kind"], still["review"]["verdict"], still["review"]["reason"]) == (
        "image",
        "reject",
        "blurred",
    )
    assert (variable["review"]["start_s"], variable["review"]["end_s"]) == (0.3, 2.4)
    assert sum(row["review"] is None for row in rows.values()) == 5


def test_one_version_and_a_condition(root, media, tmp_path):
    rows = table(root, tmp_path / "v1", version="v1")
    assert {row["caption_version"] for row in rows.values()} == {"v1"}
    assert all(len(row["captions"]) == 1 for row in rows.values())
    rows = table(root, tmp_path / "few", where="num_frames > 24 AND version = 'v1'")
    assert {row["num_frames"] for row in rows.values()} == {50}
    none = export(
        Dataset.open(root / "data"),
        str(tmp_path / "no"),
        ExportConfig(format="csv", where="num_frames > 999"),
    )
    assert none is None
    assert not (tmp_path / "no").exists()
    for config, message in (
        ({"version": "v9"}, "the dataset has v1, v2"),
        ({"where": "nothing > 1"}, "nothing"),
    ):
        with pytest.raises(ValueError, match=message):
            run(root, tmp_path / "bad", format="csv", **config)
    assert [each.name for each in tmp_path.iterdir() if each.name not in ("v1", "few")] == []


def test_csv_gives_back_every_cell(root, tmp_path):
    rows = table(root, tmp_path / "jsonl")
    run(root, tmp_path / "csv", format="csv", with_media=True)
    text = (tmp_path / "csv" / "captions.csv").read_bytes().decode()
    found = [*csv.DictReader(text.splitlines(keepends=True), strict=True)]
    assert len(found) == len(rows)
    for cells, row in zip(found, rows.values(), strict=True):
        assert cells["medium"] == (row["medium"] or "")
        assert float(cells["start_s"]) == row["start_s"]
        assert json.loads(cells["captions"]) == row["captions"]
        assert cells["score_motion"] == (
            "" if row["scores"]["motion"] is None else repr(row["scores"]["motion"])
        )
        assert cells["review_verdict"] == (row["review"] or {"verdict": ""})["verdict"]
        assert cells["edited"] == str(row["edited"]).lower()
        assert (tmp_path / "csv" / cells["file_name"]).is_file()
    assert '""b""\nand' in text
    assert "\r" not in text


def test_what_was_exported_is_imported_again_unchanged(root, tmp_path):
    exchange_dataset.make_dataset(tmp_path)
    rows = table(tmp_path, tmp_path / "out")
    run(tmp_path, tmp_path / "csv", format="csv")
    for file in ("out/captions.jsonl", "csv/captions.csv"):
        report = import_captions(str(tmp_path / "data"), str(tmp_path / file), ImportConfig(version=file))
        assert (report.ok, report.unmatched, report.broken) == (len(rows), {}, 0)
        back = LiveView(Dataset.open(tmp_path / "data")).captions(file).to_pylist()
        texts = {row["media_id"]: (row["short"], row["medium"], row["text"]) for row in back}
        assert texts == {r["media_id"]: (r["short"], r["medium"], r["dense"]) for r in rows.values()}


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("jsonl", "csv")])
def test_every_clip_is_written_with_its_bytes_under_its_key(root, media, tmp_path, format):
    report = run(root, tmp_path / "out", format=format)
    found: dict[str, bytes] = {}
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix in (".mp4", ".png"):
            found[path.stem] = path.read_bytes()
        elif path.suffix == ".tar":
            with tarfile.open(path) as tar:
                found |= {Path(each.name).stem: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]
    assert found == {key: row["bytes"] for key, row in media.items()}
    assert (report.rows, report.files) == (8, 8)
    assert report.num_bytes == sum(row["length"] for row in media.values())
    assert "test" not in "".join(found)


def test_hugging_face_tables_are_typed_and_name_their_files(root, media, tmp_path):
    rows = table(root, tmp_path / "jsonl")
    out = tmp_path / "hf"
    run(root, out, format="huggingface")
    found = {}
    for kind, files in (("videos", "clips"), ("images", "stills")):
        read = pq.read_table(out / kind / "metadata.parquet").to_pylist()
        assert {row["file_name"] for row in read} == {
            f"{files}/{p.name}" for p in (out / kind / files).iterdir()
        }
        found |= {row.pop("file_name").split("/")[1][:-4]: row for row in read}
    assert found == rows
    for card, paths in (
        ("README.md", ["videos/clips/*", "videos/metadata.parquet"]),
        ("images/README.md", ["stills/*", "metadata.parquet"]),
    ):
        [config] = yaml.safe_load((out / card).read_text().split("---\n")[1])["configs"]
        assert config["data_files"] == [{"split": "train", "path": paths}]
    run(root, tmp_path / "alone", format="huggingface", with_media=False)
    assert pq.read_table(tmp_path / "alone" / "captions.parquet").to_pylist() == [*rows.values()]


def test_fiftyone_supports_are_decoded_frames_counted_from_1(root, media, tmp_path):
    run(root, tmp_path / "out", format="fiftyone")
    samples = json.loads((tmp_path / "out" / "videos" / "samples.json").read_text())["samples"]
    by_key = {sample["key"]: sample for sample in samples}
    assert len(by_key) == 7
    supports = {
        frames: [each["support"] for each in by_key[key_of(media, frames)]["claims"]["detections"]]
        for frames in (24, 30, len(VARIABLE))
    }
    # At 24 fps frame 24 begins at 0.958 s, at 29.97 fps frame 29 at 0.934 s; the frames of the variable one
    # at 0, 0.1, 0.2, 0.3, 0.8, 1.3 s.
    assert supports == {24: [[1, 24], [7, 12]], 30: [[1, 29], [9, 15]], 14: [[1, 5], [4, 4]]}
    [span] = by_key[key_of(media, len(VARIABLE))]["reviewed_span"]["detections"]
    assert span["support"] == [4, 8]
    review = by_key[key_of(media, 24)]["review"]
    assert (review["_cls"], review["label"], review["short"]) == ("Classification", "edit", "A white square.")
    assert json.loads((tmp_path / "out" / "images" / "metadata.json").read_text()) == {"info": {}}


def test_label_studio_tasks_fill_the_interface(root, media, tmp_path):
    run(root, tmp_path / "out", format="label-studio", media_prefix="ex/videos/")
    tasks = json.loads((tmp_path / "out" / "videos" / "tasks.json").read_text())
    by_key = {task["data"]["key"]: task for task in tasks}
    task = by_key[key_of(media, 24)]
    assert task["data"]["video"] == f"/data/local-files/?d=ex/videos/clips/{task['data']['key']}.mp4"
    assert [each["model_version"] for each in task["predictions"]] == ["v1", "v2"]
    result = {each["id"]: each["value"] for each in task["predictions"][-1]["result"]}
    assert result["short"] == {"text": ["A white square."]}
    assert result["medium"] == {"text": [MEDIUM]}
    assert result["span-1"] == {"ranges": [{"start": 7, "end": 12}], "timelinelabels": ["unsupported"]}
    config = (tmp_path / "out" / "videos" / "label_config.xml").read_text()
    assert 'framerate="$fps"' in config
    assert all({"video", "fps", "caption_digest"} <= {*each["data"]} for each in tasks)
    stills = json.loads((tmp_path / "out" / "images" / "tasks.json").read_text())
    assert [each["data"]["image"].rsplit(".", 1)[1] for each in stills] == ["png"]


def test_croissant_names_every_file_with_its_digest(root, tmp_path):
    out = tmp_path / "out"
    run(root, out, format="croissant")
    described = json.loads((out / "croissant.json").read_text())
    files = {each["contentUrl"]: each["sha256"] for each in described["distribution"] if "sha256" in each}
    present = {path.name for path in out.iterdir()} - {"croissant.json", "README.md"}
    assert {*files} == present == {"clips.parquet", "videos-00000.tar", "images-00000.tar"}
    for name, digest in files.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    [videos] = [each for each in described["recordSet"] if each["@id"] == "videos"]
    joined = [field["@id"] for field in videos["field"] if "references" in field]
    assert joined == ["videos/file_key"]


def test_the_card_tells_sources_licences_captions_and_limits(root, tmp_path):
    run(root, tmp_path / "out", format="jsonl", title="Squares | *and* <b>", licence="cc-by-4.0")
    card = (tmp_path / "out" / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["pretty_name"]) == ("cc-by-4.0", "Squares | *and* <b>")
    assert (head["size_categories"], head["task_categories"]) == (["n<1K"], ["text-to-video"])
    assert "# Squares \\| \\*and\\* &lt;b&gt;" in card
    for part in (
        "7 videos of 10.8 s in all and 1 still, from 6 sources",
        "| CC-BY | 2 |",
        "| not known | 3 |",
        "| v2 | 4 | 4 | vlm | someone/model r1 |",
        "| v1 | 8 | 4 | vlm | someone/model r1 |",
        "| edit | 1 |",
        "| too\\_dark | 1 |",
        "- The licence of 3 of 6 sources is not known.",
        "- 5 of 8 clips were not reviewed",
        "`motion`",
    ):
        assert part in card
    run(root, tmp_path / "mixed", format="jsonl")
    head = yaml.safe_load((tmp_path / "mixed" / "README.md").read_text().split("---\n")[1])
    assert (head["license"], head["license_name"]) == ("other", "several")


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_used(root, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ValueError, match="not an empty folder; name a new one"):
        run(root, tmp_path / "full", format="jsonl")
    with pytest.raises(ValueError, match="a local folder"):
        export(Dataset.open(root / "data"), "s3://bucket/x", ExportConfig(format="jsonl"))
    with pytest.raises(ValueError, match="use jsonl or csv"):
        run(root, tmp_path / "none", format="fiftyone", with_media=False)
    (tmp_path / "empty").mkdir()
    assert run(root, tmp_path / "empty", format="jsonl").rows == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


@pytest.mark.parametrize("damage", ["gone", "short", "changed"])
def test_damaged_media_end_an_export_and_leave_nothing(tmp_path, damage):
    exchange_dataset.make_dataset(tmp_path)
    tar = tmp_path / "data" / "media" / "first.tar"
    data = bytearray(tar.read_bytes())
    if damage == "gone":
        tar.unlink()
    else:
        row = LiveView(Dataset.open(tmp_path / "data")).media.to_pylist()[-1]
        data[row["offset"] + 40] ^= 255
        tar.write_bytes(data[: row["offset"] + 9] if damage == "short" else data)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(
        (DatasetError, ValueError), match=r"first\.tar.*(captions check --media|cut the clips again)"
    ):
        run(tmp_path, tmp_path / "out", format="huggingface")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_dataset_on_s3_is_exported_and_takes_captions(tmp_path, s3_uri):
    dataset = exchange_dataset.make_dataset(tmp_path, uri=s3_uri)
    report = export(dataset, str(tmp_path / "out"), ExportConfig(format="huggingface"))
    assert report is not None
    assert (report.rows, report.files) == (8, 8)
    media = {row["media_id"]: row for row in LiveView(dataset).media.to_pylist()}
    rows = pq.read_table(tmp_path / "out" / "videos" / "metadata.parquet").to_pylist()
    for row in rows:
        content = (tmp_path / "out" / "videos" / row["file_name"]).read_bytes()
        assert content == read_media(dataset.storage, media[row["media_id"]])
    table = str(tmp_path / "out" / "videos" / "metadata.parquet")
    imported = import_captions(s3_uri, table, ImportConfig(version="mine"))
    assert (imported.ok, imported.unmatched) == (7, {})
    assert LiveView(Dataset.open(s3_uri)).captions("mine").num_rows == 7
