"""`kinora train vae` and `kinora train dit`: LightningCLI, with one output folder per run.

kinora train dit fit --config dit_tiny.yaml --data.shards DIR --out DIR [--max_steps N] [--resume]
"""

import logging
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins import CheckpointIO

from manifests.renamed_flags import rename_args
from trainer.callbacks import ProgressLines, SampleVideos
from trainer.checkpoints import DIT, VAE
from trainer.config import SampleConfig, WatchConfig
from trainer.precision import lightning_precision
from trainer.run.ending import run_to_exit_code, say
from trainer.run.lock import exclusive
from trainer.run.nonfinite import nonfinite_clips
from trainer.run.preflight import check_clipping
from trainer.run.saving import FOLDER, SETTINGS, SaveSteps, newest_checkpoint, read_checkpoint
from trainer.run.settings import Settings, changes, check_resume, flatten, format_changes
from trainer.run.stopping import StopOnNonFinite, StopOnSignal, interrupt_ends_process
from trainer.run.weights import RunWeights, check_shapes, load_run_weights


class TrainingCli(LightningCLI):
    """The command line of one training: `fit` and `validate`."""

    def __init__(self, network: Literal["vae", "dit"], *args: Any, **kwargs: Any) -> None:
        self.network = network
        super().__init__(*args, **kwargs)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Name the command as it was typed."""
        return super().init_parser(**{"prog": f"kinora train {self.network}", **kwargs})

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        """Give a usage of one line: `--help` lists the fields."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.usage = f"kinora train {self.network} {subcommand} --config FILE.yaml [--FIELD VALUE …]"
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--out", type=str, required=True, help="folder for weights, logs, samples, checkpoints"
        )
        parser.add_argument("--max_steps", type=int, default=-1, help="total optimizer steps")
        parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
        parser.add_argument(
            "--init_from",
            type=str,
            default="",
            help="folder of a run whose weights a new run starts from, or `shipped`",
        )
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
        return {"fit": {*hidden, "ckpt_path"}, "validate": {*hidden, "verbose"}}

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add our loggers and callbacks, which write to the run's folder, to those of the configuration."""
        trainer, watch = self._get(self.config_init, "trainer"), self._get(self.config_init, "watch")
        callbacks: list[Any] = [ProgressLines(watch.log_every_s)]
        if watch.prompts:
            callbacks.append(SampleVideos(watch, self._get(self.config_init, "sample")))
        if self.subcommand != "fit":
            self.save_config_callback = None
            extra = {"callbacks": [*callbacks, *_as_list(trainer.callbacks)], "logger": False}
            return super().instantiate_trainer(**{**kwargs, **extra})
        out = Path(self._get(self.config, "out"))
        self.saver = SaveSteps(out / FOLDER, watch.checkpoint_every_steps, self.settings())
        self.stop = StopOnSignal(self.saver.save)
        callbacks += [self.saver, self.stop, StopOnNonFinite(self.saver.save_first, nonfinite_clips)]
        plugins = _as_list(trainer.plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(self.saver.io)
        extra = {
            "callbacks": [*callbacks, *_as_list(trainer.callbacks)],
            "logger": _loggers(out, trainer.logger),
            "plugins": plugins,
            "enable_checkpointing": True,
        }
        return super().instantiate_trainer(**{**kwargs, **extra})

    def settings(self) -> Settings:
        """Return the whole configuration by dotted name, sizes of networks in full."""
        dumped = self.parser.dump(self.config, skip_link_targets=False, skip_none=False)
        settings = yaml.safe_load(dumped)[self.subcommand]
        settings["model"][self.network] = asdict(self.model.model.config)
        settings["data"].pop("dit", None)  # model.dit again
        return flatten({name: value for name, value in settings.items() if name != "config"})

    @property
    def weights_name(self) -> str:
        return VAE if self.network == "vae" else DIT

    def before_fit(self) -> None:
        """Find what to go on from. Raises ValueError where the run would overwrite another."""
        check_clipping(self.trainer)
        out, init_from = (Path(self._get(self.config, name)) for name in ("out", "init_from"))
        self.checkpoint = newest_checkpoint(out / FOLDER)
        if self._get(self.config, "resume"):
            if self.checkpoint is None:
                raise FileNotFoundError(f"{out}: no checkpoint to resume from; leave out --resume to start")
            self._check_resume(out, self.checkpoint)
        elif self.checkpoint is not None or any(out.glob("*.safetensors")):
            raise ValueError(
                f"{out}: holds another run; add --resume to go on with it, or name another --out"
            )
        elif self._get(self.config, "init_from"):
            weights = self._load(init_from)
            self.model.model.load_state_dict(weights.ema)
            say(f"starting from the weights of {weights.path}, step {weights.step}")

    def _check_resume(self, out: Path, path: Path) -> None:
        checkpoint = read_checkpoint(path)
        step, max_steps = checkpoint["global_step"], self._get(self.config, "max_steps")
        if 0 < max_steps < step:
            raise ValueError(f"{out}: is at step {step} already; --max_steps {max_steps} is less")
        for line in check_resume(checkpoint.get(SETTINGS, {}), self.saver.settings, str(out)):
            say(f"from step {step} on: {line}")
        say(f"going on from {path}")

    def _load(self, run: Path) -> RunWeights:
        """Load a run's weights into the EMA. Raises ValueError for those of another network."""
        weights = load_run_weights(run, self.weights_name)
        check_shapes(weights, self.model.ema.state_dict())
        self.model.ema.load_state_dict(weights.ema)
        return weights

    def before_validate(self) -> None:
        """Load the weights that are validated. Raises FileNotFoundError or ValueError, with the remedy."""
        if self._get(self.config, "ckpt_path"):  # named by the user, and loaded by Lightning
            return
        weights = self._load(Path(self._get(self.config, "out")))
        changed = changes(weights.settings, self.settings())
        if other := [name for name in changed if name.startswith("data.")]:
            say(f"not the data of the run: {format_changes(changed, other)}")
        say(f"validating {weights.path}, step {weights.step}")

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand != "fit":
            super()._run_subcommand(subcommand)
            return
        with exclusive(Path(self._get(self.config, "out"))):
            super()._run_subcommand(subcommand)

    def fit(self, **kwargs: Any) -> None:
        with self.stop.installed(self.trainer):
            self.trainer.fit(**kwargs)

    def validate(self, **kwargs: Any) -> None:
        with interrupt_ends_process():
            self.trainer.validate(**kwargs, verbose=False)

    def after_fit(self) -> None:
        out = Path(self._get(self.config, "out"))
        say(f"{out / self.weights_name}.safetensors: the weights of step {self.trainer.global_step}")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "fit":
            kwargs["ckpt_path"] = self.checkpoint
        return {**kwargs, "weights_only": True}


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _loggers(out: Path, own: Any) -> list[Logger] | bool:
    """Return our loggers and those of the configuration; False, as configured, turns all off."""
    if own is False:
        return False
    csv = CSVLogger(str(out), name="logs", flush_logs_every_n_steps=20)
    board = TensorBoardLogger(str(out), name="logs", version=csv.version)
    return [csv, board, *(logger for logger in _as_list(own) if logger is not True)]


def main(network: Literal["vae", "dit"], args: Sequence[str]) -> int:
    """Run `fit` or `validate` for one network; return the exit code. Exits with 2 on bad usage."""
    silence_lightning()
    words = ["kinora", "train", network, *args, *(() if "--resume" in args else ("--resume",))]
    return run_to_exit_code(lambda: _run(network, args), shlex.join(words))


def _run(network: Literal["vae", "dit"], args: Sequence[str]) -> None:
    if network == "vae":
        from trainer.data.pixels import PixelData as Data
        from trainer.vae.module import VaeModule as Module
    else:
        from trainer.data.latents import LatentData as Data
        from trainer.dit.module import DitModule as Module
    groups = {"model": Module, "data": Data, "watch": WatchConfig, "sample": SampleConfig}
    try:
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
                "enable_progress_bar": False,
                "log_every_n_steps": 10,
                "num_sanity_val_steps": 0,
                "check_val_every_n_epoch": None,
                "val_check_interval": 250,
            },
        )
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error


def silence_lightning() -> None:
    """Hide the log lines and warnings that Lightning prints in every run."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    torch.set_float32_matmul_precision("high")
