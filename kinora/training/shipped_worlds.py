"""Shards of simulated worlds for the weights that ship: every family and style, several shapes of frame and
durations, stills, with their true captions, short and dense.

A world is drawn and encoded in the size and at the rate of its bucket, so that nothing is resized. Sample
`n` follows from (seed, n) alone; pairs of colour and shape in `worlds.split.UNSEEN_PAIRS` are left out.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from manifests.digest import digest_bytes
from manifests.records import Bucket, SampleRef
from manifests.replacing import replacing
from manifests.shards import write_index
from video.encode import encode_mp4
from video.resize import resize_and_crop
from worlds import families
from worlds.family import AnyWorld
from worlds.shapes.family import sample_world

Value = TypeVar("Value")
Weighted = Sequence[tuple[Value, float]]

FPS = 8.0
SHARD_WORLDS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """What worlds are drawn from: values with weights."""

    sizes: Weighted[tuple[int, int]] = (
        *(((64, 64), 4.0), ((80, 48), 2.0), ((48, 80), 2.0), ((96, 64), 1.0), ((64, 96), 1.0)),
        *(((96, 96), 1.0), ((128, 80), 1.0), ((80, 128), 1.0)),
    )
    """Width and height in pixels."""
    frames: Weighted[int] = ((1, 1.5), (9, 1.0), (17, 5.0), (25, 1.0), (33, 2.0))
    families: Weighted[str] = (
        ("shapes", 5.0),
        *((name, 1.0) for name in ("physics", "occlusion", "rooms", "canvas", "grid")),
    )
    styles: Weighted[str] = (("flat", 4.0), ("outline", 1.0), ("textured", 1.0), ("night", 1.0))
    things: Weighted[int] = ((1, 2.0), (2, 1.0), (3, 1.0))
    """Things of a world of `shapes`."""
    square: bool = False
    """Whether frames are cropped to the square in their middle. Worlds and captions stay what they were."""


EVERYTHING = Mixture()
STILLS = Mixture(frames=((1, 1.0),))


class _Shard(NamedTuple):
    root: Path
    number: int
    samples: range

    @property
    def name(self) -> str:
        return f"tars/{self.number:06d}.tar"

    @property
    def refs(self) -> Path:
        """The file that names the samples, written when the tar is whole."""
        return self.root / "tars" / f"{self.number:06d}-{len(self.samples)}.refs.json"


def write_worlds(
    root: Path,
    num_worlds: int,
    *,
    seed: int,
    processes: int,
    progress: Callable[[str], None],
    shard_worlds: int = SHARD_WORLDS,
    mixture: Mixture = EVERYTHING,
) -> int:
    """Write shards of `num_worlds` samples and their index, and return how many samples were written anew.

    A shard that is there already is kept, so that a run that was stopped goes on.

    Args:
        mixture: what the worlds are drawn from.
    """
    (root / "tars").mkdir(parents=True, exist_ok=True)
    samples = range(num_worlds)
    starts = samples[::shard_worlds]
    shards = [_Shard(root, k, samples[start : start + shard_worlds]) for k, start in enumerate(starts)]
    missing = [shard for shard in shards if not shard.refs.exists()]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_write_shard, shard, seed, mixture) for shard in missing]
        for done, task in enumerate(as_completed(tasks), 1):
            task.result()
            progress(f"{done} of {len(missing)} shards of worlds")
    write_index(root, [ref for shard in shards for ref in _read_refs(shard.refs)], fps=FPS)
    return sum(len(shard.samples) for shard in missing)


def sample_of(seed: int, number: int, mixture: Mixture = EVERYTHING) -> AnyWorld:
    """Return the world of sample `number`, the first drawn one whose frames show all that it states."""
    rng = Random(f"shipped/{seed}/{number}")
    (width, height), num_frames = draw(rng, mixture.sizes), draw(rng, mixture.frames)
    style = draw(rng, mixture.styles)
    size = {"width": width, "height": height, "fps": FPS, "num_frames": num_frames, "style": style}
    while True:
        family, world_seed = draw(rng, mixture.families), rng.getrandbits(48)
        try:
            if family == "shapes":
                world: AnyWorld = sample_world(world_seed, num_things=draw(rng, mixture.things), **size)
            else:
                world = families.sample(family, world_seed, **size)
        except ValueError:  # too short for the family, or too crowded
            continue
        if not families.has_unseen_pair(world) and not families.unobservable(world, 0, num_frames):
            return world


def draw(rng: Random, weighted: Weighted[Value]) -> Value:
    """Draw a value by its weight."""
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


class _Member(NamedTuple):
    name: str
    content: bytes


def _write_shard(shard: _Shard, seed: int, mixture: Mixture) -> None:
    """Write one tar and, when it is whole, the references to its samples."""
    path = shard.root / shard.name
    partial, refs = path.with_suffix(".partial"), []
    with partial.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number in shard.samples:
            start, world = file.tell(), sample_of(seed, number, mixture)
            frames_THWC = families.render(world)
            if mixture.square:
                frames_THWC = middle_square(frames_THWC)
            num_frames, height, width, _ = frames_THWC.shape
            media, *texts = _members(seed, number, world, frames_THWC)
            for member in (media, *texts):
                info = tarfile.TarInfo(member.name)
                info.size = len(member.content)
                tar.addfile(info, io.BytesIO(member.content))
            refs.append(
                SampleRef(
                    clip_id=_key(seed, number),
                    source=digest_bytes(_key(seed, number).encode()),
                    media_digest=digest_bytes(media.content),
                    text_digest=digest_bytes(b"".join(text.content for text in texts)),
                    bucket=Bucket(num_frames=num_frames, height=height, width=width),
                    shard=shard.name,
                    offset=start,
                    length=file.tell() - start,
                )
            )
    partial.replace(path)
    with replacing(shard.refs) as unfinished:
        unfinished.write_text(json.dumps([asdict(ref) for ref in refs]))


def middle_square(frames_THWC: np.ndarray) -> np.ndarray:
    """Return the square in the middle of each frame, with sides as long as the short side."""
    side = min(frames_THWC.shape[1:3])
    return resize_and_crop(frames_THWC, side, side)


def _members(seed: int, number: int, world: AnyWorld, frames_THWC: np.ndarray) -> Iterator[_Member]:
    """Yield the media, then the texts of a sample."""
    key, buffer = _key(seed, number), io.BytesIO()
    if world.num_frames == 1:
        yield _Member(f"{key}.png", _png(frames_THWC[0]))
    else:
        encode_mp4(frames_THWC, FPS, buffer)
        yield _Member(f"{key}.mp4", buffer.getvalue())
    short, dense = families.short_caption(world, number), families.dense_caption(world, number)
    yield _Member(f"{key}.txt", short.encode())
    record = {"caption": {"short": short, "dense": dense}, "world": world.to_json()}
    yield _Member(f"{key}.json", json.dumps(record).encode())


def _png(frame_HWC: np.ndarray) -> bytes:
    written, data = cv2.imencode(".png", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR))
    if not written:
        raise ValueError(f"a still of shape {frame_HWC.shape} cannot be written as PNG")
    return data.tobytes()


def _key(seed: int, number: int) -> str:
    return f"world-{seed}-{number:06d}"


def _read_refs(path: Path) -> list[SampleRef]:
    return [SampleRef(**{**row, "bucket": Bucket(**row["bucket"])}) for row in json.loads(path.read_text())]
