"""`fiftyone`: datasets of type `FiftyOneDataset`, one of the videos and one of the images.

    videos/metadata.json  videos/samples.json  videos/data/KEY.mp4
    images/metadata.json  images/samples.json  images/data/KEY.png

Claims and mended spans are temporal detections, whose `support` is frames counted from 1 with both ends
included. It is taken from the decoded frames: FiftyOne's own conversion from seconds assumes a constant rate.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kinora.exchange.export_rows import ExportRows
from kinora.exchange.formats.huggingface import FOLDERS
from kinora.exchange.frame_spans import FrameSpans, check_frames, spans_of
from kinora.exchange.json_stream import JsonList, json_list
from kinora.exchange.media_reader import MediaReader, file_name

_LEFT_OUT = ("review", "claims", "scores", "captions")
_FIELDS = {"claim": "claims", "span": "reviewed_span"}


def write(rows: ExportRows, folder: Path, reader: MediaReader) -> None:
    """Write the datasets."""
    with ExitStack() as stack:
        lists: dict[str, JsonList] = {}
        for row, content in reader.read(rows):
            kind = row.values["kind"]
            root = folder / FOLDERS[kind][0]
            if kind not in lists:
                (root / "data").mkdir(parents=True)
                (root / "metadata.json").write_text(json.dumps({"info": {}}) + "\n")
                opened = json_list(root / "samples.json", '{"samples": [', "]}")
                lists[kind] = stack.enter_context(opened)
            name = file_name(row)
            (root / "data" / name).write_bytes(content)
            lists[kind].add(_sample(row.values, f"data/{name}", FrameSpans(content=content)))


def _sample(values: dict[str, Any], path: str, frames: FrameSpans) -> dict[str, Any]:
    sample: dict[str, Any] = {"filepath": path, "tags": []}
    sample |= {name: value for name, value in values.items() if name not in _LEFT_OUT}
    sample["captions"] = values["captions"]
    if "scores" in values:
        sample["scores"] = values["scores"]
    review = values["review"]
    if review:
        about = {name: value for name, value in review.items() if name != "verdict"}
        sample["review"] = {"_cls": "Classification", "label": review["verdict"], **about}
        sample["tags"] = [tag for tag in ("disagreement", "stale") if review[tag]]
    for kind, field in _FIELDS.items():
        found = [each for each in spans_of(values) if each["kind"] == kind]
        if found and values["kind"] == "video":
            detections = [_detection(each, frames, values) for each in found]
            sample[field] = {"_cls": "TemporalDetections", "detections": detections}
    return sample


def _detection(span: dict[str, Any], frames: FrameSpans, values: dict[str, Any]) -> dict[str, Any]:
    support = frames.frames(span["start_s"], span["end_s"])
    check_frames([support], values["num_frames"], values["key"])
    about = {"start_s": span["start_s"], "end_s": span["end_s"], "text": span["text"]}
    return {"_cls": "TemporalDetection", "label": span["label"], "support": [*support], **about}
