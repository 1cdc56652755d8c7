"""Train the embedded captioner and export it as a standard transformers model folder."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from captioner.train.build import build_model, build_processor, build_tokenizer, save_pretrained
from captioner.train.config import TrainConfig
from captioner.train.data import Batches, SampleExamples, kind_at
from captioner.train.module import CaptionModule
from captioner.train.optimizer import JoinOptimizers

VALIDATION_BATCHES = 4
"""Batches of each kind (short, dense) per validation."""


def fit(
    config: TrainConfig,
    sample: SampleExamples,
    texts: Iterable[str],
    join_optimizers: JoinOptimizers,
    *,
    resume: str | None = None,
) -> Path:
    """Train for `config.steps` and export the model (bf16, safetensors); return its folder.

    Args:
        sample: creates the examples of a step; negative steps are held out for validation.
        texts: texts that the tokenizer's vocabulary must cover.
        join_optimizers: returns one optimizer that steps both of its arguments.
        resume: checkpoint of an earlier run with the same configuration.
    """
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)
    tokenizer = build_tokenizer(texts)
    processor = build_processor(tokenizer, config.model)
    module = CaptionModule(build_model(tokenizer, config.model), config, join_optimizers)
    trainer = build_trainer(config)
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
    trainer.fit(
        module,
        DataLoader(training, batch_size=None),
        loaders,
        ckpt_path=resume,
        weights_only=True if resume else None,
    )
    folder = Path(config.out) / "export"
    save_pretrained(module.model.bfloat16().eval(), processor, folder)
    record = {
        "config": asdict(config),
        "optimizer_steps": trainer.global_step,
        "seconds": round(time.monotonic() - began, 1),
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "final": {name: round(float(value), 5) for name, value in trainer.callback_metrics.items()},
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    return folder


def build_trainer(config: TrainConfig) -> L.Trainer:
    """Return a Trainer with bf16 autocast, CSV logs and periodic checkpoints."""
    return L.Trainer(
        max_steps=config.steps,
        precision="bf16-mixed",
        gradient_clip_val=config.clip_norm,
        val_check_interval=min(config.validate_every_n_steps, config.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every_n_steps,
        logger=CSVLogger(config.out, name="log", version=""),
        callbacks=[
            LearningRateMonitor("step"),
            ModelCheckpoint(
                config.out,
                filename="last",
                every_n_train_steps=config.checkpoint_every_n_steps,
                enable_version_counter=False,
            ),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="auto",
    )
