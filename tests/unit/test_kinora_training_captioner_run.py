"""A run of the captioner's training ends and goes on as those of the other networks."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_captioner import FRAMES, TINY

from captioner.embedded import FPS
from captioner.train.config import TrainConfig
from captioner.train.module import CaptionModule
from kinora.commands.train_captioner import main
from kinora.training.caption_worlds import NUM_CELL_CLASSES, sample_examples, vocabulary_texts
from kinora.training.captioner_run import train_captioner
from trainer.run.stopping import NonFiniteError

CONFIG = TrainConfig(
    out="",
    seed=0,
    steps=6,
    batch_size=2,
    num_cell_classes=NUM_CELL_CLASSES,
    cell_loss_weights=(0.2,) * 6,
    crop_steps=2,
    vision_steps=1,
    short_steps=1,
    validate_every_n_steps=6,
    checkpoint_every_n_steps=2,
    log_every_n_steps=1,
    model=TINY,
)
TEXTS = tuple(vocabulary_texts(300))
DRAW = partial(sample_examples, 0, FPS, FRAMES)
pytestmark = pytest.mark.filterwarnings("ignore")


def train(out: Path, draw=DRAW, resume: str = "", init_from: str = "", **settings) -> bytes:
    """Train; return the exported weights."""
    config = replace(CONFIG, out=str(out), **settings)
    folder = train_captioner(config, draw, TEXTS, resume=resume, init_from=init_from)
    return (folder / "model.safetensors").read_bytes()


class Killed(BaseException):
    """Ends a run as a kill would."""


def killed_at(step: int):
    def draw(number, clips, kind):
        if number == step:
            raise Killed
        return DRAW(number, clips, kind)

    return draw


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_a_killed_run_goes_on_exactly_and_another_is_not_overwritten(tmp_path: Path, capsys) -> None:
    whole = train(tmp_path / "whole")
    assert checkpoints(tmp_path / "whole") == ["step=4.ckpt", "step=6.ckpt"]
    for step, resume in ((3, ""), (5, "newest")):
        with pytest.raises(Killed):
            train(tmp_path / "broken", killed_at(step), resume)
    path = tmp_path / "broken" / "checkpoints" / "step=4.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    assert train(tmp_path / "broken", resume="newest") == whole
    assert f"{path}: damaged checkpoint" in capsys.readouterr().err
    with pytest.raises(ValueError, match="holds another run; add --resume"):
        train(tmp_path / "broken")
    assert (tmp_path / "broken" / "export" / "model.safetensors").read_bytes() == whole


def test_a_finished_run_goes_on_or_exports_again(tmp_path: Path) -> None:
    first = train(tmp_path, steps=2)
    (tmp_path / "export" / "model.safetensors").unlink()
    assert train(tmp_path, resume="newest", steps=2) == first
    assert train(tmp_path, resume="newest", steps=3) != first
    assert checkpoints(tmp_path) == ["step=2.ckpt", "step=3.ckpt"]
    with pytest.raises(ValueError, match="is at step 3 already; --steps 2 is less"):
        train(tmp_path, resume="newest", steps=2)


def test_a_resume_uses_rates_and_refuses_another_batch(tmp_path: Path, capsys) -> None:
    train(tmp_path, steps=2)
    with pytest.raises(ValueError, match=r"batch_size: 2 -> 3, model\.text_mlp: .* -> 64"):
        train(tmp_path, resume="newest", batch_size=3, model=replace(TINY, text_mlp=64))
    train(tmp_path, resume="newest", steps=3, lr=1e-6)
    assert "from step 2 on: lr: 0.005 -> 1e-06" in capsys.readouterr().out
    state = torch.load(tmp_path / "checkpoints" / "step=3.ckpt", weights_only=True)
    assert state["lr_schedulers"][0]["base_lrs"] == pytest.approx([1e-6, 1e-6 / 3, 1e-4])


def test_a_new_run_starts_from_the_weights_of_another(tmp_path: Path, monkeypatch) -> None:
    train(tmp_path / "old", steps=2)
    stored = torch.load(tmp_path / "old" / "checkpoints" / "step=2.ckpt", weights_only=True)["state_dict"]
    seen = []
    plain_step = CaptionModule.training_step

    def step(self, batch, number):
        if not seen:
            seen.append({name: tensor.clone() for name, tensor in self.state_dict().items()})
        return plain_step(self, batch, number)

    monkeypatch.setattr(CaptionModule, "training_step", step)
    train(tmp_path / "new", init_from=str(tmp_path / "old"), steps=1, seed=5)
    assert all(torch.equal(seen[0][name], stored[name]) for name in stored)
    seen.clear()
    train(tmp_path / "newer", init_from=str(tmp_path / "old" / "export"), steps=1)
    for name in stored:
        if not name.startswith("cell_head."):
            assert torch.equal(seen[0][name], stored[name].bfloat16().float()), name
    with pytest.raises(FileNotFoundError, match="no such folder"):
        train(tmp_path / "other", init_from=str(tmp_path / "nothing"))


def test_a_loss_that_is_not_finite_ends_the_run_with_good_weights(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"step \d+: .* not finite.*the last good checkpoint is"):
        train(tmp_path, lr=1e30, clip_norm=0.0, warmup_steps=0)
    assert not (tmp_path / "export").exists()
    for path in (tmp_path / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        main(["validate", "--weights", str(tmp_path / "nothing"), "--n", "1"])
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        train(tmp_path, resume="newest")
