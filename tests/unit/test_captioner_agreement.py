"""Whether captions are on their clips: agreement, separation, and the swaps that they catch."""

from pathlib import Path

import numpy as np
import pytest
import worlds_dataset as made
from embedding_models import open_clip_folder, transformers_folder

from captioner.agreement import agreement, seen_share
from captioner.measured_scorer import MeasuredScorer
from captioner.separation import GROUP, MIN_CAPTIONS, Separation, separation
from video.frames import read_clip

COUNT = 72


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    scorer = MeasuredScorer()
    decoded = [read_clip(made.encoded(index)) for index in range(COUNT)]
    return [scorer.encode_clip(frames_THWC, [*map(float, times_T)]) for frames_THWC, times_T in decoded]


def judge(texts: list[str], clips: list[np.ndarray]) -> Separation:
    sources = [str(index // made.PER_SOURCE) for index in range(len(clips))]
    found = agreement(MeasuredScorer(), texts, clips, sources)
    columns = (found.own_N, found.next_N, found.previous_N, found.shuffled_N)
    return separation(*columns, min_agreement=0.6)


def dense() -> list[str]:
    return made.dense_captions(made.sample_worlds(COUNT))


def test_right_captions_pass(clips):
    found = judge(dense(), clips)
    assert found.problems == ()
    assert found.agreement is not None
    assert found.agreement > 0.8
    assert found.shuffled == pytest.approx(0.5, abs=0.06)


def test_captions_swapped_in_pairs_fail(clips):
    found = judge(made.swapped_in_pairs(dense()), clips)
    assert any("little better than other clips" in problem for problem in found.problems)


def test_captions_off_by_one_fail_and_say_so(clips):
    found = judge(made.off_by_one(dense()), clips)
    assert found.shifted == 1
    assert any("clip after theirs" in problem for problem in found.problems)
    back = [*dense()[-1:], *dense()[:-1]]
    assert judge(back, clips).shifted == -1


def test_a_swap_within_one_batch_alone_fails_and_names_it(clips):
    found = judge(made.swapped_in_batch(dense(), first=24, size=GROUP), clips)
    assert found.problems
    assert "in a batch" in found.problems[0]
    assert found.agreement is not None
    assert found.agreement > 0.7
    (group,) = found.groups
    assert group[0] <= 24 + GROUP // 2 <= group[1]


def test_few_captions_decide_nothing(clips):
    few = MIN_CAPTIONS - 1
    found = judge(made.swapped_in_pairs(dense())[: few - 1], clips[: few - 1])
    assert not found.is_judged
    assert found.problems == ()


def test_every_sentence_of_a_dense_caption_counts(clips):
    texts = dense()
    sources = [str(index) for index in range(COUNT)]
    whole = agreement(MeasuredScorer(), texts, clips, sources).own_N
    wrong = [f"{text} {other}" for text, other in zip(texts, made.off_by_one(texts), strict=True)]
    mixed = agreement(MeasuredScorer(), wrong, clips, sources).own_N
    assert np.nanmean(mixed) < np.nanmean(whole) - 0.1


def test_texts_that_name_nothing_measurable_have_no_agreement(clips):
    found = agreement(MeasuredScorer(), ["Hello there.", "", dense()[2]], clips[:3], ["a", "b", "c"])
    assert np.isnan(found.own_N).tolist() == [True, True, False]
    nothing = separation(*[found.own_N[:2]] * 4, min_agreement=0.6)
    assert nothing.captions == 0
    assert nothing.problems == ()


def test_captions_that_say_the_same_of_all_clips_are_not_judged(clips):
    sources = [str(index // made.PER_SOURCE) for index in range(COUNT)]
    found = agreement(MeasuredScorer(), ["A dark clip. The camera is still."] * COUNT, clips, sources)
    assert np.isnan(found.own_N).all()


def test_of_one_source_only_a_shift_is_a_problem(clips):
    texts = made.off_by_one(dense())
    found = agreement(MeasuredScorer(), texts, clips, ["only"] * COUNT)
    columns = (found.own_N, found.next_N, found.previous_N, found.shuffled_N)
    result = separation(*columns, min_agreement=0.6, one_source=True)
    assert len(result.problems) == 1
    assert "clip after theirs" in result.problems[0]


def test_clips_of_one_source_are_compared_with_each_other(clips):
    found = agreement(MeasuredScorer(), dense()[:20], clips[:20], ["only"] * 20)
    assert np.nanmean(found.own_N) > 0.75


def test_clip_models_say_how_they_want_their_pixels(tmp_path: Path):
    from captioner.clip_scorer import ClipScorer

    with pytest.raises(ValueError, match="name local-dir:FOLDER"):
        ClipScorer("ViT-B-32")
    with pytest.raises(ValueError, match=r"no open_clip_config\.json"):
        ClipScorer(f"local-dir:{tmp_path}")
    with pytest.raises(ValueError, match="has no text tower"):
        ClipScorer(transformers_folder(tmp_path / "dinov2", "dinov2"))


def test_a_model_compares_texts_with_the_frame_that_they_fit_best(tmp_path: Path):
    from captioner.clip_scorer import ClipScorer

    scorer = ClipScorer(open_clip_folder(tmp_path / "m"))
    clips_THWC = np.random.default_rng(0).integers(0, 255, (2, 6, 48, 64, 3), np.uint8)
    encoded = [scorer.encode_clip(clip, [0.0] * 6) for clip in clips_THWC]
    found_SN = scorer.similarities(["a red car", "a blue car"], encoded, np.arange(2))
    text_SD = scorer._embedder.embed_texts(["a red car", "a blue car"])
    assert found_SN[1, 0] == pytest.approx(max(encoded[0] @ text_SD[1]), abs=1e-6)
    assert found_SN.shape == (2, 2)


def test_a_scorer_that_knows_little_raises_no_alarm():
    rng = np.random.default_rng(0)
    for _ in range(40):
        own = np.clip(rng.normal(0.7, 0.2, 2000), 0, 1)
        chance = np.clip(rng.normal(0.5, 0.25, 2000), 0, 1)
        assert separation(own, own - 0.1, own - 0.1, chance, min_agreement=0.55).problems == ()


def test_how_much_of_a_caption_a_model_sees_is_counted_by_sentences(tmp_path: Path):
    from captioner.clip_scorer import ClipScorer

    scorer = ClipScorer(open_clip_folder(tmp_path / "m"))
    assert seen_share(scorer, "A red car. A blue car.") == 1
    long = " ".join(["car"] * 99)
    assert seen_share(scorer, f"A red car. {long}.") == pytest.approx((6 + 77) / (6 + 102))
    assert seen_share(scorer, "") is None
    assert seen_share(MeasuredScorer(), f"A red car. {long}.") == 1
