"""Train the embedded captioner and export it as a standard transformers model folder."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader

from captioner.train.build import build_model, build_processor, build_tokenizer, save_pretrained
from captioner.train.carry_over import carry_over
from captioner.train.config import TrainConfig
from captioner.train.data import Batches, SampleExamples, kind_at
from captioner.train.module import CaptionModule
from captioner.train.optimizer import JoinOptimizers, MakeSchedule
from captioner.train.state import replacing_folder

VALIDATION_BATCHES = 4
"""Batches of each kind (short, dense) per validation."""
PREFETCHED = 8
"""Batches that each worker prepares ahead."""
EXPORT = "export"
"""Folder of the exported model, in the run's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunParts:
    """What the command line gives a training: optimizers, checkpoints, and what to go on from."""

    join_optimizers: JoinOptimizers
    make_schedule: MakeSchedule
    callbacks: Sequence[Callback] = ()
    """Such as one that saves checkpoints; without it none are saved."""
    plugins: Sequence[Any] = ()
    running: Callable[[L.Trainer], AbstractContextManager[None]] = lambda trainer: nullcontext()
    """Context that the training runs in."""
    resume: Path | None = None
    """Checkpoint to go on from."""
    weights: Mapping[str, Tensor] | None = None
    """State of a `CaptionModule` to start from."""
    words: Mapping[str, int] | None = None
    """Vocabulary of these weights, by token; None where it is that of the texts."""


def fit(config: TrainConfig, sample: SampleExamples, texts: Iterable[str], parts: RunParts) -> Path:
    """Train for `config.steps` and export the model (bf16, safetensors); return its folder.

    Args:
        sample: creates the examples of a step; negative steps are held out for validation.
        texts: texts that the tokenizer's vocabulary must cover.
    """
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)
    tokenizer = build_tokenizer(texts)
    processor = build_processor(tokenizer, config.model)
    module = CaptionModule(
        build_model(tokenizer, config.model), config, parts.join_optimizers, parts.make_schedule
    )
    if parts.weights is not None:
        words = tokenizer.get_vocab()
        load_weights(module, carry_over(parts.weights, parts.words or words, module.state_dict(), words))
    trainer = build_trainer(config, parts)
    batches = partial(Batches, processor, sample, config.batch_size)
    training = batches(
        first=lambda: trainer.global_step, last=config.steps, kind=lambda step: kind_at(step, config)
    )
    held_out = [
        batches(first=lambda: -VALIDATION_BATCHES, last=0, kind=lambda _, kind=kind: kind)
        for kind in ("short", "dense")
    ]
    began = time.monotonic()
    loaders = [DataLoader(held, batch_size=None) for held in held_out]
    with parts.running(trainer):
        trainer.fit(
            module,
            DataLoader(
                training,
                batch_size=None,
                num_workers=config.workers,
                prefetch_factor=PREFETCHED if config.workers else None,
            ),
            loaders,
            ckpt_path=parts.resume,
            weights_only=True if parts.resume else None,
        )
    record = {
        "config": asdict(config),
        "optimizer_steps": trainer.global_step,
        "seconds": round(time.monotonic() - began, 1),
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "final": {name: round(float(value), 5) for name, value in trainer.callback_metrics.items()},
    }
    folder = Path(config.out) / EXPORT
    if trainer.is_global_zero:
        export(module, processor, record, folder)
    return folder


def load_weights(module: CaptionModule, weights: Mapping[str, Tensor]) -> None:
    """Load weights; a head that they lack starts anew. Raises ValueError for those of another shape."""
    expected = module.state_dict()
    for name, tensor in expected.items():
        theirs = tuple(weights[name].shape) if name in weights else None
        if theirs != tuple(tensor.shape) and not (theirs is None and name.startswith("cell_head.")):
            raise ValueError(
                f"the weights to start from have {name} {theirs or 'missing'}, but this configuration has "
                f"{tuple(tensor.shape)}: give the `model` settings of that run"
            )
    module.load_state_dict({name: weights.get(name, tensor) for name, tensor in expected.items()})


def export(module: CaptionModule, processor: Any, record: Mapping[str, Any], folder: Path) -> None:
    """Write the model folder beside its place, and put it there in one step."""
    with replacing_folder(folder) as partial_folder:
        save_pretrained(module.model.bfloat16().eval(), processor, partial_folder)
        (partial_folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def build_trainer(config: TrainConfig, parts: RunParts) -> L.Trainer:
    """Return a Trainer with bf16 autocast and CSV logs."""
    return L.Trainer(
        max_steps=config.steps,
        precision="bf16-mixed",
        gradient_clip_val=config.clip_norm,
        val_check_interval=min(config.validate_every_n_steps, config.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every_n_steps,
        logger=CSVLogger(config.out, name="log"),
        callbacks=[LearningRateMonitor("step"), *parts.callbacks],
        plugins=list(parts.plugins),
        enable_checkpointing=bool(parts.callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="auto",
        default_root_dir=config.out,
    )
