"""The readers that exports are for give back what the dataset holds: bytes, keys, spans, texts, numbers."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import cv2
import exchange_dataset
import export_readers
import pytest

from kinora.exchange.config import ExportConfig, ExportFormat
from kinora.exchange.export import export
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.media.read import read_media

pytestmark = pytest.mark.slow

ENVIRONMENTS = Path(__file__).parents[2] / ".bench" / "exchange"
"""Where the readers are installed, beside the packages of this interpreter."""
PACKAGES = {
    "hf": ("datasets==5.2.0", "torchcodec==0.17.0", "mlcroissant==1.1.1"),
    "ls": ("label-studio-sdk==2.1.2",),
    "fo": ("fiftyone==1.22.1", "fiftyone-brain==0.25.0"),
}
WITHOUT = ("fiftyone-db", "fiftyone-brain")
"""The first fetches MongoDB; importers need neither it nor what the second needs."""


@pytest.fixture(scope="session")
def python() -> Callable[[str], str]:
    """Return a function that returns an interpreter with the packages of one environment."""

    def install(name: str) -> str:
        folder = ENVIRONMENTS / name
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            [site] = folder.glob("lib/python*/site-packages")
            (site / "kinora.pth").write_text(sysconfig.get_paths()["purelib"])
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            if name == "fo":
                subprocess.run([*pip, "--no-deps", *PACKAGES[name]], check=True)
                subprocess.run([*pip, *_requirements(site, "fiftyone")], check=True)
            else:
                subprocess.run([*pip, *PACKAGES[name]], check=True)
            (folder / "complete").touch()
        return str(python)

    return install


def _requirements(site: Path, package: str) -> list[str]:
    """Return what a package installed in `site` needs, except `WITHOUT` and its extras."""
    sys.path.insert(0, str(site))
    try:
        found = requires(package) or []
    finally:
        sys.path.remove(str(site))
    return [line for line in found if "extra" not in line and not line.startswith(WITHOUT)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("readers")
    exchange_dataset.add_reviews(exchange_dataset.make_dataset(root))
    return root


@pytest.fixture(scope="module")
def expected(root) -> dict[str, dict[str, Any]]:
    """Rows by key, from the export as JSON lines, with a digest of the bytes and, of a still, the pixels."""
    dataset = Dataset.open(root / "data")
    export(dataset, str(root / "jsonl"), ExportConfig(format="jsonl"))
    rows = [json.loads(line) for line in (root / "jsonl" / "captions.jsonl").read_text().splitlines()]
    media = {row["media_id"]: row for row in LiveView(dataset).media.to_pylist()}
    found = {}
    for row in rows:
        content = read_media(dataset.storage, media[row["media_id"]])
        (root / "one").write_bytes(content)
        bgr_HWC = cv2.imread(str(root / "one"))
        pixels = b"" if bgr_HWC is None or row["kind"] == "video" else bgr_HWC[..., ::-1].tobytes()
        found[row["key"]] = {"row": row, "digest": hashlib.sha256(content).hexdigest(), "pixels": pixels}
    assert len(found) == 8
    return found


def read(python: str, reader: str, folder: Path) -> dict[str, dict[str, Any]]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "FIFTYONE_DO_NOT_TRACK": "1"}
    environment |= {"HF_HOME": str(folder.parent / "hf"), "HOME": str(folder.parent / "home")}
    command = [python, str(export_readers.__file__), reader, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def exported(root: Path, folder: Path, name: ExportFormat, **config: Any) -> Path:
    export(Dataset.open(root / "data"), str(folder), ExportConfig(format=name, **config))
    return folder


@pytest.mark.parametrize("reader", ["huggingface", "huggingface-streaming"])
def test_hugging_face_loads_the_folder_and_its_images(root, expected, python, reader, tmp_path):
    found = read(python("hf"), reader, exported(root, tmp_path / "out", "huggingface"))
    assert {key: each["digest"] for key, each in found.items()} == {
        key: each["digest"] for key, each in expected.items()
    }
    assert {key: each["row"] for key, each in found.items()} == {
        key: each["row"] for key, each in expected.items()
    }


def test_hugging_face_loads_and_decodes_the_videos_by_the_builders_name(root, expected, python, tmp_path):
    found = read(python("hf"), "videofolder", exported(root, tmp_path / "out", "huggingface"))
    videos = {key: each for key, each in expected.items() if each["row"]["kind"] == "video"}
    assert {key: each["row"] for key, each in found.items()} == {k: v["row"] for k, v in videos.items()}
    frame = [3, 48, 64] if shutil.which("ffmpeg") else None  # torchcodec decodes with FFmpeg's libraries
    assert all(each["frame"] == frame for each in found.values())
    assert {key: each["digest"] for key, each in found.items()} == {k: v["digest"] for k, v in videos.items()}


@pytest.mark.parametrize("name", ["huggingface", "jsonl"])
def test_hugging_face_loads_a_table_without_media(root, expected, python, name, tmp_path):
    folder = exported(root, tmp_path / "out", name, with_media=False)
    found = read(python("hf"), "huggingface-table", folder)
    assert {key: each["row"] for key, each in found.items()} == {k: v["row"] for k, v in expected.items()}


def test_mlcroissant_joins_each_file_with_its_own_row(root, expected, python, tmp_path):
    found = read(python("hf"), "croissant", exported(root, tmp_path / "out", "croissant"))
    assert [*sorted(found)] == sorted(expected)
    for key, each in found.items():
        row = expected[key]["row"]
        pixels = expected[key]["pixels"]
        digest = hashlib.sha256(pixels).hexdigest() if pixels else expected[key]["digest"]
        assert each["digest"] == digest
        plain = {name: value for name, value in row.items() if not isinstance(value, dict | list)}
        assert each["joined"] == {
            name: value for name, value in plain.items() if name not in ("key", "review")
        }
        read_back = dict(each["row"])
        review = read_back.pop("review")
        wanted = row["review"] or dict.fromkeys(review)
        assert review == wanted
        claims = read_back.pop("claims")
        assert claims == row["claims"]
        assert read_back == {name: row[name] for name in read_back}
        assert {*row} == {*read_back, "review", "claims"}


def test_fiftyone_imports_samples_detections_and_media(root, expected, python, tmp_path):
    folder = exported(root, tmp_path / "out", "fiftyone")
    found = read(python("fo"), "fiftyone", folder)
    assert {key: each["digest"] for key, each in found.items()} == {
        key: each["digest"] for key, each in expected.items()
    }
    for key, each in found.items():
        row, sample = expected[key]["row"], each["row"]
        assert sample["media_type"] == row["kind"]
        plain = [
            name for name, value in row.items() if not isinstance(value, dict | list) and name != "review"
        ]
        assert {name: sample[name] for name in plain} == {name: row[name] for name in plain}
        assert (sample["captions"], sample["scores"]) == (row["captions"], row["scores"])
        written = json.loads((folder / f"{row['kind']}s" / "samples.json").read_text())["samples"]
        [mine] = [item for item in written if item["key"] == key]
        detections = sample.get("claims")
        assert (detections is None) == (not row["claims"])
        for detection, claim, item in zip(
            (detections or {"detections": []})["detections"],
            row["claims"],
            mine.get("claims", {"detections": []})["detections"],
            strict=True,
        ):
            assert (detection["label"], detection["text"]) == (claim["verdict"], claim["text"])
            assert detection["support"] == item["support"]
        if row["review"]:
            review = sample["review"]
            assert (review["label"], review["reviewers"]) == (row["review"]["verdict"], ["ada"])


def test_label_studio_finds_every_prediction_valid(root, expected, python, tmp_path):
    found = read(python("ls"), "label-studio", exported(root, tmp_path / "out", "label-studio"))
    assert {key: each["digest"] for key, each in found.items()} == {
        key: each["digest"] for key, each in expected.items()
    }
    for key, each in found.items():
        assert (each["errors"], each["valid"]) == ([], True)
        row, task = expected[key]["row"], each["row"]
        assert task["data"]["media_id"] == row["media_id"]
        [last] = [one for one in task["predictions"] if one["model_version"] == row["caption_version"]]
        texts = {one["id"]: one["value"]["text"][0] for one in last["result"] if one["type"] == "textarea"}
        assert texts == {n: row[n] for n in ("short", "medium", "dense") if row[n] is not None}
