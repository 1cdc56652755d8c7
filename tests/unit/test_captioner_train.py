"""Training of the embedded captioner: what a step is made of, and that a run ends in a model that loads."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from tiny_captioner import FRAMES, TINY

from captioner.captions import caption_clips
from captioner.embedded import FPS, WEIGHTS, load_embedded
from captioner.prompts import load_prompt
from captioner.train.build import END, build_model, build_processor, build_tokenizer, init_patch_embed
from captioner.train.config import ModelConfig, TrainConfig
from captioner.train.data import IGNORED, Batches, Example, collate, kind_at, question, to_patches
from captioner.train.fit import RunParts, export, fit, load_weights
from captioner.train.module import CaptionModule, lr_scale
from captioner.train.optimizer import role
from kinora.commands.train_captioner import build_parser
from kinora.training.caption_cells import (
    COLOR,
    GROUND,
    HAPPENING,
    HAPPENINGS,
    KIND,
    MOTION,
    NUM_CELL_CLASSES,
    THING_KINDS,
    THING_MOTIONS,
    Seen,
    classify_cells,
    describe,
    labelled_frame,
)
from kinora.training.caption_score import ScoreConfig, held_out_clip, score_captioner
from kinora.training.caption_worlds import (
    CROP_PX,
    render_sampled,
    sample_clip,
    sample_examples,
    vocabulary_texts,
)
from kinora.training.caption_worlds import WEIGHTS as FAMILY_WEIGHTS
from manifests.renamed_flags import rename_args
from trainer.optim import ConfiguredLR, MuonWithAdamW
from worlds import families
from worlds.palette import BACKGROUNDS, COLORS
from worlds.shapes.family import sample_world

CONFIG = TrainConfig(
    out="",
    seed=0,
    steps=6,
    batch_size=4,
    num_cell_classes=NUM_CELL_CLASSES,
    cell_loss_weights=(0.2,) * 6,
    crop_steps=2,
    vision_steps=1,
    short_steps=1,
    validate_every_n_steps=6,
    checkpoint_every_n_steps=4,
    log_every_n_steps=1,
    model=TINY,
)
OPTIMIZER = MuonWithAdamW, ConfiguredLR
CONFIGS = Path(__file__).parents[2] / "captioner" / "train" / "configs"
DRAW = partial(sample_examples, 0, FPS, FRAMES)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(vocabulary_texts(300))


def test_the_tokenizer_reads_back_what_it_writes(tokenizer) -> None:
    for text in vocabulary_texts(50):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_batch_is_what_the_processor_alone_would_make(tokenizer) -> None:
    processor = build_processor(tokenizer, TINY)
    examples = DRAW(3, 3, "dense")
    batch = collate(processor, examples, to_patches(processor, examples))
    texts = [question(processor, e.prompt) + e.target + END for e in examples]
    videos = [torch.from_numpy(e.frames_THWC).permute(0, 3, 1, 2) for e in examples]
    for name, tensor in processor(text=texts, videos=videos, padding=True, return_tensors="pt").items():
        assert torch.equal(tensor, batch[name].to(tensor.dtype)), name
    learned = batch["labels"][0][batch["labels"][0] != IGNORED]
    assert tokenizer.decode(learned) == examples[0].target + END


def test_the_fast_tower_gives_what_the_standard_one_gives(tokenizer) -> None:
    torch.manual_seed(0)
    model = build_model(tokenizer, TINY)
    batch = batch_of(tokenizer, DRAW(0, 3, "short"))
    batch.pop("cell_classes_NA")
    with torch.no_grad():
        standard = model(**batch).loss
        fast = CaptionModule(model, CONFIG, *OPTIMIZER).model(**batch).loss
    assert fast.item() == pytest.approx(standard.item(), rel=128 * torch.finfo(torch.float32).eps)


def batch_of(tokenizer, examples):
    processor = build_processor(tokenizer, TINY)
    return collate(processor, examples, to_patches(processor, examples))


def test_cells_name_the_thing_that_is_there() -> None:
    world = sample_world(5, width=80, height=80, fps=8.0, num_frames=4, num_things=1)
    thing = world.things[0]
    labels_HW = labelled_frame(world, render_sampled(world, FPS, FRAMES))
    classes_RSA = classify_cells(labels_HW, *describe(world), 40, 40)
    column, row = (int(v * 40) for v in thing.start)
    cell_A = classes_RSA[row, column]
    assert classes_RSA[..., GROUND].max() == list(BACKGROUNDS).index(world.background)
    assert list(COLORS)[cell_A[COLOR] - 1] == thing.color
    assert THING_KINDS[cell_A[KIND]] == thing.shape
    assert THING_MOTIONS[cell_A[MOTION]] == thing.direction
    assert {HAPPENINGS[happening] for happening in np.unique(classes_RSA[..., HAPPENING])} == {"1 shapes"}
    assert np.array_equal(classes_RSA[..., COLOR] > 0, labels_HW.reshape(40, 2, 40, 2).any(axis=(1, 3)))
    half = classify_cells(labels_HW[:, :40], *describe(world), 40, 20)
    assert np.array_equal(half, classes_RSA[:, :20])


@pytest.mark.parametrize("family", families.FAMILIES)
def test_cells_of_every_family_name_what_its_captions_name(family: str) -> None:
    rng = Random(family)
    for _ in range(12):
        world = sample_clip(rng, family, width=96, height=96, horizon_s=3.75)
        assert world is not None
        labels_HW = labelled_frame(world, render_sampled(world, FPS, 16))
        seen, happening = describe(world)
        classes_RSA = classify_cells(labels_HW, seen, happening, 12, 12)
        colors = {list(COLORS)[index - 1] for index in np.unique(classes_RSA[..., COLOR]) if index}
        named = {claim for claim in families.claims(world) if claim.attribute == "color"}
        assert colors == {claim.value for claim in named} & {*COLORS}
        grounds = {list(BACKGROUNDS)[index] for index in np.unique(classes_RSA[..., GROUND]) if index >= 0}
        assert grounds <= {claim.value for claim in named} & {*BACKGROUNDS}
        kinds = {THING_KINDS[index].split()[-1] for index in np.unique(classes_RSA[..., KIND]) if index >= 0}
        things = {
            claim.value for claim in families.claims(world) if claim.attribute in ("shape", "kind", "form")
        }
        assert things <= kinds


def test_a_small_thing_is_seen_before_the_wall_around_it_and_a_corner_of_a_thing_is_not() -> None:
    labels_HW = np.ones((20, 40), np.uint8)
    labels_HW[8:12, 8:12] = 2  # a key in the left cell, within the wall
    labels_HW[:, 22:] = 0
    seen = {0: Seen(ground="navy"), 1: Seen(kind="grid wall"), 2: Seen("red", "grid key", "pick up")}
    left_A, right_A = classify_cells(labels_HW, seen, "fetch", 1, 2)[0]
    assert THING_KINDS[left_A[KIND]] == "grid key"
    assert THING_MOTIONS[left_A[MOTION]] == "pick up"
    assert (left_A[GROUND], right_A[KIND], right_A[COLOR]) == (IGNORED, IGNORED, 0)
    assert list(BACKGROUNDS)[right_A[GROUND]] == "navy"


@pytest.mark.parametrize("family", families.FAMILIES)
def test_training_sees_no_held_out_combination_and_all_that_it_states(family: str) -> None:
    rng = Random(family)
    for _ in range(30):
        world = sample_clip(rng, family, width=80, height=80, horizon_s=3.75, unseen=False)
        assert world is not None
        assert not families.is_held_out(world)
        assert not families.unobservable(world, 0, min(world.num_frames, int(3.75 * world.fps) + 1))
    unseen = sample_clip(rng, family, width=80, height=80, unseen=True)
    assert unseen is not None
    assert families.is_held_out(unseen)


def test_training_draws_every_family() -> None:
    openings = {example.target for step in range(7) for example in DRAW(step, 16, "short")}
    told = {
        name: sum(bool(families.parse_claims(name, text)) for text in openings) for name in FAMILY_WEIGHTS
    }
    assert set(FAMILY_WEIGHTS) == set(families.FAMILIES)
    assert all(told.values())


def test_crops_are_seen_at_their_own_size(tokenizer) -> None:
    processor = build_processor(tokenizer, TINY)
    kinds = {0: "crop", 1: "short"}
    crops, whole = Batches(processor, DRAW, 2, first=lambda: 0, last=2, kind=kinds.__getitem__)
    side = CROP_PX // TINY.patch_size
    assert crops["video_grid_thw"].tolist() == [[1, side, side]] * 2
    _, rows, columns = whole["video_grid_thw"][0].tolist()
    low, high = TINY.pixels
    assert low <= rows * columns * TINY.patch_size**2 <= high


def test_crops_show_things_of_every_family_and_do_not_ask_what_happens() -> None:
    crops = [example for step in range(6) for example in DRAW(step, 16, "crop")]
    classes_NRSA = np.stack([example.cell_classes(3, 3) for example in crops])
    assert {example.frames_THWC.shape for example in crops} == {(FRAMES, CROP_PX, CROP_PX, 3)}
    assert (classes_NRSA[..., HAPPENING] == IGNORED).all()
    kinds_NC = classes_NRSA[..., KIND].reshape(len(crops), -1)
    assert (kinds_NC != IGNORED).any(axis=1).mean() > 0.95
    shown = {THING_KINDS[kind] for kind in kinds_NC[kinds_NC != IGNORED]}
    for part in ("star", "rooms", "canvas", "grid", "arrow"):
        assert any(kind.startswith(part) for kind in shown), part


def test_steps_go_from_pieces_to_short_to_dense_and_the_rate_falls() -> None:
    kinds = [kind_at(step, replace(CONFIG, steps=16, dense_fraction=0.5)) for step in range(12)]
    assert kinds[:4] == ["crop", "crop", "short", "short"]
    assert kinds[4:].count("dense") == 4
    rates = [lr_scale(step, replace(CONFIG, steps=100, warmup_steps=10)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates[10:])
    assert rates[100] == 0.0
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_each_parameter_has_its_optimizer(tokenizer) -> None:
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    roles = {name: role(name, p) for name, p in module.named_parameters()}
    assert roles["model.model.visual.patch_embed.proj.weight"] == "patch_embed"
    assert roles["model.model.visual.blocks.0.mlp.fc1.weight"] == "hidden"
    assert roles["model.model.language_model.embed_tokens.weight"] == roles["cell_head.weight"] == "rest"
    filters_DK = init_patch_embed(ModelConfig())
    assert filters_DK.shape == (192, 3 * 8 * 10 * 10)
    assert np.linalg.matrix_rank(filters_DK) == 192


def test_draws_are_named_by_step_alone() -> None:
    assert [e.target for e in DRAW(-1, 3, "short")] != [e.target for e in DRAW(0, 3, "short")]
    first, again, other = DRAW(2, 3, "short"), DRAW(2, 3, "short"), DRAW(4, 3, "short")
    assert [e.target for e in first] == [e.target for e in again] != [e.target for e in other]
    assert all(np.array_equal(a.frames_THWC, b.frames_THWC) for a, b in zip(first, again, strict=True))


def test_a_run_exports_a_model_folder(tmp_path: Path) -> None:
    parts = RunParts(join_optimizers=MuonWithAdamW, make_schedule=ConfiguredLR)
    folder = fit(replace(CONFIG, out=str(tmp_path)), DRAW, vocabulary_texts(300), parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "log"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 12e6
    captioner = load_embedded(weights=str(folder))
    world = sample_world(1, width=64, height=64, fps=8.0, num_frames=8)
    [row] = caption_clips(
        captioner,
        [held_out_clip(world, "a", 23)],
        dense=load_prompt("worlds_dense"),
        short=load_prompt("worlds_short"),
    )
    assert row.captioner == "embedded"
    assert len(row.frames_shown) == FRAMES


def test_an_export_replaces_the_former_one_whole(tokenizer, tmp_path: Path) -> None:
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    folder = tmp_path / "export"
    (tmp_path / ".export.partial").mkdir()
    folder.mkdir()
    (folder / "stale").write_text("")
    export(module, build_processor(tokenizer, TINY), {"seconds": 1}, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert {"model.safetensors", "training.json"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "stale").exists()


def test_weights_of_another_shape_are_refused_by_name(tokenizer) -> None:
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    state = module.state_dict()
    load_weights(module, {name: tensor for name, tensor in state.items() if "cell_head" not in name})
    name = "model.model.visual.patch_embed.proj.weight"
    with pytest.raises(ValueError, match=rf"{name} \(3,\), but this configuration has \(48, "):
        load_weights(module, {**state, name: torch.zeros(3)})
    del state[name]
    with pytest.raises(ValueError, match=f"{name} missing"):
        load_weights(module, state)


def test_values_that_are_not_numbers_are_not_hidden(tokenizer) -> None:
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    module.log_dict = lambda *args, **kwargs: None
    batch = batch_of(tokenizer, DRAW(0, 2, "crop"))
    module.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
    assert module.cell_loss(batch["cell_classes_NA"]).isfinite()
    torch.nn.init.constant_(module.cell_head.bias, float("nan"))
    assert module.cell_loss(batch["cell_classes_NA"]).isnan()


def test_a_checkpoint_with_the_old_name_of_the_head_loads(tokenizer) -> None:
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    state = module.state_dict()
    old = {name.replace("cell_head.", "looks."): tensor for name, tensor in state.items()}
    checkpoint = {"state_dict": old}
    module.on_load_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == state.keys()


def test_an_example_without_cells_to_ask_about_costs_nothing(tokenizer) -> None:
    nothing = Example(
        frames_THWC=np.zeros((FRAMES, 40, 40, 3), np.uint8),
        prompt="",
        target="",
        cell_classes=lambda rows, columns: np.full((rows, columns, 6), IGNORED),
    )
    module = CaptionModule(build_model(tokenizer, TINY), CONFIG, *OPTIMIZER)
    module.log_dict = lambda *args, **kwargs: None
    batch = batch_of(tokenizer, [nothing])
    module.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
    assert module.cell_loss(batch["cell_classes_NA"]).item() == 0.0


def test_every_shipped_configuration_parses() -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    assert files
    for file in files:
        parser = build_parser()
        config = parser.instantiate(parser.parse_args(["fit", "--config", str(file)])).fit
        assert tuple(config.num_cell_classes) == NUM_CELL_CLASSES


def test_old_names_of_training_options_are_translated(tmp_path: Path, capsys) -> None:
    text = (CONFIGS / "embedded.yaml").read_text().replace("patch_embed_lr:", "sight_rate:")
    (tmp_path / "old.yaml").write_text(text.replace("  patch_size:", "  patch:"))
    [_, _, renamed] = rename_args(["fit", "--config", str(tmp_path / "old.yaml")], TrainConfig)
    assert renamed == (CONFIGS / "embedded.yaml").read_text()
    assert "`sight_rate`" in capsys.readouterr().err


def test_the_shipped_weights_describe_worlds_of_all_families_truly() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 12e6
    found = score_captioner(load_embedded(), ScoreConfig(n=48))
    assert found["outcomes"] == {"ok": 48}
    assert found["dense_claim_f1"] > 0.93
    assert found["unsupported_rate"] < 0.07
    assert all(family["dense_claim_f1"] > 0.85 for family in found["families"].values())
    assert 60 <= found["words"]["fewest"] <= found["words"]["most"] <= 150
