"""Load a trained model: the transformer with its VAE and text encoder."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch

from manifests.buckets import parse_bucket
from manifests.renamed_fields import rename_keys
from trainer.checkpoints import load_dit, load_vae
from trainer.config import FlowConfig
from trainer.dit.model import Dit
from trainer.model_files import SHIPPED, SHIPPED_FOLDER, folder_of, latents_digest
from trainer.precision import Dtype, best_device, checked_device
from trainer.sample.frames import latent_shape
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae


class Movable(Protocol):
    """A network that can be moved to a device."""

    def to(self, device: torch.device, /) -> Self: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TextToVideo:
    """A trained transformer with its VAE and text encoder."""

    dit: Dit
    vae: VideoVae
    text: TextEncoder
    flow: FlowConfig
    fps: float
    """Frame rate that the model was trained at."""
    buckets: tuple[str, ...]
    """Shapes (frames x height x width) of the training clips."""
    name: str = ""
    """Folder that it was loaded from."""
    digest: str = ""
    """Digest of the transformer's weights."""
    vae_digest: str = ""
    """Digest of the compression network's weights."""
    dtype: Dtype = "auto"
    """Numbers that the networks compute in."""
    vocabulary: frozenset[str] = frozenset()
    """Words of the training captions; empty where they were not recorded."""
    offload_from: torch.device | None = None
    """Device that each network is on only while it is used, and in main memory otherwise; None leaves them
    where they are."""

    @property
    def device(self) -> torch.device:
        """Device that the networks compute on."""
        return self.offload_from or next(self.dit.parameters()).device

    @contextmanager
    def on_device(self, network: Movable) -> Generator[None]:
        """Hold one of the networks on the device while it is used."""
        if self.offload_from is None:
            yield
            return
        network.to(self.offload_from)
        try:
            yield
        finally:
            network.to(torch.device("cpu"))

    @property
    def window(self) -> int | None:
        """Latent frames of the longest training clip; None where the buckets are not known."""
        lengths = [parse_bucket(name).num_frames for name in self.buckets]
        return self.vae.latent_shape(max(lengths), 0, 0)[1] if lengths else None

    def latent_shape(
        self, num_frames: int, height: int, width: int, *, loop: bool = False
    ) -> tuple[int, int, int, int]:
        """Return (C, T, H, W) of a video's latents. Raises ValueError with the nearest shape that works."""
        return latent_shape(self.vae.config, self.dit.config.patch, num_frames, height, width, loop=loop)


def load_model(
    folder: Path | str,
    device: torch.device | str | None = None,
    dtype: Dtype = "auto",
    *,
    offload: bool = False,
) -> TextToVideo:
    """Load a folder of `kinora train dit`, or the weights in the package, which are called `shipped`.

    Args:
        offload: hold each network on the device only while it is used.

    Raises FileNotFoundError or ValueError, with the remedy.
    """
    device = best_device() if device is None else checked_device(device)
    home = torch.device("cpu") if offload else device
    dit, about = load_dit(folder)
    vae, vae_about = load_vae(folder)
    if latents_digest(vae_about) != about["vae_digest"]:
        raise ValueError(
            f"{folder}: vae.safetensors is not the one that the model was trained with; copy the right one"
        )
    text = TextEncoder.load(about["text_encoder"], about["text_digest"], device=str(home))
    return TextToVideo(
        dit=dit.to(home),
        vae=vae.to(home),
        text=text,
        flow=FlowConfig(**rename_keys(FlowConfig, about["flow"])),
        fps=float(about["fps"]),
        buckets=tuple(about["buckets"]),
        name=SHIPPED if folder_of(folder) == SHIPPED_FOLDER else str(folder),
        digest=about["digest"],
        vae_digest=vae_about["digest"],
        dtype=dtype,
        vocabulary=frozenset(about.get("vocabulary", ())),
        offload_from=device if offload else None,
    )
