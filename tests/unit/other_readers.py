"""Read a shard set with libraries that Kinora does not depend on, and print what they give as JSON.

Run it with an interpreter that has them: `python other_readers.py READER FOLDER_OF_TARS`. For the key of each
sample it prints its text, its source's `carried`, and a digest: of a video's bytes, or of a still's pixels.
"""

import hashlib
import json
import sys
from collections.abc import Callable

import numpy as np

KINDS = ("videos", "images")


def digest(media: bytes | np.ndarray) -> str:
    data = media if isinstance(media, bytes) else np.ascontiguousarray(media).tobytes()
    return hashlib.sha256(data).hexdigest()


def huggingface(tars: str, *, streaming: bool) -> dict[str, list[str]]:
    from datasets import Video, load_dataset

    found = {}
    for kind in KINDS:
        rows = load_dataset("webdataset", data_dir=f"{tars}/{kind}", split="train", streaming=streaming)
        if kind == "videos":
            rows = rows.cast_column("mp4", Video(decode=False))  # decoding takes torchcodec and FFmpeg
        for row in rows:
            media = row["mp4"]["bytes"] if kind == "videos" else np.asarray(row["png"].convert("RGB"))
            found[row["__key__"]] = [row["txt"], row["json"]["source"]["carried"], digest(media)]
    return found


def energon(tars: str) -> dict[str, list[str]]:
    """Read folders that `energon prepare` was run on, with two workers."""
    from megatron.energon import (
        Cooker,
        DefaultTaskEncoder,
        WorkerConfig,
        get_loader,
        get_val_dataset,
        stateless,
    )

    @stateless
    def cook(sample):
        return sample

    class Encoder(DefaultTaskEncoder):
        cookers = (Cooker(cook),)

    found = {}
    for kind in KINDS:
        rows = get_val_dataset(
            f"{tars}/{kind}",
            split_part="train",
            worker_config=WorkerConfig(rank=0, world_size=1, num_workers=2),
            batch_size=None,
            task_encoder=Encoder(),
        )
        for row in get_loader(rows):
            if kind == "videos":
                (frames_TCHW,) = row["mp4"].get_video().video_clips
                assert len(frames_TCHW) == row["json"]["num_frames"]
                media = row["mp4"].stream.getvalue()
            else:
                media = (row["png"] * 255).round().byte().permute(1, 2, 0).numpy()
            found[row["__key__"]] = [row["txt"], row["json"]["source"]["carried"], digest(media)]
    return found


READERS: dict[str, Callable[[str], dict[str, list[str]]]] = {
    "huggingface": lambda tars: huggingface(tars, streaming=False),
    "huggingface-streaming": lambda tars: huggingface(tars, streaming=True),
    "energon": energon,
}

if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](sys.argv[2])))
