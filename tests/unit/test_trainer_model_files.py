"""The weights in the package: whole, small, of one kind, and they do what a prompt says."""

from pathlib import Path

import trainer
from manifests.digest import digest_file
from trainer.config import SampleConfig
from trainer.model_files import DIT, SHIPPED, SHIPPED_FOLDER, VAE, folder_of, latents_digest, read_about
from trainer.sample.model import load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video
from worlds import families
from worlds.shapes.family import sample_world

MB = 1e6


def test_the_shipped_weights_are_whole_and_small():
    files = {path.name for path in SHIPPED_FOLDER.iterdir()}
    networks = {f"{name}.{suffix}" for name in (VAE, DIT) for suffix in ("safetensors", "json")}
    assert files == {"README.md", "training.csv", *networks}
    for name in (VAE, DIT):
        assert read_about(SHIPPED, name)["digest"] == digest_file(SHIPPED_FOLDER / f"{name}.safetensors")
    assert read_about(SHIPPED, DIT)["vae_digest"] == latents_digest(read_about(SHIPPED, VAE))
    assert sum((SHIPPED_FOLDER / f"{name}.safetensors").stat().st_size for name in (VAE, DIT)) < 20 * MB
    assert folder_of(SHIPPED) == Path(trainer.__file__).with_name("weights")


def test_the_shipped_weights_show_the_colors_that_a_prompt_names():
    model = load_model(SHIPPED, device="cpu")
    assert model.name == SHIPPED
    size = {"width": 64, "height": 64, "fps": 8.0, "num_frames": 9}
    worlds = [sample_world(seed, num_things=1, **size) for seed in range(8)]
    conditions = [
        text_to_video(model, families.short_caption(world, 0), num_frames=9, height=64, width=64, seed=number)
        for number, world in enumerate(worlds)
    ]
    videos = generate(model, conditions, SampleConfig(steps=12))
    verdicts = [families.judge(video, 8.0, world) for video, world in zip(videos, worlds, strict=True)]
    for name in ("background", "color"):
        assert sum(verdict[name] for verdict in verdicts) >= 7
