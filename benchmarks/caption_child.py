"""One measurement of `benchmarks.caption`, in a process of its own, which runs this build or an older one.

`python -P caption_child.py FOLDER [MODEL]` captions the videos in FOLDER with the embedded model, or with the
one in the folder MODEL, and prints a JSON object. PYTHONPATH decides which build it is.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from captioner.config import CaptionerConfig, VlmConfig
from manifests.dataset import Dataset
from manifests.storage import open_storage
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.caption.stage import CaptionActor
from pipeline.config import CaptionConfig
from pipeline.media.tar import TarWriter
from pipeline.runtime.context import StageContext
from pipeline.runtime.units import TaskResult
from video.probe import probe


class Clock:
    """Processor time of the main thread in calls of a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **more: Any) -> Any:
            begin = time.thread_time()
            try:
                return call(*args, **more)
            finally:
                self.seconds += time.thread_time() - begin

        return timed


def main(folder: Path, model: str = "") -> dict[str, Any]:
    """Caption a few clips to warm up, then all; measure the second time, on another dataset."""
    vlm = VlmConfig(model=model, frames=8, max_new_tokens=32, dtype="float32") if model else None
    config = CaptionConfig(
        captioner=CaptionerConfig(kind="vlm", vlm=vlm, medium_prompt="medium")
        if vlm
        else CaptionerConfig(kind="embedded")
    )
    clock, frames = Clock(), Clock()
    captioner: Any = load_captioner(config)
    captioner.model.generate = clock.around(captioner.model.generate)
    captioner._inputs = frames.around(captioner._inputs)
    for paths in (sorted(folder.glob("*.mp4"))[:2], sorted(folder.glob("*.mp4"))):
        clock.seconds = frames.seconds = 0.0
        with TemporaryDirectory() as place:
            dataset = Dataset.create(f"{place}/data")
            row = write_media(dataset, paths)
            context = StageContext(dataset_uri=dataset.uri, attempts_uri=f"{place}/attempts")
            actor = CaptionActor(config, context, caption_spec(config), lambda _: captioner)
            begin, begin_thread = time.process_time(), time.thread_time()
            results = [TaskResult.from_row(outcome) for outcome in actor(row)]
            total_s, thread_s = time.process_time() - begin, time.thread_time() - begin_thread
    return {
        "clips": len(paths),
        "ok": sum(result.counts.get("ok", 0) for result in results),
        "total_s": total_s,
        "model_s": clock.seconds,
        "frames_s": frames.seconds,
        "decode_s": total_s - thread_s,
    }


def write_media(dataset: Dataset, paths: list[Path]) -> dict[str, Any]:
    """Write the videos into a tar of the dataset; return the row of a task on all of them."""
    units = []
    unit_class = caption_unit()
    with TarWriter(open_storage(dataset.uri), "media/0.tar") as tar:
        for path in paths:
            content, found = path.read_bytes(), probe(path)
            _, offset = tar.add(f"{path.stem}.mp4", content)
            values = {
                "media_id": path.stem,
                "clip_id": path.stem,
                "key": path.stem,
                "uri": str(path),
                "path": "media/0.tar",
                "offset": offset,
                "length": len(content),
                "num_frames": 48,
                "height": found.height,
                "width": found.width,
            }
            known = {field.name for field in fields(unit_class)}
            units.append(unit_class(**{name: value for name, value in values.items() if name in known}))
    rows = json.dumps([asdict(unit) for unit in units])
    return {"units": rows, "task": 0, "unit_index": [*range(len(units))]}


def caption_unit() -> Any:
    """Return the class of a clip to caption; older builds have it in another module."""
    for name in ("pipeline.caption.units", "pipeline.caption.batch"):
        try:
            return importlib.import_module(name).CaptionUnit
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ModuleNotFoundError("this build has no CaptionUnit")


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))
