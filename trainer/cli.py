"""`kinora train vae` and `kinora train dit`: LightningCLI, with one output folder per run.

kinora train dit fit --config dit_tiny.yaml --data.shards DIR --out DIR [--max_steps N] [--resume]
"""

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from manifests.renamed_flags import rename_args
from trainer.callbacks import ProgressLines, SampleVideos
from trainer.config import SampleConfig, WatchConfig
from trainer.precision import lightning_precision

CHECKPOINTS = "checkpoints"


class TrainingCli(LightningCLI):
    """The command line of one training: `fit` and `validate`."""

    def __init__(self, network: Literal["vae", "dit"], *args: Any, **kwargs: Any) -> None:
        self.network = network
        super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--out", type=str, required=True, help="folder for weights, logs, samples, checkpoints"
        )
        parser.add_argument("--max_steps", type=int, default=-1, help="total optimizer steps")
        parser.add_argument("--resume", action="store_true", help="resume the newest checkpoint in --out")
        parser.add_class_arguments(WatchConfig, "watch")
        parser.add_class_arguments(SampleConfig, "sample")
        parser.link_arguments("out", "trainer.default_root_dir")
        parser.link_arguments("max_steps", "trainer.max_steps")
        if self.network == "dit":
            parser.link_arguments("model.dit", "data.dit")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        hidden = {
            "model",
            "train_dataloaders",
            "val_dataloaders",
            "dataloaders",
            "datamodule",
            "weights_only",
        }
        return {"fit": {*hidden, "ckpt_path"}, "validate": hidden}

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add loggers and callbacks that write to the run's folder."""
        out, watch = Path(self._get(self.config_init, "out")), self._get(self.config_init, "watch")
        fitting = self.subcommand == "fit"
        csv = CSVLogger(str(out), name="logs", flush_logs_every_n_steps=20)
        board = TensorBoardLogger(str(out), name="logs", version=csv.version)
        callbacks: list[Any] = [ProgressLines(watch.log_every_s)] if not sys.stdout.isatty() else []
        if fitting:
            callbacks.append(
                ModelCheckpoint(
                    dirpath=out / CHECKPOINTS,
                    filename="{step}",
                    every_n_train_steps=watch.checkpoint_every_steps,
                    save_on_train_epoch_end=False,
                )
            )
        if watch.prompts:
            callbacks.append(SampleVideos(watch, self._get(self.config_init, "sample")))
        extra = {"callbacks": callbacks, "logger": [csv, board] if fitting else False}
        return super().instantiate_trainer(**{**kwargs, **extra})

    def before_fit(self) -> None:
        """Find the checkpoint to resume from. Raises ValueError where the run would overwrite another."""
        out = Path(self._get(self.config, "out"))
        newest = newest_checkpoint(out / CHECKPOINTS)
        if self._get(self.config, "resume"):
            if newest is None:
                raise FileNotFoundError(f"{out}: no checkpoint to resume from; leave out --resume to start")
            self.checkpoint = str(newest)
        elif newest is not None or any(out.glob("*.safetensors")):
            raise ValueError(
                f"{out}: holds another run; add --resume to go on with it, or name another --out"
            )
        else:
            self.checkpoint = None

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        return (
            {**kwargs, "ckpt_path": self.checkpoint, "weights_only": True} if subcommand == "fit" else kwargs
        )


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the latest step, or None."""
    paths = list(folder.glob("step=*.ckpt"))
    return max(paths, key=lambda path: int(path.stem.removeprefix("step=")), default=None)


def main(network: Literal["vae", "dit"], args: Sequence[str]) -> int:
    """Run `fit` or `validate` for one network. Exits with 2 on bad usage, as argparse does."""
    silence_lightning()
    if network == "vae":
        from trainer.data.pixels import PixelData as Data
        from trainer.vae.module import VaeModule as Module
    else:
        from trainer.data.latents import LatentData as Data
        from trainer.dit.module import DitModule as Module
    groups = {"model": Module, "data": Data, "watch": WatchConfig, "sample": SampleConfig}
    TrainingCli(
        network,
        Module,
        Data,
        args=rename_args(args, {**groups, "fit": groups, "validate": groups}),
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "precision": lightning_precision(),
            "max_epochs": -1,
            "enable_model_summary": False,
            "enable_progress_bar": sys.stdout.isatty(),
            "log_every_n_steps": 10,
            "num_sanity_val_steps": 0,
            "check_val_every_n_epoch": None,
            "val_check_interval": 250,
            "gradient_clip_val": 1.0,
        },
    )
    return 0


def silence_lightning() -> None:
    """Hide the log lines and warnings that Lightning prints in every run."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    torch.set_float32_matmul_precision("high")
