"""The captions that `pack --captions` chooses."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from manifests.records import LENGTH_COLUMNS
from pipeline.pack.captions import CaptionOption, check_versions, choose, length_bits, parse_policy

BOTH = {"short": "s", "text": "d"}


def captions(*rows: tuple[str, str, dict[str, str]]) -> pa.Table:
    """Return candidates: media id, version and texts by column."""
    schema = pa.schema([(name, pa.string()) for name in ("media_id", "version", "short", "medium", "text")])
    plain = [{"media_id": media, "version": version, **texts} for media, version, texts in rows]
    table = pa.Table.from_pylist(plain, schema=schema)
    return table.append_column("lengths", length_bits(table, LENGTH_COLUMNS))


def chosen(media: list[str], candidates: pa.Table, policy: str) -> Any:
    choice = choose(pa.chunked_array([pa.array(media, pa.string())]), candidates, parse_policy(policy))
    rows = choice.rows.select(["media_id", "version", "text_length", "fixed_length"]).to_pylist()
    return [tuple(row.values()) for row in rows], choice


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("latest-ok", []),
        ("facts-1a2b", [("facts-1a2b", "", 1.0)]),
        ("facts-1a2b:short", [("facts-1a2b", "short", 1.0)]),
        ("vlm-a:b-1:medium", [("vlm-a:b-1", "medium", 1.0)]),
        ("mix:a:short=0.2,a:dense=0.8", [("a", "short", 0.2), ("a", "dense", 0.8)]),
        ("mix:vlm-a,b-1=.25,c=7.5e-1", [("vlm-a,b-1", "", 0.25), ("c", "", 0.75)]),
        ("mix:a=1", [("a", "", 1.0)]),
    ],
)
def test_a_policy_is_parsed(policy, options):
    assert [(o.version, o.length, o.share) for o in parse_policy(policy)] == options


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("", "names no caption version"),
        (" a", "names no caption version"),
        ("mix:", "not a mix"),
        ("mix:a", "not a mix"),
        ("mix:a=0.5,b", "not a mix"),
        ("mix:a=0.5,,b=0.5", "not a mix|names no"),
        ("mix:=1", "not a mix|names no"),
        ("a=0.5", "names no caption version"),
        ("mix:a=0.5,b=0.4", "sum to 0.9"),
        ("mix:a=2,b=-1", "share '2'"),
        ("mix:a=nan,b=1", "share 'nan'"),
        ("mix:a=0,b=1", "share '0'"),
        ("mix:a=x,b=1", "share 'x'"),
        ("mix:a=0.5,a=0.5", "twice"),
        ("mix:latest-ok=0.5,a=0.5", "names no caption version"),
    ],
)
def test_another_text_is_refused(policy, reason):
    with pytest.raises(ValueError, match=reason):
        parse_policy(policy)


def test_an_unknown_version_or_length_is_refused_with_what_there_is():
    counts = {"a": {"ok": 3, "short": 3, "dense": 2}, "b": {"ok": 0}}
    check_versions([CaptionOption(version="a", length="dense"), CaptionOption(version="b")], counts, "x")
    with pytest.raises(ValueError, match=r"no caption version 'c'.*a \(3 ok\), b \(0 ok\)"):
        check_versions([CaptionOption(version="c")], counts, "c")
    with pytest.raises(ValueError, match="no caption of a has a medium text; they have short, dense"):
        check_versions([CaptionOption(version="a", length="medium")], counts, "a:medium")
    with pytest.raises(ValueError, match=r"no caption version 'a:long'.*lengths are short, medium, dense"):
        check_versions(parse_policy("a:long"), counts, "a:long")


def test_without_options_each_media_gets_its_own_and_the_rest_are_counted():
    found, choice = chosen(
        ["m1", "m2", "m3"], captions(("m3", "b", {"text": "d"}), ("m1", "a", BOTH)), "latest-ok"
    )
    assert found == [("m1", "a", "short", False), ("m3", "b", "dense", False)]
    assert (choice.left_out, choice.redrawn) == ({"no OK caption": 1}, {})


def test_a_version_and_a_length_are_followed_and_never_replaced():
    candidates = captions(
        ("m1", "a", BOTH), ("m1", "b", BOTH), ("m2", "b", BOTH), ("m3", "a", {"short": "s"})
    )
    found, choice = chosen(["m1", "m2", "m3"], candidates, "a")
    assert found == [("m1", "a", "short", False), ("m3", "a", "short", False)]
    assert choice.left_out == {"no OK caption of a": 1}
    found, choice = chosen(["m1", "m2", "m3"], candidates, "a:dense")
    assert found == [("m1", "a", "dense", True)]
    assert choice.left_out == {"no OK caption of a:dense": 2}


def test_a_mix_has_the_shares_asked_for_and_no_other_order_or_media_changes_a_draw():
    media = [f"media-{number}" for number in range(20_000)]
    candidates = captions(*((name, version, BOTH) for name in media for version in ("a", "b")))
    policy = "mix:a:short=0.2,a:dense=0.3,b=0.5"
    found, choice = chosen(media, candidates, policy)
    counts = Counter(row[1:3] for row in found)
    for name, share in {("a", "short"): 0.2, ("a", "dense"): 0.3, ("b", "short"): 0.5}.items():
        deviation = (share * (1 - share) / len(media)) ** 0.5
        assert counts[name] / len(media) == pytest.approx(share, abs=4 * deviation)
    assert (choice.left_out, choice.redrawn) == ({}, {})
    assert {row[3] for row in found if row[1] == "a"} == {True}
    some, _ = chosen(media[:500][::-1], candidates.slice(0, 1000), policy)
    assert some == found[:500][::-1]
    assert [row[1:3] for row in found[:6]] == PINNED


PINNED = [("a", "dense"), ("a", "dense"), ("b", "short"), ("b", "short"), ("a", "short"), ("b", "short")]
"""Draws of the first media: the same on every machine and in every version."""


def test_media_that_lack_the_caption_drawn_get_one_they_have_in_the_proportion_of_the_shares():
    media = [f"media-{number}" for number in range(12_000)]
    have = {0: ("a", "b", "c"), 1: ("b", "c"), 2: ()}
    rows = [(name, version, BOTH) for n, name in enumerate(media) for version in have[n % 3]]
    found, choice = chosen(media, captions(*rows), "mix:a=0.5,b=0.1,c=0.4")
    lacking = Counter(version for name, version, *_ in found if int(name[6:]) % 3 == 1)
    assert lacking["a"] == 0
    assert lacking["b"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert choice.left_out == {"no OK caption of the mix": 4000}
    assert set(choice.redrawn) <= {"a -> b", "a -> c", "b -> c"}
    assert sum(n for names, n in choice.redrawn.items() if names.startswith("a")) == pytest.approx(
        2000, abs=150
    )


def test_no_captions_at_all_leave_all_media_out():
    for policy, reason in {"latest-ok": "no OK caption", "a": "no OK caption of a"}.items():
        found, choice = chosen(["m1"], captions(), policy)
        assert (found, choice.left_out) == ([], {reason: 1})
    assert chosen([], captions(), "mix:a=0.5,b=0.5")[0] == []
