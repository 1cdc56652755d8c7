"""`pack --captions reviewed`: edits replace their texts alone, and what reviewers refused leaves."""

import json
import shutil
from dataclasses import fields as fields_of
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pipeline_jobs_pack_layouts import CLIPS, SPLIT, edit, in_this_process, medium, samples, windows

from benchmarks.packable_dataset import MadeMedium, make
from kinora.cli import main as cli
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Caption, Outcome, Review, Verdict, caption_digest
from pipeline.config import PackConfig, RayConfig, ReviewUse
from pipeline.errors import NothingToDo
from pipeline.jobs import pack as job
from pipeline.jobs.report import PackReport
from pipeline.pack.captions import split_reviewed
from video.encode import mp4_bytes
from video.frames import read_frames

__all__ = ["in_this_process"]

REVIEWED = replace(SPLIT, captions="reviewed")
TEXTS = ("short", "medium", "text")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("source") / "d"
    make(root, clips=CLIPS, medium=medium, windows=windows, versions=("a", "b"))
    return root


@pytest.fixture
def dataset(source, tmp_path) -> str:
    shutil.copytree(source, tmp_path / "d")
    return str(tmp_path / "d")


@pytest.fixture
def out(tmp_path) -> str:
    return str(tmp_path / "shards")


def pack(dataset: str, out: str, config: PackConfig = REVIEWED, *, dry_run: bool = False) -> PackReport:
    return job.pack(dataset, out, config, RayConfig(), dry_run=dry_run)


def captions(dataset: str, version: str | None = None) -> dict[str, dict[str, Any]]:
    return {row["media_id"]: row for row in LiveView(Dataset.open(dataset)).captions(version).to_pylist()}


def review(dataset: str, *decisions: tuple[str, str, dict[str, Any]], version: str | None = None) -> None:
    """Commit reviews: media id, verdict, other fields; each saw the caption that counts, or of `version`."""
    found, opened = captions(dataset, version), Dataset.open(dataset)
    number = LiveView(opened).reviews.num_rows
    rows = []
    for place, (media_id, verdict, fields) in enumerate(decisions):
        caption = found[media_id]
        seen = {
            "caption_version": caption["version"],
            "caption_digest": caption_digest(*map(caption.get, TEXTS)),
        }
        about = {"media_id": media_id, "clip_id": caption["clip_id"], "at": "2026-01-01T00:00:00Z"}
        about |= {"review_id": f"{number + place:032x}", "reviewer": "ann"}
        rows.append(Review(**{**about, **seen, **fields}, verdict=Verdict(verdict)))
    part = opened.write_records("reviews", rows)
    opened.commit(Commit(stage="review", added=(part,), counts={"units": len(rows)}))


def texts(caption: dict[str, Any]) -> dict[str, str]:
    return {"short": caption["short"], "medium": caption["medium"] or "", "dense": caption["text"]}


def packed(out: str) -> dict[str, tuple[str, dict[str, str], dict[str, str]]]:
    """Return by media id the text of the `.txt`, the texts of the record, and its review."""
    return {
        record["media_id"]: (
            sample.short,
            {length: record["caption"][length] for length in ("short", "medium", "dense")},
            record["review"],
        )
        for sample, record, _ in samples(out).values()
    }


def test_an_edit_replaces_its_text_alone_and_names_its_rows(dataset, out):
    before = captions(dataset)
    lacking, having = (next(m for m, c in before.items() if (c["medium"] is None) == gone) for gone in (1, 0))
    approved = next(media for media in before if media not in (lacking, having))
    review(
        dataset,
        (lacking, "edit", {"length": "medium", "new_text": "a medium text — größer"}),
        (having, "edit", {"length": "short", "new_text": "a short text"}),
        (having, "edit", {"length": "dense", "new_text": "a dense text", "saw": f"{1:032x}"}),
        (approved, "approve", {}),
    )
    report = pack(dataset, out)
    assert (report.reviews.edited, report.reviews.approved, report.reviews.reviewed) == (2, 1, 3)
    assert report.samples == len(before)
    found = packed(out)
    expected = {media: texts(caption) for media, caption in before.items()}
    expected[lacking]["medium"] = "a medium text — größer"
    expected[having] |= {"short": "a short text", "dense": "a dense text"}
    assert {media: own for media, (_, own, _) in found.items()} == expected
    assert {media: text for media, (text, _, _) in found.items()} == {
        m: t["short"] for m, t in expected.items()
    }
    reviews = {media: about for media, (_, _, about) in found.items() if any(about.values())}
    assert reviews == {
        lacking: {"verdict": "edit", "ids": f"{0:032x}", "edited": "medium", "span": ""},
        having: {"verdict": "edit", "ids": f"{1:032x} {2:032x}", "edited": "short dense", "span": ""},
        approved: {"verdict": "approve", "ids": f"{3:032x}", "edited": "", "span": ""},
    }
    counts = json.loads((Path(out) / "pack.json").read_text())["reviews"]["counts"]
    assert (counts["edited"], counts["approved"], counts["left_out"]) == (2, 1, {})
    assert pack(dataset, out).nothing_left
    plain = pack(dataset, out, replace(SPLIT, captions="latest-ok"))
    assert (plain.reviews.edited, plain.reviews.unused) == (0, 3)
    assert {media: own for media, (_, own, _) in packed(out).items()} == {
        m: texts(c) for m, c in before.items()
    }


def test_a_length_is_fixed_and_a_policy_laid_over(dataset, out):
    media = sorted(captions(dataset))
    review(dataset, (media[0], "edit", {"length": "dense", "new_text": "the dense one"}))
    pack(dataset, out, replace(SPLIT, captions="reviewed:dense"))
    found = packed(out)
    assert found[media[0]][0] == "the dense one"
    assert found[media[1]][0] == captions(dataset)[media[1]]["text"]
    review(dataset, (media[1], "edit", {"length": "short", "new_text": "of a"}), version="a")
    report = pack(dataset, out, replace(SPLIT, captions="reviewed+a:short"))
    assert packed(out)[media[1]][0] == "of a"
    assert (report.reviews.edited, report.reviews.stale, report.reviews.stale_media) == (1, 1, (media[0],))
    report = pack(dataset, out, replace(SPLIT, captions="reviewed+mix:a=0.5,b=0.5"))
    assert report.reviews.edited + report.reviews.stale == 2
    medium = replace(SPLIT, captions="reviewed:medium")
    lacks = sum(caption["medium"] is None for caption in captions(dataset).values())
    assert pack(dataset, out, medium).without_caption_why == {"no OK caption of latest-ok:medium": lacks}


def test_a_text_that_a_reviewer_wrote_for_a_caption_that_failed_is_packed(dataset, out):
    written, refused, good = list(captions(dataset))[:3]
    opened, before = Dataset.open(dataset), captions(dataset)
    nothing: dict[str, Any] = {"version": "c", "text": None, "short": None, "medium": None}
    rows = [
        {**before[media_id], **nothing, "outcome": Outcome.REFUSED, "detail": "refused"}
        for media_id in (written, refused)
    ]
    rows.append({**before[good], "version": "c"})
    names = [field.name for field in fields_of(Caption)]
    made = [Caption(**{name: row[name] for name in names}) for row in rows]
    part = opened.write_records("captions", made)
    opened.commit(Commit(stage="caption", added=(part,), config_digest="c"))
    review(dataset, (written, "edit", {"length": "short", "new_text": "a short text"}), version="c")
    config = replace(REVIEWED, captions="reviewed+c")
    report = pack(dataset, out, config)
    assert (report.samples, report.reviews.edited) == (2, 1)
    found = packed(out)
    assert {*found} == {written, good}
    assert found[written][:2] == ("a short text", {"short": "a short text", "medium": "", "dense": ""})
    assert pack(dataset, out, replace(config, captions="c")).samples == 1


@pytest.mark.parametrize("layout", ["split", "joined"])
def test_what_reviewers_refused_leaves_with_its_reason(dataset, out, layout):
    media = sorted(captions(dataset))
    pack(dataset, out, replace(REVIEWED, layout=layout))
    review(
        dataset,
        (media[0], "reject", {"reason": "blurred"}),
        (media[1], "flag", {}),
        (media[2], "approve", {}),
        (media[2], "reject", {"reviewer": "bob"}),
        (media[3], "span", {"start_s": 50.0, "end_s": 60.0}),
        (media[4], "reject", {}),
        (media[4], "withdraw", {"media_id": "", "withdraws": f"{5:032x}"}),
    )
    refused = {
        "rejected by review": 1,
        "span mended by review lies outside its media": 1,
        "reviewers disagree": 1,
        "flagged by review": 1,
    }
    report = pack(dataset, out, replace(REVIEWED, layout=layout))
    assert (dict(report.reviews.left_out), report.samples) == (refused, len(media) - 4)
    assert report.without_caption == 0
    found = samples(out)
    assert {record["media_id"] for _, record, _ in found.values()} == {*media} - {*media[:4]}
    if layout == "split":
        assert report.tars_written["media"] == report.tars_written["captions"] <= 4
        assert report.tars_kept["media"] >= 2
    plain = replace(SPLIT, layout=layout)
    report = pack(dataset, out, plain)
    assert set(report.reviews.left_out) == {
        "rejected by review",
        "span mended by review lies outside its media",
    }
    assert report.samples == len(media) - 2
    kept = replace(plain, reviews=ReviewUse(rejected="keep"))
    assert pack(dataset, out, kept).samples == len(media) - 1
    all_kept = ReviewUse(rejected="keep", flagged="keep", disputed="keep")
    assert pack(dataset, out, replace(REVIEWED, layout=layout, reviews=all_kept)).samples == len(media) - 1
    only = replace(REVIEWED, layout=layout, reviews=ReviewUse(unreviewed="leave_out"))
    with pytest.raises(NothingToDo, match=f"{len(media) - 4} not reviewed"):
        pack(dataset, out, only)


def test_stale_decisions_are_counted_named_and_used_only_if_asked(dataset, out):
    media = sorted(captions(dataset))
    review(
        dataset,
        (media[0], "edit", {"length": "short", "new_text": "reviewed text"}),
        (media[1], "approve", {}),
        (media[2], "reject", {}),
    )
    edit(dataset, {media[0]: "changed", media[1]: "changed", media[2]: "changed"})
    report = pack(dataset, out)
    assert (report.reviews.stale, report.reviews.stale_media) == (2, (media[0], media[1]))
    assert (report.reviews.edited, report.reviews.approved) == (0, 0)
    assert report.reviews.left_out == {"rejected by review": 1}
    assert packed(out)[media[0]][0].startswith("changed")
    applied = pack(dataset, out, replace(REVIEWED, reviews=ReviewUse(stale="apply")))
    assert (applied.reviews.edited, applied.reviews.stale) == (1, 2)
    text, own, about = packed(out)[media[0]]
    assert (text, about["edited"]) == ("reviewed text", "short")
    assert own["dense"].startswith("changed")


def test_a_mended_span_is_cut_and_its_caption_stays(tmp_path, out):
    def video(clip: int, window: int) -> MadeMedium:
        frames_THWC = np.zeros((54, 48, 80, 3), np.uint8)
        frames_THWC[...] = (4 * np.arange(54, dtype=np.uint8))[:, None, None, None]
        return MadeMedium(content=mp4_bytes(frames_THWC, 24), height=48, width=80)

    dataset = str(tmp_path / "videos")
    make(dataset, clips=4, medium=video)
    config = replace(SPLIT, buckets=("17x48x80", "9x48x80"), captions="latest-ok")
    pack(dataset, out, config)
    whole = samples(out)
    media = sorted(captions(dataset))
    review(
        dataset,
        (media[0], "span", {"start_s": 0.5, "end_s": 1.75}),
        (media[1], "span", {"start_s": 0.0, "end_s": 9.0}),
    )
    report = pack(dataset, out, config)
    assert (report.reviews.trimmed, report.reviews.left_out) == (1, {})
    [key] = [key for key, (_, record, _) in whole.items() if record["media_id"] == media[0]]
    found = samples(out)
    assert {name for name in found if found[name] != whole[name]} == {key}
    sample, record, bucket = found[key]
    assert (bucket, record["num_frames"], record["duration_s"], record["window_frames"]) == (
        "9x48x80",
        30,
        1.25,
        10,
    )
    assert record["source"]["start_s"] == pytest.approx(whole[key][1]["source"]["start_s"] + 0.5)
    assert record["source"]["end_s"] == pytest.approx(whole[key][1]["source"]["start_s"] + 1.75)
    assert record["review"] == {"verdict": "", "ids": f"{0:032x}", "edited": "", "span": "0.5 1.75"}
    assert record["caption"] == whole[key][1]["caption"]
    grey = [int(frame.rgb_HWC.mean()) for frame in read_frames(sample.media)]
    assert grey == [pytest.approx(4 * number, abs=4) for number in range(12, 42)]
    assert report.trimmed_to_one_frame == ()
    assert pack(dataset, out, config).nothing_left


def test_a_span_below_the_shortest_bucket_is_named(tmp_path, out, capsys):
    def video(clip: int, window: int) -> MadeMedium:
        return MadeMedium(content=mp4_bytes(np.zeros((54, 48, 80, 3), np.uint8), 24), height=48, width=80)

    dataset = str(tmp_path / "videos")
    make(dataset, clips=2, medium=video)
    config = replace(SPLIT, buckets=("17x48x80", "9x48x80", "1x48x80"), captions="latest-ok")
    short, _ = sorted(captions(dataset))
    review(dataset, (short, "span", {"start_s": 0.5, "end_s": 0.9}))
    report = pack(dataset, out, config)
    assert report.trimmed_to_one_frame == (short,)
    assert {bucket for _, _, bucket in samples(out).values()} == {"17x48x80", "1x48x80"}
    flags = ["--dataset", dataset, "--out", str(tmp_path / "s"), "--buckets", json.dumps(config.buckets)]
    assert cli.main(["pack", *flags, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 video is packed as one frame, since the span that a reviewer gave is shorter" in said
    assert f"bucket of several frames ({short}): mend the span" in said


def test_all_records_have_the_same_keys_and_types(dataset, out):
    def shape(value: Any) -> Any:
        return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else type(value).__name__

    media = sorted(captions(dataset))
    review(dataset, (media[0], "edit", {"length": "medium", "new_text": "m"}), (media[1], "approve", {}))
    pack(dataset, out)
    shapes = {json.dumps(shape(record), sort_keys=True) for _, record, _ in samples(out).values()}
    assert len(shapes) == 1


def test_an_approval_leaves_what_is_encoded_valid(dataset, out):
    from manifests.shards import ShardIndex

    pack(dataset, out)
    before = ShardIndex.load(out)
    media = sorted(captions(dataset))
    review(dataset, (media[0], "approve", {}), (media[1], "edit", {"length": "short", "new_text": "new"}))
    pack(dataset, out)
    after = ShardIndex.load(out)
    names = ("media_id", "text_digest")
    one, other = (dict(zip(*map(index.column, names), strict=True)) for index in (before, after))
    assert {m for m in one if one[m] != other[m]} == {media[1]}


def test_the_command_says_what_reviews_did(dataset, tmp_path, capsys):
    media = sorted(captions(dataset))
    review(
        dataset,
        (media[0], "reject", {"reason": "blurred"}),
        (media[1], "span", {"start_s": 50.0, "end_s": 60.0}),
        (media[2], "edit", {"length": "short", "new_text": "new"}),
    )
    flags = [
        "pack",
        "--dataset",
        dataset,
        "--out",
        str(tmp_path / "s"),
        "--buckets",
        json.dumps(SPLIT.buckets),
    ]

    def run(*more: str) -> str:
        assert cli.main([*flags, *more]) == 0
        return " ".join(capsys.readouterr().out.split())

    said = run("--dry-run")
    assert "1 rejected by review" in said
    assert "1 span mended by review lies outside its media" in said
    assert "1 edited or approved caption is not used" in said
    assert "--captions reviewed" in said
    said = run("--captions", "reviewed", "--layout", "split")
    assert "1 edited" in said
    assert "tars: wrote" in said
    assert cli.main([*flags, "--captions", "reviewed:long"]) == 2
    assert "'long' is no length" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main([*flags, "--reviews.flagged", "maybe"])


def test_status_counts_reviews_and_those_after_the_last_pack(dataset, out, capsys):
    def counts() -> list[dict[str, int]]:
        assert cli.main(["status", "--dataset", dataset, "--json"]) == 0
        reviews = json.loads(capsys.readouterr().out)["reviews"]
        return [{n: c for n, c in each.items() if c} for each in reviews.values()]

    assert counts() == []
    media = sorted(captions(dataset))
    edited = {"length": "short", "new_text": "new"}
    review(dataset, (media[0], "reject", {}), (media[1], "edit", edited), (media[2], "approve", {}))
    pack(dataset, out)
    everything, new = counts()
    assert (everything, new) == ({"media": 3, "rejected": 1, "edited": 1, "approved": 1}, {})
    edit(dataset, {media[2]: "changed"})
    review(
        dataset, (media[3], "flag", {}), (media[0], "withdraw", {"media_id": "", "withdraws": f"{0:032x}"})
    )
    everything, new = counts()
    assert everything == {"media": 3, "edited": 1, "flagged": 1, "stale": 1}
    assert new == {"media": 1, "flagged": 1}
    assert cli.main(["status", "--dataset", dataset]) == 0
    assert "reviews since the last pack: 1 media (1 flagged)" in " ".join(capsys.readouterr().out.split())


def test_a_text_that_a_reviewer_emptied_is_none(dataset, out):
    before = captions(dataset)
    kept, emptied = sorted(media for media, caption in before.items() if caption["medium"] is None)[:2]
    review(
        dataset,
        (kept, "edit", {"length": "short", "new_text": " "}),
        (emptied, "edit", {"length": "short", "new_text": ""}),
        (emptied, "edit", {"length": "dense", "new_text": "", "saw": f"{1:032x}"}),
    )
    report = pack(dataset, out)
    found = packed(out)
    assert found[kept][0] == before[kept]["text"]
    assert found[kept][2]["edited"] == "short"
    assert found.keys() == before.keys() - {emptied}
    assert report.without_caption_why == {"no OK caption": 1}
    assert pack(dataset, out, replace(SPLIT, captions="latest-ok")).samples == len(before)


@pytest.mark.parametrize("policy", ["reviewed+", "reviewed+reviewed", "reviewed:long", "reviewed:"])
def test_a_policy_of_reviews_over_nothing_is_named_as_it_was_given(policy):
    with pytest.raises(ValueError, match=f"captions {policy!r}".replace("+", r"\+")):
        split_reviewed(policy)
