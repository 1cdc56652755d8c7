"""A training run of the captioner: checkpoints, signals and resumes as those of the other trainings."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from captioner.train.config import TrainConfig
from captioner.train.data import SampleExamples
from captioner.train.fit import EXPORT, RunParts, fit
from trainer.callbacks import ProgressLines
from trainer.cli import silence_lightning
from trainer.optim import ConfiguredLR, MuonWithAdamW
from trainer.run.ending import say
from trainer.run.lock import exclusive
from trainer.run.saving import FOLDER, SETTINGS, SaveSteps, newest_checkpoint, read_checkpoint
from trainer.run.settings import check_resume, flatten
from trainer.run.stopping import StopOnNonFinite, StopOnSignal

FORMER = "last.ckpt"
"""Checkpoint of older versions, in the run's folder."""
REFUSED = (
    "seed",
    "batch_size",
    "num_cell_classes",
    "crop_steps",
    "vision_steps",
    "short_steps",
    "dense_fraction",
    "model.",
)
"""Settings that decide what a step sees or what the weights mean; a resume uses new values of the others."""
LOGGED = ("train_loss", "train_cell_loss")
LOG_EVERY_S = 10.0


def train_captioner(
    config: TrainConfig,
    sample: SampleExamples,
    texts: Iterable[str],
    *,
    resume: str = "",
    init_from: str = "",
) -> Path:
    """Train and export; return the folder of the model.

    Args:
        resume: `newest` to go on from the newest checkpoint in `config.out`, or the path of one.
        init_from: folder of a run whose weights a new run starts from.

    Raises:
        ValueError: where the run would overwrite another, or go on with settings that it cannot change.
        FileNotFoundError: where there is nothing to go on or to start from.
    """
    silence_lightning()
    with exclusive(Path(config.out)):
        return _train(config, sample, texts, resume, init_from)


def _train(
    config: TrainConfig, sample: SampleExamples, texts: Iterable[str], resume: str, init_from: str
) -> Path:
    checkpoint = _find_checkpoint(config, resume)
    saver = SaveSteps(Path(config.out) / FOLDER, config.checkpoint_every_n_steps, flatten(asdict(config)))
    stop = StopOnSignal(saver.save)
    if checkpoint is not None:
        _check_resume(checkpoint, saver, config)
    weights, words = _load_run(Path(init_from)) if init_from and checkpoint is None else (None, None)
    parts = RunParts(
        join_optimizers=MuonWithAdamW,
        make_schedule=ConfiguredLR,
        callbacks=[ProgressLines(LOG_EVERY_S, LOGGED), saver, stop, StopOnNonFinite(saver.save_first)],
        plugins=[saver.io],
        running=stop.installed,
        resume=checkpoint,
        weights=weights,
        words=words,
    )
    return fit(config, sample, texts, parts)


def _find_checkpoint(config: TrainConfig, resume: str) -> Path | None:
    out = Path(config.out)
    if resume and resume != "newest":
        if not Path(resume).is_file():
            raise FileNotFoundError(f"{resume}: no such checkpoint")
        return Path(resume)
    newest = newest_checkpoint(out / FOLDER) or (out / FORMER if (out / FORMER).is_file() else None)
    if resume and newest is None:
        raise FileNotFoundError(f"{out}: no checkpoint to resume from; leave out --resume to start")
    if not resume and (newest is not None or (out / EXPORT).exists()):
        raise ValueError(f"{out}: holds another run; add --resume to go on with it, or name another --out")
    return newest if resume else None


def _check_resume(path: Path, saver: SaveSteps, config: TrainConfig) -> None:
    checkpoint = read_checkpoint(path)
    step = checkpoint["global_step"]
    if config.steps < step:
        raise ValueError(f"{path}: is at step {step} already; --steps {config.steps} is less")
    for line in check_resume(checkpoint.get(SETTINGS, {}), saver.settings, config.out, (REFUSED, ())):
        say(f"from step {step} on: {line}")
    say(f"going on from {path}")


def _load_run(run: Path) -> tuple[Mapping[str, Tensor], Mapping[str, int] | None]:
    """Return the weights of a run's newest checkpoint, or of the model that it exported and its words."""
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: no such folder; name the --out of a run")
    newest = newest_checkpoint(run / FOLDER)
    if newest is not None:
        say(f"starting from the weights of {newest}")
        return read_checkpoint(newest)["state_dict"], None
    exported = next((p for p in (run / EXPORT, run) if (p / "model.safetensors").is_file()), None)
    if exported is None:
        raise FileNotFoundError(f"{run}: holds no checkpoint and no exported model")
    say(f"starting from the weights of {exported}")
    model = Qwen2VLForConditionalGeneration.from_pretrained(exported, dtype=torch.float32)
    words = PreTrainedTokenizerFast.from_pretrained(exported).get_vocab()
    return {f"model.{name}": tensor for name, tensor in model.state_dict().items()}, words
