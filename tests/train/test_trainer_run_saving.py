"""Checkpoints: at whole steps only, the newest two, damaged ones skipped, none lost when the disk is full."""

import errno
import runpy
import signal
import struct
import zipfile
from pathlib import Path

import lightning as L
import pytest
import torch

from trainer.run.saving import FileCheckpointIO, SaveSteps, checkpoint_paths, damage, newest_checkpoint
from trainer.run.stopping import NonFiniteError
from trainer.vae.module import VaeModule

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, assert_equal, TINY_VAE = RUNS["train"], RUNS["assert_equal"], RUNS["TINY_VAE"]
pytestmark = pytest.mark.filterwarnings("ignore")


class Killed(BaseException):
    """Ends a run as a kill would: nothing of it may catch this."""


@pytest.fixture
def killed_before(monkeypatch):
    """Return a function that makes a run end before a micro-batch of this process."""

    def arrange(micro_batch: int | None) -> None:
        monkeypatch.undo()
        seen, plain_step = 0, VaeModule.training_step

        def step(self, batch, number):
            nonlocal seen
            if seen == micro_batch:
                raise Killed
            seen += 1
            return plain_step(self, batch, number)

        monkeypatch.setattr(VaeModule, "training_step", step)

    return arrange


def steps_in(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def state(out: Path, step: int) -> dict:
    return torch.load(out / "checkpoints" / f"step={step}.ckpt", weights_only=True)


def test_a_run_killed_inside_accumulations_resumes_exactly(shards, tmp_path, killed_before):
    flags = ["--max_steps=6", "--trainer.accumulate_grad_batches=2", "--watch.checkpoint_every_steps=2"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("vae", "fit", whole, shards, *TINY_VAE, *flags)
    resume: list[str] = []
    for micro_batch in (5, 1, 3):  # inside steps 3, 3 and 4
        killed_before(micro_batch)
        with pytest.raises(Killed):
            train("vae", "fit", broken, shards, *TINY_VAE, *flags, *resume)
        assert steps_in(broken) == ["step=2.ckpt"]
        assert state(broken, 2)["PixelData"]["next_step"] == 2
        resume = ["--resume"]
    killed_before(None)
    train("vae", "fit", broken, shards, *TINY_VAE, *flags, *resume)
    assert_equal(state(broken, 6)["state_dict"], state(whole, 6)["state_dict"])
    assert steps_in(broken) == steps_in(whole) == ["step=4.ckpt", "step=6.ckpt"]


def test_every_run_ends_with_a_checkpoint_and_a_finished_one_goes_on(shards, tmp_path, capsys):
    flags = [*TINY_VAE, "--watch.checkpoint_every_steps=100"]
    train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=2")
    assert steps_in(tmp_path / "a") == ["step=2.ckpt"]
    for name in ("vae.safetensors", "vae.json"):
        (tmp_path / "a" / name).unlink()  # as after a kill while it exported
    assert train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=2", "--resume") == 0
    assert (tmp_path / "a" / "vae.safetensors").is_file()
    for steps in (3, 4):
        train("vae", "fit", tmp_path / "a", shards, *flags, f"--max_steps={steps}", "--resume")
    assert steps_in(tmp_path / "a") == ["step=3.ckpt", "step=4.ckpt"]
    with pytest.raises(ValueError, match="is at step 4 already; --max_steps 3 is less"):
        train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=3", "--resume")


def test_another_accumulation_makes_whole_steps(shards, tmp_path, monkeypatch):
    flags = [*TINY_VAE, "--watch.checkpoint_every_steps=3", "--data.validation_fraction=0"]
    half = ["--trainer.limit_train_batches=3", "--trainer.max_epochs=1"]
    train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=6", *half)
    seen: list[list[tuple[int, int]]] = [[]]
    plain_step, plain_optimizer_step = VaeModule.training_step, VaeModule.optimizer_step

    def training_step(self, batch, number):
        seen[-1].append((batch.step, sum(len(seeds) for seeds in batch.noise_seeds)))
        return plain_step(self, batch, number)

    def optimizer_step(self, *args, **kwargs):
        plain_optimizer_step(self, *args, **kwargs)
        seen.append([])

    monkeypatch.setattr(VaeModule, "training_step", training_step)
    monkeypatch.setattr(VaeModule, "optimizer_step", optimizer_step)
    more = ["--max_steps=6", "--resume", "--trainer.accumulate_grad_batches=2"]
    train("vae", "fit", tmp_path / "a", shards, *flags, *more)
    assert seen == [[(3, 2), (3, 2)], [(4, 2), (4, 2)], [(5, 2), (5, 2)], []]


def _middle_of_the_largest(path: Path) -> int:
    """Return a place inside the largest member of a zip file; the space between members is not checked."""
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda each: each.file_size)
    start = member.header_offset
    name, extra = struct.unpack("<HH", path.read_bytes()[start + 26 : start + 30])
    return start + 30 + name + extra + member.file_size // 2


@pytest.mark.parametrize("harm", ["cut", "empty", "one bit"])
def test_a_damaged_newest_checkpoint_is_skipped(shards, tmp_path, capsys, harm):
    flags = [*TINY_VAE, "--max_steps=4", "--watch.checkpoint_every_steps=2"]
    train("vae", "fit", tmp_path / "whole", shards, *flags)
    train("vae", "fit", tmp_path / "a", shards, *flags)
    path = tmp_path / "a" / "checkpoints" / "step=4.ckpt"
    content = bytearray(path.read_bytes())
    content[_middle_of_the_largest(path)] ^= 1
    harmed = {"cut": content[: len(content) // 2], "empty": b"", "one bit": content}[harm]
    path.write_bytes(harmed)
    capsys.readouterr()
    train("vae", "fit", tmp_path / "a", shards, *flags, "--resume")
    said = capsys.readouterr().err
    assert f"{path}: damaged checkpoint (" in said
    assert f"skipped, using {path.with_name('step=2.ckpt')}" in said
    assert damage(path) is None
    assert_equal(state(tmp_path / "a", 4)["state_dict"], state(tmp_path / "whole", 4)["state_dict"])


def test_a_folder_of_damaged_checkpoints_is_refused_and_names_each(tmp_path):
    (tmp_path / "step=2.ckpt").write_bytes(b"PK")
    (tmp_path / "step=10.ckpt").write_bytes(b"")
    (tmp_path / "step=last.ckpt").write_bytes(b"not ours")
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["step=10.ckpt", "step=2.ckpt"]
    with pytest.raises(ValueError, match=r"step=10\.ckpt: damaged.*step=2\.ckpt: damaged.*start anew"):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "none") is None


@pytest.fixture
def full_disk(monkeypatch):
    """Make writes of checkpoints fail as on a full disk, while the folder holds more than `room` of them."""

    def arrange(room: int) -> None:
        plain_save = torch.save

        def save(content, file, *args, **kwargs):
            if len(checkpoint_paths(Path(file.name).parent)) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return plain_save(content, file, *args, **kwargs)

        monkeypatch.setattr("trainer.run.saving.torch.save", save)

    return arrange


def test_a_full_disk_loses_no_checkpoint_and_stops_no_step(shards, tmp_path, capsys, full_disk):
    flags = [*TINY_VAE, "--watch.checkpoint_every_steps=1"]
    train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=2")
    full_disk(room=0)
    with pytest.raises(
        OSError, match=r"step 4 is not saved: .*No space left.*last good checkpoint is .*step=2"
    ):
        train("vae", "fit", tmp_path / "a", shards, *flags, "--max_steps=4", "--resume")
    assert "step 3 is not saved, the run goes on" in capsys.readouterr().err
    assert steps_in(tmp_path / "a") == ["step=2.ckpt"]
    assert damage(tmp_path / "a" / "checkpoints" / "step=2.ckpt") is None


def test_a_full_disk_with_room_for_one_more_gives_up_the_older(shards, tmp_path, full_disk):
    full_disk(room=1)
    flags = [*TINY_VAE, "--watch.checkpoint_every_steps=1", "--max_steps=4"]
    assert train("vae", "fit", tmp_path / "a", shards, *flags) == 0
    assert steps_in(tmp_path / "a") == ["step=3.ckpt", "step=4.ckpt"]


def test_leftovers_of_a_kill_while_saving_are_removed(shards, tmp_path):
    flags = [*TINY_VAE, "--max_steps=2", "--watch.checkpoint_every_steps=1"]
    train("vae", "fit", tmp_path / "a", shards, *flags)
    (tmp_path / "a" / "checkpoints" / ".step=2.partial").write_bytes(b"half")
    train("vae", "fit", tmp_path / "a", shards, *flags[:-2], "--max_steps=3", "--resume")
    assert steps_in(tmp_path / "a") == ["step=2.ckpt", "step=3.ckpt"]


def test_an_error_of_another_callbacks_checkpoint_is_raised(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        FileCheckpointIO().save_checkpoint({}, tmp_path / "file" / "mine.ckpt")


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Broken(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(1.0))

        def training_step(self, batch, number):
            return self.weight * batch

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=3e38)

    saver = SaveSteps(tmp_path, every_n_steps=1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", max_steps=2, callbacks=[saver], plugins=[saver.io], **quiet)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(NonFiniteError, match=r"step 1: the weights weight are not finite; there is no check"):
        trainer.fit(Broken(), torch.utils.data.DataLoader([torch.tensor(100.0)] * 2, batch_size=None))
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_folder_with_a_run_is_not_overwritten(shards, tmp_path):
    train("vae", "fit", tmp_path / "a", shards, *TINY_VAE, "--max_steps=1")
    before = (tmp_path / "a" / "vae.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds another run"):
        train("vae", "fit", tmp_path / "a", shards, *TINY_VAE, "--max_steps=1")
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        train("vae", "fit", tmp_path / "b", shards, *TINY_VAE, "--max_steps=1", "--resume")
    assert (tmp_path / "a" / "vae.safetensors").read_bytes() == before
