"""Train the shot detector that ships: `python -m kinora.training.shot_training --film FILE …`.

Every frame of a spliced video is one of three: inside a shot, the first after a hard cut, inside a gradual
transition. The splices are raw videos of worlds, rendered and encoded as a data engineer gets them, whose
truth names each transition and each flash; and shots of films (any files that are given), joined in their
small pictures: mixing and shrinking are both linear, so a dissolve of small pictures is a small picture of
the dissolve. Among the shots of films are moves of a camera over single frames of theirs and over textures
(kinora/training/camera_moves.py): a slow move over something fine looks much like a dissolve.
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

from kinora.training.camera_moves import moves, textures
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
"""Share of the hidden values that are left out at each step of the training."""
MARGIN_S = 0.4
"""Of a film's shot so much is left away at both ends: where exactly it ends is not known."""
MOVES = 15.0
"""So many moves of a camera over a still for each shot of a film."""
STILL_FRAMES = 25
"""One frame in so many of a film is a still."""
SHORT, PLAIN = 0.15, 0.05
"""Shares of the shots of splices that last a few frames only, and that hold one colour."""
CROSSING = 0.15
"""Share of them before which a large thing passes: a wipe is a cut, this is none."""


def read_small(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Decode a file: small_THWC and the seconds of each frame."""
    pictures, times = [], []
    for frame in read_frames(str(path), size_px=(90, WIDTH_PX)):
        pictures.append(downscale(half_res(frame.rgb_HWC)))
        times.append(frame.time_s)
    return np.stack(pictures), np.array(times)


def labels(line: dict, num_frames: int) -> np.ndarray:
    """Return the class of each frame from a file's line of truth."""
    label_T = np.zeros(num_frames, np.int64)
    for transition in line["transitions"]:
        start, end = transition["start_frame"], transition["end_frame"]
        if start == end:
            label_T[start : start + 1] = 1
        else:
            label_T[start:end] = 2
    return label_T


def of_worlds(num_videos: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (features_TF, label_T) of rendered raw videos: wild ones, wild ones of few frames a second, and
    plain ones, whose cuts to and from white and black are neither flashes nor fades."""
    each = RawConfig(num_videos=max(1, num_videos // 3), seed=seed, num_workers=2, still_rate=0.0)
    slow = replace(each, fps=(10.0, 12.0, 15.0, 16.0), seed=seed + 1, flash_rate=0.2)
    plain = replace(each, slate_rate=0.15, seed=seed + 2)
    for config in (wild(replace(each, flash_rate=0.2)), wild(slow), plain):
        with TemporaryDirectory() as folder:
            render_raw(Path(folder) / "raw", config)
            for text in truth_path(Path(folder) / "raw", config).read_text().splitlines():
                line = json.loads(text)
                if line["kind"] == "video" and not line["damage"]:
                    pictures, times = read_small(Path(folder) / "raw" / line["file"])
                    yield features(pictures, times), labels(line, len(pictures))


def shots_of(path: Path) -> list[tuple[np.ndarray, float]]:
    """Return the insides of a film's shots as small pictures, with the film's frames a second."""
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


def stills_of(path: Path) -> list[np.ndarray]:
    """Return a frame of a film every few seconds."""
    frames = read_frames(str(path), size_px=(180, 2 * WIDTH_PX), every=STILL_FRAMES)
    return [frame.rgb_HWC for frame in frames]


def of_films(paths: Sequence[Path], num_splices: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (features_TF, label_T) of shots of films, joined at random."""
    draw = np.random.default_rng(seed)
    shots = [shot for path in paths for shot in shots_of(path)]
    if not shots:
        return
    stills = [still for path in paths for still in stills_of(path)]
    count = round(len(shots) * MOVES)
    shots += [
        (move, shots[0][1])
        for move in moves(draw, [*stills, *textures(draw, len(stills))], count, shots[0][1])
    ]
    for _ in range(num_splices):
        pictures, label, fps = _splice(draw, shots)
        yield features(pictures, np.arange(len(pictures)) / fps), label


def _splice(
    draw: np.random.Generator, shots: Sequence[tuple[np.ndarray, float]]
) -> tuple[np.ndarray, np.ndarray, float]:
    skip = int(draw.choice([1, 1, 1, 2, 3]))
    fps = shots[0][1] / skip
    pieces: list[np.ndarray] = []
    label: list[int] = []
    for number in range(int(draw.integers(3, 8))):
        new = _taken(draw, shots, skip)
        kind = draw.choice(["cut", "cut", "dissolve", "black", "white"]) if number else "first"
        length = max(3, round(draw.uniform(0.25, 1.3) * fps))
        if kind in ("dissolve", "black", "white") and len(pieces[-1]) > length + 4 and len(new) > length + 4:
            old_tail, new_head = pieces[-1][-length:], new[:length]
            pieces[-1] = pieces[-1][:-length]
            del label[-length:]
            pieces += [_mixed(old_tail, new_head, kind), new[length:]]
            label += [2] * length + [0] * (len(new) - length)
        else:
            pieces.append(new)
            label += ([1] if number else [0]) + [0] * (len(new) - 1)
    whole = np.rint(np.concatenate(pieces)).clip(0, 255).astype(np.uint8)
    first, last = sorted(draw.integers(len(whole), size=2)) if draw.random() < 0.5 else (0, len(whole))
    first, last = (0, len(whole)) if last - first < 8 else (first, last)  # a file may begin or end anywhere
    begun = np.array(label[first:last])
    begun[0] = 0 if begun[0] == 1 else begun[0]
    return whole[first:last], begun, fps


def _taken(draw: np.random.Generator, shots: Sequence[tuple[np.ndarray, float]], skip: int) -> np.ndarray:
    """Return a part of a shot, mirrored, brightened, with a flash or a shaken camera now and then."""
    shot = shots[int(draw.integers(len(shots)))][0]
    length = int(draw.integers(2, 14)) if draw.random() < SHORT else int(draw.integers(24, 72))
    length = min(len(shot), length * skip)
    start = int(draw.integers(len(shot) - length + 1))
    taken = shot[start : start + length : skip].astype(np.float32)
    taken = taken[:, :, ::-1] if draw.random() < 0.5 else taken
    taken = taken * draw.uniform(0.4, 1.3) + draw.uniform(-15, 15)
    if draw.random() < PLAIN:
        taken = np.broadcast_to(draw.uniform(0, 255, 3), taken.shape).copy()
    if draw.random() < 0.2 and len(taken) > 16:  # a flash is no cut
        at, lasts = int(draw.integers(6, len(taken) - 8)), int(draw.integers(1, 4))
        taken[at : at + lasts] += (255 - taken[at : at + lasts]) * draw.uniform(0.5, 1)
    if draw.random() < CROSSING and len(taken) > 16:
        taken = _crossed(draw, taken)
    if draw.random() < 0.3:  # a camera that turns, faster and slower
        path = np.cumsum(np.cumsum(draw.normal(0, 0.12, len(taken))))
        taken = np.stack([np.roll(f, round(d), axis=1) for f, d in zip(taken, path, strict=True)])
    return taken + draw.normal(0, draw.uniform(0, 3), taken.shape)


def _crossed(draw: np.random.Generator, taken: np.ndarray) -> np.ndarray:
    """Let a large thing of one colour pass before the camera, to the left or to the right."""
    width, height = taken.shape[2], taken.shape[1]
    size = round(draw.uniform(0.2, 0.8) * width)
    lasts = int(draw.integers(8, len(taken) + 1))
    begin, top = int(draw.integers(len(taken) - lasts + 1)), int(draw.integers(-1, height // 2))
    color, to_left = draw.uniform(0, 255, 3), draw.random() < 0.5
    for step in range(lasts):
        left = round(-size + (width + size) * (step + 1) / (lasts + 1))
        left = width - size - left if to_left else left
        taken[begin + step, max(0, top) :, max(0, left) : max(0, left + size)] = color
    return taken


def _mixed(old: np.ndarray, new: np.ndarray, kind: str) -> np.ndarray:
    share = (np.arange(1, len(old) + 1) / (len(old) + 1))[:, None, None, None]
    if kind == "dissolve":
        return (1 - share) * old + share * new
    color = 0.0 if kind == "black" else 255.0
    out = old + (color - old) * np.minimum(2 * share, 1)
    back = color + (new - color) * np.maximum(2 * share - 1, 0)
    return np.where(share <= 0.5, out, back)


def train(data: Sequence[tuple[np.ndarray, np.ndarray]], steps: int, seed: int) -> dict[str, np.ndarray]:
    """Return the weights after `steps` of AdamW on frames drawn evenly from the classes that are rare."""
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
    shares = np.bincount(y, minlength=3) / len(y)
    weight = torch.from_numpy((1 / shares**0.5)[y])
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
    held = {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}
    for number, layer in enumerate(layers):
        held[f"weight{number}"] = layer.weight.detach().numpy().T.copy()
        held[f"bias{number}"] = layer.bias.detach().numpy().copy()
    return held


def main() -> None:
    """Train, and write the weights where the detector finds them, with a record of how they were made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--film", type=Path, nargs="*", default=[], help="films to take shots from")
    parser.add_argument("--videos", type=int, default=600, help="raw videos of worlds to render")
    parser.add_argument("--splices", type=int, default=2000, help="splices of films")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    begin = time.monotonic()
    data = [*of_worlds(given.videos, given.seed), *of_films(given.film, given.splices, given.seed)]
    counts = np.bincount(np.concatenate([label for _, label in data]), minlength=3)
    print(
        f"{len(data)} videos, frames by class {dict(zip(CLASSES, counts.tolist(), strict=True))}", flush=True
    )
    save_file(train(data, given.steps, given.seed), given.out)
    about = {
        "command": "python -m kinora.training.shot_training",
        "films": [path.name for path in given.film],
        **{name: getattr(given, name) for name in ("videos", "splices", "steps", "seed")},
        "frames": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "seconds": round(time.monotonic() - begin),
    }
    given.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
