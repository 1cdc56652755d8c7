"""Lightning callbacks: progress lines and sample videos."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, cast

import cv2
import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from trainer.checkpoints import load_vae, read_vae_config
from trainer.config import SampleConfig, WatchConfig
from trainer.sample.frames import latent_shape
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video
from trainer.text import TextEncoder
from video.encode import encode_mp4


class ProgressLines(Callback):
    """Print the step, losses and remaining time every few seconds, where there is no progress bar."""

    def __init__(
        self, every_s: float, names: Sequence[str] = ("train/loss", "val/loss", "val/psnr_db")
    ) -> None:
        self.every_s, self.names = every_s, names
        self.printed_s = self.started_s = monotonic()
        self.first_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.printed_s = self.started_s = monotonic()
        self.first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now_s, is_last = monotonic(), trainer.global_step == trainer.max_steps
        if not trainer.is_global_zero or not (is_last or now_s - self.printed_s >= self.every_s):
            return
        self.printed_s = now_s
        steps_per_s = (trainer.global_step - self.first_step) / (now_s - self.started_s)
        left_s = (trainer.max_steps - trainer.global_step) / max(steps_per_s, 1e-9)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        losses = [f"{n} {metrics[n]:.4f}" for n in self.names if n in metrics]
        print(
            f"step {trainer.global_step}/{trainer.max_steps}  {'  '.join(losses)}  "
            f"{steps_per_s:.2f} steps/s  {left_s:.0f} s left",
            flush=True,
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero and not trainer.training:
            metrics = trainer.callback_metrics.items()
            print(wrap(f"{n} {float(v):.4f}" for n, v in metrics if n.startswith("val")), flush=True)


def wrap(parts: Iterable[str], width: int = 80) -> str:
    """Join parts with two spaces, on lines of at most `width` characters."""
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}  {part}" if lines[-1] else part
        if lines[-1] and len(joined) > width:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


class SampleVideos(Callback):
    """Sample the same prompts with every validation: `samples/step-000500/00.mp4` and a contact sheet."""

    def __init__(self, watch: WatchConfig, sample: SampleConfig) -> None:
        self.watch, self.sample = watch, sample

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Raise ValueError for a size that cannot be sampled."""
        module = cast(Any, pl_module)
        try:
            latent_shape(read_vae_config(module.vae), module.model.config.patch, *self.watch.sample_size)
        except ValueError as error:
            raise ValueError(f"watch.sample_size={list(self.watch.sample_size)}: {error}") from error

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        model = self._model(pl_module, trainer)
        num_frames, height, width = self.watch.sample_size
        conditions = [
            text_to_video(model, prompt, num_frames=num_frames, height=height, width=width, seed=seed)
            for seed, prompt in enumerate(self.watch.prompts)
        ]
        videos_BTHWC = np.stack(generate(model, conditions, self.sample))
        folder = Path(trainer.default_root_dir) / "samples" / f"step-{trainer.global_step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, frames_THWC in enumerate(videos_BTHWC):
            encode_mp4(frames_THWC, model.fps, folder / f"{number:02d}.mp4")
        cv2.imwrite(str(folder / "sheet.png"), cv2.cvtColor(contact_sheet(videos_BTHWC), cv2.COLOR_RGB2BGR))

    def _model(self, module: Any, trainer: Any) -> TextToVideo:
        """Return the EMA weights with the VAE and text encoder that `kinora generate` loads."""
        return TextToVideo(
            dit=module.ema,
            vae=load_vae(module.vae)[0].to(module.device),
            text=TextEncoder.load(
                module.text_encoder, trainer.datamodule.encoded.origin.text, device=str(module.device)
            ),
            flow=module.flow,
            fps=trainer.datamodule.index.fps,
            buckets=(),
        )


def contact_sheet(videos_BTHWC: np.ndarray, columns: int = 6) -> np.ndarray:
    """Return image_HWC with a row of evenly spaced frames for each video."""
    times = np.linspace(0, videos_BTHWC.shape[1] - 1, min(columns, videos_BTHWC.shape[1])).round().astype(int)
    rows = [np.concatenate(list(frames_THWC[times]), axis=1) for frames_THWC in videos_BTHWC]
    return np.concatenate(rows, axis=0)
