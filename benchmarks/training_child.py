"""One measurement of `benchmarks.training`, in a process of its own, which runs this build or an older one.

`python -P training_child.py NETWORK FOLDER STEPS SEED` prints a JSON object. PYTHONPATH decides which build
it is.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from trainer.config import CropConfig, FlowConfig, OptimConfig, TextChoice, VaeConfig, VaeLossConfig
from trainer.data.latents import LatentData
from trainer.data.pixels import PixelData
from trainer.dit.module import DitModule
from trainer.ema import update_ema
from trainer.optim import build_optimizer, clip_gradients
from trainer.precision import autocast
from trainer.vae.module import VaeModule

WARM_UP_STEPS = 3
"""Steps before those that are measured."""


class Phases:
    """Processor time by phase, one value for each step."""

    def __init__(self) -> None:
        self.steps: list[defaultdict[str, float]] = []
        self._last_s = 0.0

    def start(self) -> None:
        self.steps.append(defaultdict(float))
        self._last_s = time.process_time()

    def end(self, phase: str) -> None:
        now_s = time.process_time()
        self.steps[-1][phase] += now_s - self._last_s
        self._last_s = now_s

    def measured(self) -> dict[str, float]:
        """Return the seconds of each phase of a step: medians, as other load only adds."""
        steps = self.steps[WARM_UP_STEPS:]
        return {phase: median(step[phase] for step in steps) for phase in steps[0]}


def recipe(folder: Path, network: str) -> dict[str, Any]:
    """Return the configuration of `tiny`."""
    config = yaml.safe_load((folder / "configs" / f"{network}_tiny.yaml").read_text())
    return tuples(config)


def tuples(config: Any) -> Any:
    """Turn the lists of a configuration into tuples, as fields hold them."""
    if isinstance(config, dict):
        return {name: tuples(value) for name, value in config.items()}
    return tuple(map(tuples, config)) if isinstance(config, list) else config


def train(module: Any, data: Any, optim: OptimConfig, steps: int) -> dict[str, Any]:
    """Take optimizer steps as one process of the training does, without Lightning."""
    optimizer = build_optimizer(module.model, optim)
    phases, losses, device = Phases(), [], torch.device("cpu")
    for step in range(WARM_UP_STEPS + steps):
        phases.start()
        batch = data.read(step, 0)
        phases.end("data")
        with autocast(device):
            loss = module.loss_sum(batch) / getattr(batch, "num_tokens", 1)
        phases.end("forward")
        loss.backward()
        phases.end("backward")
        clip_gradients(module.model, optim)
        optimizer.step()
        optimizer.zero_grad()
        update_ema(module.ema, module.model, step, optim.ema_decay)
        phases.end("optimizer")
        losses.append(float(loss.detach()))
    seconds = phases.measured()
    return {"seconds": seconds, "clips": data.batch_size, "losses": losses}


def dit(folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """Train `tiny` on half of a global batch of the mixture: one rank of two."""
    config = recipe(folder, "dit")
    optim = OptimConfig(**config["model"]["optim"])
    torch.manual_seed(seed)
    module = DitModule(dit=config["model"]["dit"], optim=optim, vae=str(folder / "vae"))
    data = LatentData(
        shards=str(folder / "shards"),
        batch_size=config["data"]["batch_size"] // 2,
        flow=FlowConfig(**config["data"]["flow"]),
        text=TextChoice(**config["data"]["text"]),
        dit=config["model"]["dit"],
        seed=seed,
    )
    data.setup("fit")
    result = train(module, data, optim, steps)
    batches = [data.read_validation(batch) for batch in data.validation_batches(list(data.validation_rows))]
    began_s = time.process_time()
    with torch.inference_mode(), autocast(torch.device("cpu")):
        for batch in batches:
            module.ema([group.model_input() for group in batch.groups])
    clips = sum(len(group.data_BCTHW) for batch in batches for group in batch.groups)
    return result | {"validation_s": (time.process_time() - began_s) / clips}


def vae(folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """Train the VAE of `tiny` on half of a global batch: one rank of two."""
    config = recipe(folder, "vae")
    optim = OptimConfig(**config["model"]["optim"])
    torch.manual_seed(seed)
    loss = VaeLossConfig(**config["model"]["loss"])
    module = VaeModule(vae=VaeConfig(**config["model"]["vae"]), loss=loss, optim=optim)
    batch_size = config["data"]["batch_size"] // 2
    data = PixelData(shards=str(folder / "shards"), batch_size=batch_size, crop=CropConfig(), seed=seed)
    data.setup("fit")
    for row in data.training_rows:  # into the cache
        data.frames(int(row))
    return train(module, data, optim, steps)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tasks = {"dit": dit, "vae": vae}
    print(json.dumps(tasks[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
