"""Weights on disk: what is written whole or not at all."""

import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager

import pytest
import torch

from trainer import model_files
from trainer.checkpoints import load_vae, save_model
from trainer.config import VaeConfig
from trainer.model_files import SHIPPED
from trainer.vae.model import VideoVae


@contextmanager
def largest_file(size_bytes: int) -> Generator[None]:
    """Let writes fail beyond a size, as on a disk that is full."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def tiny_vae(seed: int) -> VideoVae:
    torch.manual_seed(seed)
    return VideoVae(VaeConfig(latent_channels=2, widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1)))


def test_weights_that_cannot_be_written_leave_the_earlier_ones(tmp_path):
    digest = save_model(tmp_path, "vae", tiny_vae(0), {})
    files = sorted(path.name for path in tmp_path.iterdir())
    with largest_file(1000), pytest.raises(OSError, match="make room there and run the same command again"):
        save_model(tmp_path, "vae", tiny_vae(1), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    vae, about = load_vae(tmp_path)
    assert about["digest"] == digest
    assert torch.equal(vae.conv_in.weight, tiny_vae(0).conv_in.weight)


def test_whoever_may_read_the_folder_may_read_the_weights(tmp_path):
    save_model(tmp_path, "vae", tiny_vae(0), {})
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_weights_that_are_missing_in_the_package_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "SHIPPED_FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"vae\.json: the weights that ship with Kinora are missing"):
        load_vae(SHIPPED)
