"""Train the built-in shot detector: `python -m kinora.training.shot_training --film FILE …`.

Each frame has one of three classes: within a shot, first after a hard cut, or within a gradual transition.
Training data are raw videos of simulated worlds with ground truth, and shots of the given films spliced with
synthetic transitions (kinora/training/shot_splices.py). Camera moves over stills and textures
(kinora/training/camera_moves.py) and moving text are hard negatives, as slow moves over fine detail resemble
dissolves.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.numpy import save_file

from kinora.training.camera_moves import crowds, sample_moves, textures
from kinora.training.shot_splices import moving_text, splice
from pipeline.analyze.shots.features import NUM_FEATURES, downscale, features
from pipeline.analyze.shots.model import WEIGHTS
from pipeline.analyze.shots.pyscenedetect import PySceneDetector
from pipeline.analyze.signals.frame_view import FrameView, half_res
from pipeline.config import AnalyzeConfig
from video.frames import read_frames
from worlds.raw.config import RawConfig, wild
from worlds.raw.render import render_raw, truth_path

CLASSES = ("shot", "cut", "gradual")
HIDDEN = (96, 48)
WIDTH_PX = 160
DROPOUT = 0.1
"""Dropout probability of hidden units."""
MARGIN_S = 0.4
"""Seconds trimmed from both ends of a film's shot, whose exact boundaries are unknown."""
MOVES_PER_SHOT = 15.0
"""Synthetic camera moves per shot of a film."""
STILL_INTERVAL = 25
"""Frames between the stills taken from a film."""
TEXTS_PER_STILL = 0.4
"""Shots of moving text per still of a film."""
FPS = (24.0, 25.0, 30.0, 24000 / 1001, 30000 / 1001)
"""Frame rates of the worlds: the detector sees faster videos thinned to about these."""
SLOW_FPS = (10.0, 12.0, 15.0, 16.0)


def read_small(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Decode a file; return small_THWC and the time of each frame in seconds."""
    pictures, times = [], []
    for frame in read_frames(str(path), size_px=(90, WIDTH_PX)):
        pictures.append(downscale(half_res(frame.rgb_HWC)))
        times.append(frame.time_s)
    return np.stack(pictures), np.array(times)


def labels(line: dict, num_frames: int) -> np.ndarray:
    """Return the class of each frame from a line of `truth.jsonl`."""
    label_T = np.zeros(num_frames, np.int64)
    for transition in line["transitions"]:
        start, end = transition["start_frame"], transition["end_frame"]
        if start == end:
            label_T[start : start + 1] = 1
        else:
            label_T[start:end] = 2
    return label_T


def world_examples(num_videos: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (features_TF, label_T) of raw videos of simulated worlds: wild ones, wild ones of low frame rate,
    and plain ones with hard cuts to and from slates."""
    base = RawConfig(num_videos=max(1, num_videos // 3), seed=seed, fps=FPS, still_rate=0.0)
    slow = replace(base, fps=SLOW_FPS, seed=seed + 1, flash_rate=0.2)
    plain = replace(base, fps=SLOW_FPS, slate_rate=0.15, seed=seed + 2)
    for config in (wild(replace(base, flash_rate=0.2)), wild(slow), plain):
        with TemporaryDirectory() as folder:
            render_raw(Path(folder) / "raw", config)
            for text in truth_path(Path(folder) / "raw", config).read_text().splitlines():
                line = json.loads(text)
                if line["kind"] == "video" and not line["damage"]:
                    pictures, times = read_small(Path(folder) / "raw" / line["file"])
                    yield features(pictures, times), labels(line, len(pictures))


def read_shots(path: Path) -> list[tuple[np.ndarray, float]]:
    """Return small_THWC of a film's shots without their ends, and the film's frame rate."""
    pictures, times, cuts = [], [], PySceneDetector(AnalyzeConfig(detector="adaptive"))
    for index, frame in enumerate(read_frames(str(path), size_px=(90, WIDTH_PX))):
        look = FrameView.from_rgb(frame.rgb_HWC, index=index, time_s=frame.time_s, sampled=False)
        cuts.update(look)
        pictures.append(downscale(look.half_res_HWC))
        times.append(frame.time_s)
    fps = 1 / float(np.median(np.diff(times)))
    edges = [0, *(cut.start for cut in cuts.finish()), len(pictures)]
    margin = round(MARGIN_S * fps)
    found = [pictures[a + margin : b - margin] for a, b in itertools.pairwise(edges)]
    return [(np.stack(shot), fps) for shot in found if len(shot) > 1.2 * fps]


def read_stills(path: Path) -> list[np.ndarray]:
    """Return every STILL_INTERVAL-th frame of a film."""
    frames = read_frames(str(path), size_px=(180, 2 * WIDTH_PX), every=STILL_INTERVAL)
    return [frame.rgb_HWC for frame in frames]


def film_examples(
    paths: Sequence[Path], num_splices: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (features_TF, label_T) of random splices of film shots and camera moves."""
    rng = np.random.default_rng(seed)
    shots = [shot for path in paths for shot in read_shots(path)]
    if not shots:
        return
    fps = shots[0][1]
    stills = [still for path in paths for still in read_stills(path)]
    grounds = [*stills, *textures(rng, len(stills)), *crowds(rng, len(stills) // 4)]
    count = round(len(shots) * MOVES_PER_SHOT)
    shots += [(move, fps) for move in sample_moves(rng, grounds, count, fps)]
    shots += moving_text(rng, stills, round(len(stills) * TEXTS_PER_STILL), fps)
    for _ in range(num_splices):
        pictures, label, fps = splice(rng, shots)
        yield features(pictures, np.arange(len(pictures)) / fps), label


def train(data: Sequence[tuple[np.ndarray, np.ndarray]], steps: int, seed: int) -> dict[str, np.ndarray]:
    """Train with AdamW on frames sampled with higher probability for rare classes; return the weights."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x = np.concatenate([f for f, _ in data])
    y = np.concatenate([label for _, label in data])
    mean, scale = x.mean(axis=0), 1 / (x.std(axis=0) + 1e-3)
    inputs, targets = torch.from_numpy((x - mean) * scale), torch.from_numpy(y)
    sizes = (NUM_FEATURES, *HIDDEN, len(CLASSES))
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    frequencies = np.bincount(y, minlength=3) / len(y)
    weight = torch.from_numpy((1 / frequencies**0.5)[y])
    for step in range(steps):
        index = torch.multinomial(weight, 2048, replacement=True)
        values = inputs[index] + 0.02 * torch.randn(2048, NUM_FEATURES)
        for layer in layers[:-1]:
            values = torch.dropout(torch.relu(layer(values)), DROPOUT, train=True)
        loss = torch.nn.functional.cross_entropy(layers[-1](values), targets[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 1000 == 0 or step == steps - 1:
            print(f"step {step}  loss {loss.item():.4f}", flush=True)
    weights = {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}
    for number, layer in enumerate(layers):
        weights[f"weight{number}"] = layer.weight.detach().numpy().T.copy()
        weights[f"bias{number}"] = layer.bias.detach().numpy().copy()
    return weights


def main() -> None:
    """Train, and write the detector's weights with a record of the run beside them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--film", type=Path, nargs="*", default=[], help="films whose shots are spliced")
    parser.add_argument("--videos", type=int, default=600, help="number of raw videos of simulated worlds")
    parser.add_argument("--splices", type=int, default=2000, help="number of film splices")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    started = time.monotonic()
    data = [*world_examples(args.videos, args.seed), *film_examples(args.film, args.splices, args.seed)]
    counts = np.bincount(np.concatenate([label for _, label in data]), minlength=3)
    print(
        f"{len(data)} videos, frames by class {dict(zip(CLASSES, counts.tolist(), strict=True))}", flush=True
    )
    save_file(train(data, args.steps, args.seed), args.out)
    about = {
        "command": "python -m kinora.training.shot_training",
        "films": [path.name for path in args.film],
        **{name: getattr(args, name) for name in ("videos", "splices", "steps", "seed")},
        "frames": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "seconds": round(time.monotonic() - started),
    }
    args.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
