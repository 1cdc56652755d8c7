"""One measurement of `benchmarks.loader`, in a process of its own, which runs this build or an older one.

`python -P loader_child.py TASK SHARDS NUMBER` prints a JSON object. PYTHONPATH decides which build it is.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    try:
        status = Path("/proc/self/status").read_text()  # ru_maxrss counts the process that forked this one
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what `work` returns, and the time and memory that it took."""
    before_mb, cpu_s, wall_s = peak_mb(), time.process_time(), time.monotonic()
    result = work()
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    return result, {"cpu_s": cpu_s, "wall_s": wall_s, "peak_mb": peak_mb(), "grown_mb": peak_mb() - before_mb}


def sample(shards: str, number: int) -> dict[str, Any]:
    """Read sample `number // 1000` from frame `number % 1000`, which a build without windows ignores."""
    row, start = divmod(number, 1000)
    from manifests.shards import ShardIndex

    index = ShardIndex.load(shards)
    ref = index.sample(row)
    try:
        from trainer.data.decode import decode_sample, read_sample

        def read() -> np.ndarray:
            return decode_sample(read_sample(index, ref), ref.bucket, index.fps, start=start)
    except ModuleNotFoundError:
        media: Any = import_module("trainer.media")

        def read() -> np.ndarray:
            return media.decode(media.read_packed(index, ref), ref.bucket, index.fps)

    frames_THWC, cost = timed(read)
    digest = blake2b(np.ascontiguousarray(frames_THWC).tobytes(), digest_size=8).hexdigest()
    return {**cost, "digest": digest, "shape": list(frames_THWC.shape)}


def _media(shards: str) -> tuple[bytes, list[float], int]:
    """Return the first sample's video, the times of the bucket's frames from 0, and the bucket's height."""
    from manifests.shards import ShardIndex
    from trainer.data.decode import read_sample

    index = ShardIndex.load(shards)
    ref = index.sample(0)
    times_s = [k / index.fps for k in range(ref.bucket.num_frames)]
    return read_sample(index, ref).media, times_s, ref.bucket.height


def bare(shards: str, start: int) -> dict[str, Any]:
    """Decode the frames that the sample at `start` needs, and convert none of them."""
    import av

    from manifests.shards import ShardIndex

    media, times_s, _ = _media(shards)
    shift_s = start / ShardIndex.load(shards).fps

    def decode() -> None:
        with av.open(BytesIO(media), "r") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            container.seek(round(shift_s * av.time_base))
            next(frame for frame in container.decode(stream) if frame.time >= shift_s + times_s[-1] - 1e-6)

    return timed(decode)[1]


def decord(shards: str, start: int) -> dict[str, Any]:
    """Read the same sample with decord, and tell the memory of its import."""
    from manifests.shards import ShardIndex
    from video.resize import resize_and_crop

    media, times_s, side = _media(shards)
    shift_s, before_mb = start / ShardIndex.load(shards).fps, peak_mb()
    import decord as library

    import_mb = peak_mb() - before_mb

    def read() -> np.ndarray:
        reader = library.VideoReader(BytesIO(media), num_threads=1)
        times_T = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        frames = []
        for time_s in times_s:
            index = int(np.abs(times_T - times_T[0] - time_s - shift_s).argmin())
            frames.append(resize_and_crop(reader[index].asnumpy()[None], side, side)[0])
        return np.stack(frames)

    frames_THWC, cost = timed(read)
    digest = blake2b(frames_THWC.tobytes(), digest_size=8).hexdigest()
    return {**cost, "digest": digest, "import_mb": import_mb}


def _pixels(shards: str, **more: Any) -> Any:
    """Return the data module of the VAE, without a cache."""
    from trainer.config import CropConfig

    settings: dict[str, Any] = {"shards": shards, "batch_size": 16, "crop": CropConfig(cache_mb=0), **more}
    try:
        from trainer.data.pixels import PixelData

        data = PixelData(validation_fraction=0, **settings)
    except ModuleNotFoundError:
        data = import_module("trainer.vae_data").PixelData(validation_share=0, **settings)
    data.setup("fit")
    return data


def batches(shards: str, steps: int) -> dict[str, Any]:
    """Read batches of crops, as the training of the VAE does."""
    data = _pixels(shards)
    data.read(steps, 0)  # loads what is loaded once
    _, cost = timed(lambda: [data.read(step, 0) for step in range(steps)])
    return {**cost, "clips": 16 * steps}


def wait(shards: str, steps: int) -> dict[str, Any]:
    """Train `tiny`'s VAE from two workers, and tell the share of time that it waits for batches."""
    import torch
    import yaml

    from trainer import config as trainer_config
    from trainer.data.pixels import PixelData
    from trainer.pixels import to_pixels
    from trainer.vae.model import VideoVae

    data: PixelData = _pixels(shards, num_workers=2)
    settings = Path(trainer_config.__file__).with_name("configs") / "vae_tiny.yaml"
    shape = yaml.safe_load(settings.read_text())["model"]["vae"]
    model = VideoVae(trainer_config.VaeConfig(**shape))
    loader, waited_s = iter(data.train_dataloader()), 0.0
    next(loader)  # the workers start
    began_s = time.monotonic()
    for _ in range(steps):
        asked_s = time.monotonic()
        batch = next(loader)
        waited_s += time.monotonic() - asked_s
        for frames_BTHWC in batch.frames_BTHWC:
            pixels_BCTHW = to_pixels(frames_BTHWC)
            model.zero_grad()
            out_BCTHW = model.decode_raw(model.posterior(pixels_BCTHW).mean_BCTHW)
            (out_BCTHW - pixels_BCTHW).abs().mean().backward()
    del loader
    return {"wait_share": waited_s / (time.monotonic() - began_s), "threads": torch.get_num_threads()}


def vae(folder: str, seed: int) -> dict[str, Any]:
    """Write the VAE of `vae_tiny.yaml` of this build with random weights."""
    import torch
    import yaml

    from trainer import config as trainer_config

    settings = Path(trainer_config.__file__).with_name("configs") / "vae_tiny.yaml"
    shape = yaml.safe_load(settings.read_text())["model"]["vae"]
    torch.manual_seed(seed)
    try:
        from trainer.checkpoints import save_model
        from trainer.vae.model import VideoVae
    except ModuleNotFoundError:
        save_model = import_module("trainer.weights").save_model
        VideoVae = import_module("trainer.vae").VideoVae
    return {"digest": save_model(folder, "vae", VideoVae(trainer_config.VaeConfig(**shape)), {})}


if __name__ == "__main__":
    tasks = {"vae": vae, "sample": sample, "bare": bare, "decord": decord, "batches": batches, "wait": wait}
    print(json.dumps(tasks[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
