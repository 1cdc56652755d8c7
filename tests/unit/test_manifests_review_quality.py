"""Figures of made sets of reviews: coverage, the share of wrong captions, agreement and votes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reviewed_dataset import commit, make, media_id

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Choice, Review, Verdict, caption_digest
from manifests.review.cells import divide
from manifests.review.facts import dataset_figures
from manifests.review.quality import KINDS, Coverage, ReviewFigures, review_figures
from manifests.review.ranks import agreement_step, agreement_steps
from manifests.schemas import to_table

COUNT = 20_000
DIGEST = caption_digest("short", None, "dense")


def review(number: int, name: str, verdict: Verdict | str, reviewer: str = "ada", **fields: Any) -> Review:
    values: dict[str, Any] = {
        "review_id": f"{number:08x}",
        "clip_id": name,
        "media_id": name,
        "reviewer": reviewer,
        "at": f"2026-11-{1 + number % 3:02d}T10:00:00+00:00",
        "verdict": Verdict(verdict),
        "caption_digest": DIGEST,
    }
    if verdict == Verdict.EDIT:
        values |= {"length": "dense", "new_text": "better"}
    return Review(**(values | fields))


def made_set(seed: int) -> tuple[pa.Table, np.ndarray]:
    """Return the kinds of captions, and which are wrong: of those in a band far more than of the others."""
    rng = np.random.default_rng([seed, 1])
    is_band_N, is_changed_N = rng.random(COUNT) < 0.05, rng.random(COUNT) < 0.3
    share_N = 0.04 + 0.5 * is_band_N + 0.2 * is_changed_N
    columns: dict[str, Any] = {
        "bucket": pa.array([f"17x{48 + 16 * kind}x80" for kind in rng.integers(3, size=COUNT)]),
        "outcome": pa.repeat("ok", COUNT),
        "near": np.zeros(COUNT, bool),
        "band": is_band_N,
        "changed": is_changed_N,
        "failed": np.zeros(COUNT, bool),
        "agreement": pa.nulls(COUNT, pa.int64()),
        "unsupported": pa.nulls(COUNT, pa.int64()),
        "short": np.ones(COUNT, bool),
        "medium": np.zeros(COUNT, bool),
        "dense": np.ones(COUNT, bool),
    }
    return pa.table({name: columns[name] for name in KINDS}), rng.random(COUNT) < share_N


def figures(kinds: pa.Table, reviews: list[Review], **drops: int) -> ReviewFigures:
    groups = kinds.append_column("media", pa.array(np.ones(len(kinds), np.int64)))
    groups = groups.group_by([*KINDS]).aggregate([("media", "sum")]).rename_columns([*KINDS, "media"])
    known = kinds.append_column("media_id", pa.array([f"m{number}" for number in range(len(kinds))]))
    known = known.append_column("caption_digest", pa.repeat(DIGEST, len(kinds)))
    return review_figures(groups, known, to_table(Review, reviews), drops)


def reviewed_by_strata(kinds: pa.Table, is_wrong_N: np.ndarray, seed: int) -> list[Review]:
    """Review 80 captions of all and of two strata, in the same random order, as the queues do."""
    order_N = np.random.default_rng([seed, 2]).permutation(COUNT)
    band_N, changed_N = (
        np.asarray(kinds[name].to_numpy(zero_copy_only=False)) for name in ("band", "changed")
    )
    picked = [
        *order_N[:80],
        *order_N[band_N[order_N]][:80],
        *order_N[changed_N[order_N]][:80],
    ]
    return [
        review(number, f"m{row}", Verdict.EDIT if is_wrong_N[row] else Verdict.APPROVE)
        for number, row in enumerate(dict.fromkeys(int(row) for row in picked))
    ]


def test_the_share_of_wrong_captions_is_found_whichever_strata_were_reviewed():
    covered, seeds = 0, range(8)
    for seed in seeds:
        kinds, is_wrong_N = made_set(seed)
        reviews = reviewed_by_strata(kinds, is_wrong_N, seed)
        found = figures(kinds, reviews).wrong_captions
        share = is_wrong_N.mean()
        covered += found.wrong.whole.low <= share <= found.wrong.whole.high
        naive = np.mean([each.verdict is Verdict.EDIT for each in reviews])
        assert naive > share + 0.08, "the reviewed captions are no fair sample"
        assert {"to be checked", "new caption differs"} <= {each.name for each in found.strata}
        assert sum(each.size for each in found.strata) == COUNT
        assert found.rejected.share == 0.0
        assert found.edited == found.wrong
    assert covered >= len(seeds) - 1


@pytest.mark.parametrize("column", ["agreement", "unsupported"])
def test_a_queue_in_the_order_of_a_value_does_not_bias_the_share(column):
    """Reviewers begin with the worst captions: 150 of the queue, and 100 of all."""
    covered, seeds = 0, range(8)
    for seed in seeds:
        kinds, _ = made_set(seed)
        rng = np.random.default_rng([seed, 3])
        if column == "agreement":
            value_N = 0.4 + 0.6 * rng.random(COUNT) ** 0.2  # few captions have a low one
            step_N = np.array([agreement_step(value) for value in value_N.tolist()])
            assert agreement_steps(pa.array(value_N)).to_pylist() == step_N.tolist()
            is_wrong_N, rank_N = rng.random(COUNT) < 1 - value_N, step_N
        else:
            step_N = rng.choice(4, size=COUNT, p=[0.95, 0.04, 0.007, 0.003])
            is_wrong_N, rank_N = rng.random(COUNT) < 0.02 + 0.3 * step_N, -step_N
        kinds = kinds.set_column(kinds.column_names.index(column), column, pa.array(step_N))
        order_N = rng.permutation(COUNT)
        queue_N = order_N[np.argsort(rank_N[order_N], kind="stable")]
        rows = dict.fromkeys(np.concatenate([queue_N[:150], order_N[:100]]).tolist())
        verdicts = {row: Verdict.EDIT if is_wrong_N[row] else Verdict.APPROVE for row in rows}
        found = figures(kinds, [review(n, f"m{row}", verdicts[row]) for n, row in enumerate(rows)])
        share = is_wrong_N.mean()
        assert np.mean([is_wrong_N[row] for row in rows]) > share + 0.1, "the reviewed are no fair sample"
        estimate = found.wrong_captions.wrong
        covered += estimate.whole.low <= share <= estimate.whole.high
        assert estimate.whole.high - estimate.whole.low < 0.3
    assert covered >= len(seeds) - 1


def test_strata_that_nobody_prefers_do_not_divide_the_captions():
    kinds, _ = made_set(0)
    sample = kinds.take(pa.array(np.random.default_rng(3).permutation(COUNT)[:300]))
    groups = kinds.append_column("media", pa.array(np.ones(COUNT, np.int64)))
    assert divide(groups, sample).names == ["all captions"]


def test_a_stratum_that_was_reviewed_alone_leaves_the_others_not_covered():
    kinds, _ = made_set(0)
    band = np.flatnonzero(kinds["band"].to_numpy(zero_copy_only=False))[:50]
    found = figures(kinds, [review(n, f"m{row}", "approve") for n, row in enumerate(band.tolist())])
    estimate = found.wrong_captions.wrong
    assert estimate.not_covered == ("all others",)
    assert estimate.whole.high > 0.94, "95 % of the captions were never looked at"
    assert found.wrong_captions.more["all others"] > 0


def test_what_is_no_random_sample_of_current_captions_is_left_out():
    kinds, _ = made_set(0)
    reviews = [
        review(0, "m0", "approve"),
        review(1, "m1", "edit", action="b" * 8),
        review(2, "m2", "reject", caption_digest="of an older caption"),
        review(3, "m3", "flag"),
        review(4, "m4", "approve", blind=True),
        review(5, "m4", "reject", "bob", blind=True),
        review(6, "m5", "reject", reason="blurred"),
        review(7, "m6", "approve"),
        review(8, "m6", "withdraw", withdraws="00000007"),
        review(9, "gone", "reject"),
    ]
    found = figures(kinds, reviews, black=3, static=5)
    assert found.wrong_captions.wrong.reviewed == 2
    assert found.wrong_captions.left_out == {
        "reviewers disagree": 1,
        "flagged, or only the span was mended": 1,
        "the caption has changed since": 1,
        "decided by a bulk action": 1,
    }
    assert found.media == COUNT
    assert found.reviewed == 6
    assert found.disagreements == 1
    assert found.verdicts == {"reject": 2, "approve": 1, "edit": 1, "flag": 1}
    assert found.rejected == {"blurred": 1, "no reason": 1}
    assert found.reviewers == {"ada": 6, "bob": 1}
    assert found.drops == {"static": 5, "black": 3}
    assert sum(found.days.values()) == 7
    assert found.lengths["dense"].edited == 1
    assert found.lengths["medium"].captions == 0
    assert sum(each.media for each in found.buckets.values()) == COUNT
    assert sum(each.reviewed for each in found.buckets.values()) == 6


def test_agreement_counts_verdicts_of_reviewers_who_did_not_see_each_other():
    kinds, _ = made_set(0)
    reviews = list[Review]()
    for number in range(20):
        verdicts = (
            ("approve", "approve") if number < 12 else ("reject", "reject" if number < 18 else "approve")
        )
        for index, (name, verdict) in enumerate(zip(("ada", "bob"), verdicts, strict=True)):
            reviews.append(review(2 * number + index, f"m{number}", verdict, name, blind=True))
    told = review(90, "m1", "reject", "cleo", saw="00000003")
    (pair,) = figures(kinds, [*reviews, told]).agreements
    assert (pair.first, pair.second, pair.agreement.clips) == ("ada", "bob", 20)
    assert pair.agreement.agreed == pytest.approx(0.9)
    assert pair.agreement.kappa == pytest.approx((0.9 - 0.54) / (1 - 0.54))


def test_votes_count_for_versions_and_not_for_sides():
    kinds, _ = made_set(0)
    left, right = (
        {"caption_version": "v1", "other_version": "v2"},
        {"caption_version": "v2", "other_version": "v1"},
    )
    reviews = [
        review(0, "m0", "compare", choice=Choice.LEFT, **left),
        review(1, "m1", "compare", choice=Choice.RIGHT, **right),
        review(2, "m2", "compare", choice=Choice.RIGHT, **left),
        review(3, "m3", "compare", choice=Choice.TIE, **left),
        review(4, "m2", "compare", choice=Choice.LEFT, **left),
    ]
    (found,) = figures(kinds, reviews).comparisons
    assert (found.version, found.other_version) == ("v1", "v2")
    assert (found.win_rate.wins, found.win_rate.losses, found.win_rate.ties) == (3, 0, 1)
    assert figures(kinds, reviews).reviewed == 0, "a comparison is no decision"


def test_the_facts_of_a_dataset(tmp_path):
    dataset = make(tmp_path / "d")
    texts = {"short": "Ball 1.", "medium": None, "dense": "A red ball number 1 rolls."}
    seen = caption_digest(**texts)
    reviews = [
        review(0, media_id(1), "approve", caption_digest=seen),
        review(1, media_id(2), "reject", caption_digest="another"),
    ]
    dataset = commit(dataset, "review", reviews=reviews)
    found = dataset_figures(LiveView(dataset))
    assert (found.media, found.reviewed) == (20, 2)
    assert found.outcomes == {"ok": Coverage(media=20, reviewed=2)}, (
        "the older caption counts where the new failed"
    )
    assert found.drops == {"duplicate_near": 1}
    assert found.lengths["short"].captions == found.lengths["dense"].captions == 20
    assert found.lengths["medium"].captions == 0
    assert {name: each.media for name, each in found.buckets.items()} == {"16-9 video": 15, "9-16 video": 5}
    assert found.wrong_captions.wrong.reviewed == 1
    assert found.wrong_captions.left_out == {"the caption has changed since": 1}


def test_the_facts_find_strata(tmp_path, monkeypatch):
    groups = list[pa.Table]()
    monkeypatch.setattr(
        "manifests.review.facts.review_figures", lambda table, *_: groups.append(table) or "figures"
    )
    dataset_figures(LiveView(make(tmp_path / "d")))

    def count(column: str) -> int:
        return sum(row["media"] for row in groups[0].to_pylist() if row[column])

    assert count("band") == 1
    assert count("failed") == 1
    assert count("changed") == 9, "odd clips have other texts in the new version, and of one it failed"


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_an_unfinished_dataset_has_figures(tmp_path, steps: int):
    whole = make(tmp_path / "d")
    found = dataset_figures(LiveView(Dataset.open(whole.uri, at=steps)))
    assert found.reviewed == 0
    assert found.wrong_captions.wrong.share is None
