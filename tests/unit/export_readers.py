"""Read an export with the library that it is for, and print what the library gives as JSON.

Run it with an interpreter that has the library: `python export_readers.py READER FOLDER`. By key of the clip
it prints a digest of its bytes and the values that the reader gives.
"""

import glob
import hashlib
import json
import os
import shutil
import sys
from typing import Any

Found = dict[str, dict[str, Any]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_digest(path: str) -> str:
    with open(path, "rb") as file:
        return digest(file.read())


def huggingface(folder: str, *, streaming: bool) -> Found:
    """Load the videos by the folder alone, and the images by theirs."""
    from datasets import Image, Video, load_dataset

    found: Found = {}
    for path, column, kind in ((folder, "video", Video), (f"{folder}/images", "image", Image)):
        rows = load_dataset(path, split="train", streaming=streaming)
        rows = rows.cast_column(column, kind(decode=False))
        for row in rows:
            media = row.pop(column)
            known = digest(media["bytes"]) if media["bytes"] else file_digest(media["path"])
            found[row["key"]] = {"digest": known, "row": row}
    return found


def videofolder(folder: str) -> Found:
    """Load the videos by the name of the builder; where there is FFmpeg, decode one frame of each."""
    from datasets import Video, load_dataset

    rows = load_dataset("videofolder", data_dir=f"{folder}/videos", split="train")
    frames = {row["key"]: list(row["video"][0].shape) for row in rows} if shutil.which("ffmpeg") else {}
    rows = rows.cast_column("video", Video(decode=False))
    return {
        row["key"]: {
            "digest": file_digest(row.pop("video")["path"]),
            "row": row,
            "frame": frames.get(row["key"]),
        }
        for row in rows
    }


def huggingface_table(folder: str) -> Found:
    """Load a table without media."""
    from datasets import load_dataset

    return {row["key"]: {"row": row} for row in load_dataset(folder, split="train")}


def croissant(folder: str) -> Found:
    """Read the records of the table, and those that join it with the files."""
    import mlcroissant

    os.chdir(folder)  # paths in the description are relative
    dataset = mlcroissant.Dataset(jsonld="croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors, issues.report()
    found: Found = {}
    for record in dataset.records(record_set="clips"):
        row = plain(record)
        found[row["key"]] = {"row": row}
    for name, column in (("videos", "video"), ("images", "image")):
        for record in dataset.records(record_set=name):
            media = record.pop(f"{name}/{column}")
            joined = plain(record)
            entry = found[joined.pop("file_key")]
            entry["digest"] = digest(media) if isinstance(media, bytes) else pixels(media)
            entry["joined"] = joined
    return found


def plain(record: Any) -> Any:
    """Return a record with the last parts of its names, and texts for bytes."""
    if isinstance(record, dict):
        return {name.rpartition("/")[2]: plain(value) for name, value in record.items()}
    if isinstance(record, list | tuple):
        return [plain(value) for value in record]
    if hasattr(record, "item"):
        record = record.item()
    if record is not None and record != record:
        return None
    return record.decode() if isinstance(record, bytes) else record


def pixels(picture: Any) -> str:
    """Return a digest of the pixels of a picture that was decoded."""
    return digest(picture.convert("RGB").tobytes())


def fiftyone(folder: str) -> Found:
    """Iterate over the importers, which need no database."""
    import fiftyone.utils.data as fod

    found: Found = {}
    for name in ("videos", "images"):
        importer = fod.LegacyFiftyOneDatasetImporter(dataset_dir=f"{folder}/{name}")
        with importer:
            for sample in importer:
                values = sample.to_dict()
                row = {key: value for key, value in values.items() if not key.startswith("_")}
                row["media_type"] = sample.media_type
                found[sample["key"]] = {"digest": file_digest(sample.filepath), "row": row}
    return found


def label_studio(folder: str) -> Found:
    """Validate every prediction with the labelling interface, and read the tasks."""
    from label_studio_sdk.label_interface import LabelInterface

    found: Found = {}
    for name in ("videos", "images"):
        with open(f"{folder}/{name}/label_config.xml") as file:
            interface = LabelInterface(file.read())
        interface.validate()
        for path in sorted(glob.glob(f"{folder}/{name}/tasks*.json")):
            with open(path) as file:
                tasks = json.load(file)
            for task in tasks:
                errors = [
                    error
                    for prediction in task["predictions"]
                    for error in interface.validate_prediction(prediction, return_errors=True)
                ]
                media = task["data"]["video" if name == "videos" else "image"]
                local = f"{folder}/{name}/{media.partition('?d=')[2]}"
                valid = interface.validate_task({"data": task["data"]})  # it fails on predictions
                about = {"errors": errors, "valid": valid, "digest": file_digest(local)}
                found[task["data"]["key"]] = {"row": task, **about}
    return found


READERS = {
    "huggingface": lambda folder: huggingface(folder, streaming=False),
    "huggingface-streaming": lambda folder: huggingface(folder, streaming=True),
    "videofolder": videofolder,
    "huggingface-table": huggingface_table,
    "croissant": croissant,
    "fiftyone": fiftyone,
    "label-studio": label_studio,
}

if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](sys.argv[2]), default=str))
