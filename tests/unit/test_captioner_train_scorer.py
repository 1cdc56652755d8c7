"""Training of the embedded scorer: texts, loss, and that a run ends in a folder that open_clip loads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from captioner.embedded_scorer import TILE_PX, TILES, WEIGHTS, EmbeddedScorer, mosaic
from captioner.embedding import load_embedder
from captioner.measured_scorer import MeasuredScorer
from captioner.train.config import ScorerConfig
from captioner.train.scorer import (
    CONTEXT,
    Pairs,
    build_architecture,
    build_tokenizer,
    contrastive_loss,
    encode_texts,
    train_scorer,
)
from kinora.training.caption_worlds import render_sampled
from kinora.training.scorer_worlds import measure_recall, render_pool, sample_pairs

TINY = ScorerConfig(
    out="",
    worlds=12,
    steps=4,
    batch_size=6,
    warmup_steps=1,
    save_every_n_steps=2,
    embed_width=16,
    image_width=32,
    image_depth=1,
    text_width=32,
    text_depth=1,
)
TEXTS = ("A red circle moves left.", "A blue square, still.", "Two stars; one is red.")


@pytest.fixture(scope="module")
def pool():
    return render_pool(TINY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pool) -> Path:
    config = replace(TINY, out=str(tmp_path_factory.mktemp("scorer")))
    return train_scorer(config, lambda step: sample_pairs(config, pool, step), TEXTS)


def model_and_tokenizer():
    torch.manual_seed(0)
    tokenizer = build_tokenizer(TEXTS)
    return open_clip.CLIP(**build_architecture(TINY, len(tokenizer))).eval(), tokenizer


def test_texts_end_with_the_last_token_and_unknown_words_are_one(pool) -> None:
    tokenizer = build_tokenizer(TEXTS)
    ids_SL = tokenizer(["a RED star", "a zebra"], padding=True).input_ids
    assert ids_SL[0][-1] == len(tokenizer) - 1
    assert ids_SL[1] == [ids_SL[0][0], tokenizer.unk_token_id, len(tokenizer) - 1, tokenizer.pad_token_id]
    assert len(tokenizer(["a " * 500], truncation=True, max_length=CONTEXT).input_ids[0]) == CONTEXT


def test_short_texts_are_embedded_as_open_clip_does_at_full_length() -> None:
    model, tokenizer = model_and_tokenizer()
    with torch.no_grad():
        ours_BD = encode_texts(model, tokenizer, TEXTS)
        ids_BL = tokenizer(
            list(TEXTS), padding="max_length", max_length=CONTEXT, return_tensors="pt"
        ).input_ids
        torch.testing.assert_close(ours_BD, model.encode_text(ids_BL), rtol=1e-4, atol=1e-5)


def test_pairs_with_the_same_text_are_no_negatives_of_each_other() -> None:
    model, tokenizer = model_and_tokenizer()
    pixels_BHWC = torch.randint(0, 255, (2, 128, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        same = contrastive_loss(model, tokenizer, Pairs(pixels_BHWC=pixels_BHWC, texts=[TEXTS[0]] * 2))
        two = contrastive_loss(model, tokenizer, Pairs(pixels_BHWC=pixels_BHWC, texts=TEXTS[:2]))
    assert same.item() == 0.0
    assert two.item() > 0.1


def test_pairs_are_of_all_families_and_written_anew(pool) -> None:
    first, again, other = (sample_pairs(TINY, pool, step) for step in (0, 0, 1))
    assert first.texts == again.texts
    assert torch.equal(first.pixels_BHWC, again.pixels_BHWC)
    assert set(first.texts) != set(other.texts)
    assert first.pixels_BHWC.shape == (TINY.batch_size, TILES * TILE_PX, TILES * TILE_PX, 3)


def test_the_folder_is_one_that_open_clip_loads(trained, pool) -> None:
    embedder = load_embedder(f"local-dir:{trained}")
    image_ND = embedder.embed_images(list(pool.pictures_NHWC[:2]))
    text_SD = embedder.embed_texts(TEXTS)
    assert image_ND.shape == (2, TINY.embed_width)
    np.testing.assert_allclose(np.linalg.norm(text_SD, axis=1), 1, rtol=1e-3)
    assert embedder.count_tokens(TEXTS[0]) == (7, 7)
    found = measure_recall(EmbeddedScorer(trained), groups=1)
    assert found["clips"] == 64
    assert {name for name in found if "recall" in name} == {
        "recall_at_1_dense",
        "recall_at_1_of_dense",
        "recall_at_1_short",
        "recall_at_1_of_short",
    }


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_stopped(trained, pool, tmp_path) -> None:
    config = replace(TINY, out=str(tmp_path))

    def until_the_third(step):
        if step == 3:
            raise KeyboardInterrupt
        return sample_pairs(config, pool, step)

    with pytest.raises(KeyboardInterrupt):
        train_scorer(config, until_the_third, TEXTS)
    steps: list[int] = []
    folder = train_scorer(
        config, lambda step: sample_pairs(config, pool, step), TEXTS, lambda step, _: steps.append(step)
    )
    assert steps == [2, 3]
    weights = "open_clip_model.safetensors"
    assert (folder / weights).read_bytes() == (trained / weights).read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        train_scorer(replace(config, lr=0.5), lambda step: sample_pairs(config, pool, step), TEXTS)


def test_a_mosaic_has_the_first_frame_first_and_the_last_one_last() -> None:
    frames_THWC = np.stack([np.full((90, 160, 3), value, np.uint8) for value in range(10)])
    picture_HWC = mosaic(frames_THWC)
    assert picture_HWC.shape == (128, 128, 3)
    assert [picture_HWC[y, x, 0] for y in (10, 100) for x in (10, 100)] == [0, 3, 6, 9]
    assert len(np.unique(mosaic(frames_THWC[:1]))) == 1


def test_worlds_are_compared_with_worlds_and_all_else_by_measurements(trained, pool) -> None:
    scorer, measured = EmbeddedScorer(trained), MeasuredScorer()
    times = [k / 4 for k in range(4)]
    drawn = [world for world in pool.worlds if world.family in ("shapes", "canvas", "physics")][:2]
    clips_THWC = [render_sampled(world, 4.0, 4).frames_THWC for world in drawn]
    clips_THWC.append(np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8))
    codes = [scorer.encode_clip(frames_THWC, times) for frames_THWC in clips_THWC]
    assert [code[0] for code in codes] == [1, 1, 0]
    strengths = [measured.encode_clip(frames, times).astype(np.float32) for frames in clips_THWC]
    texts = ["a red circle moves left", "a blue zebra walks over the savannah", "a red circle moves left"]
    own_S = np.array([0, 1, 2])
    found_SN = scorer.similarities(texts, codes, own_S)
    expected_SN = measured.similarities(texts, strengths, own_S)
    cosine_N = scorer.embed_texts(texts[:1])[0] @ np.stack([scorer.embed_clip(c) for c in clips_THWC]).T
    np.testing.assert_allclose(found_SN[0, :2], cosine_N[:2], rtol=1e-2, atol=1e-3)
    assert np.isnan(found_SN[0, 2])
    np.testing.assert_array_equal(found_SN[1:], expected_SN[1:])


def test_fewer_worlds_than_a_step_has_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="worlds: 5 is less than batch_size, 6"):
        replace(TINY, worlds=5)


def test_the_scorer_that_ships_finds_clips_by_their_captions() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 6e6
    found = measure_recall(EmbeddedScorer(), groups=1)
    assert min(value for name, value in found.items() if name.endswith("dense")) > 0.85
