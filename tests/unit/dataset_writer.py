"""Writers that the tests kill: each commits numbered batches and acknowledges each one that was committed.

This process loads the libraries once and forks a writer for each line of JSON on its stdin. It prints the
writer's process id, and how it ended.
"""

import json
import os
import signal
import sys

from manifests.dataset import Commit, Dataset, Part
from manifests.records import Caption, Failure, Media, Outcome
from manifests.storage import s3

FAILURES, CAPTIONS = 3, 2
"""Rows of each batch: whole is so many of both."""
STEPS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir"}


def batch(dataset: Dataset, number: int) -> Commit:
    failures = [
        Failure(stage="x", unit=f"{number}", uri="/u", code="X", message="m", remedy="r", config=f"{i}")
        for i in range(FAILURES)
    ]
    caption = {"text": "t", "short": "s", "captioner": "vlm", "model": "m", "revision": "r", "decoding": "{}"}
    captions = [
        Caption(
            clip_id=f"{number}",
            media_id=f"{number}-{i}",
            outcome=Outcome.OK,
            prompt_digest="p",
            frames_shown=(0,),
            **caption,
        )
        for i in range(CAPTIONS)
    ]
    added = (dataset.write_records("failures", failures), dataset.write_records("captions", captions))
    added += (cut(dataset, number),) if number % 3 == 0 else ()
    return Commit(stage="batch", added=added, counts={"batch": number})


def cut(dataset: Dataset, number: int) -> Part:
    """Write a tar, which goes up in parts on S3, and the row of a clip that is all of it."""
    path, length = f"media/{os.getpid()}-{number}.tar", 6 * 2**20 if dataset.uri.startswith("s3") else 2**16
    with dataset.storage.open_writer(path) as tar:
        tar.write(bytes(length))
    sizes = {"num_frames": 1, "height": 1, "width": 1, "fps": 1.0, "duration_s": 1.0}
    place = {"path": path, "offset": 0, "length": length, "extension": "mp4"}
    media = Media(media_id=f"{number}", clip_id=f"{number}", encoding="e", **place, **sizes)
    return dataset.write_records("media", [media])


def die_at(step: int, folder: str) -> None:
    """Kill this process before the `step`-th change in `folder`."""
    left = step

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and any(str(arg).startswith(folder) for arg in args[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def write(uri: str, acknowledged: str, first: int, many: int, step: int) -> None:
    """Commit batches `first`, `first` + 1, …; die before the `step`-th change in the folder (0: never)."""
    s3._MULTIPART_BYTES = 5 * 2**20
    if step:
        die_at(step, uri)
    dataset = Dataset.create(uri)
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(first, first + many):
        dataset = dataset.commit(batch(dataset, number), rebase=True)
        os.write(out, f"{number}\n".encode())


def serve() -> None:
    """Fork writers until stdin ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if not (writer := os.fork()):
            code = 1
            try:
                os.environ.update(asked.pop("env"))
                write(**asked)
                code = 0
            finally:
                os._exit(code)
        print(writer, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
