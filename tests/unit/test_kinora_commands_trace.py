"""`kinora trace`: from the sample of a training batch to the bytes of its source, and forward again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_dataset import VERSIONS, write_dataset

from kinora.cli.main import main
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes, digest_file
from manifests.live_view import LiveView
from manifests.records import Bucket, Gap, Review, SampleRef, Verdict
from manifests.shards import ShardIndex, write_index
from manifests.storage import open_storage
from pipeline.media.read import read_media
from pipeline.media.tar import TarWriter
from trainer.data.batch_plan import BatchPlan
from video.cut import cut
from video.probe import probe


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    dataset = write_dataset(tmp_path_factory.mktemp("trace"))
    media = dataset.records("media")[0]
    about = {"clip_id": media.clip_id, "media_id": media.media_id, "reviewer": "ann", "reason": "too long"}
    review = Review(
        review_id="ab12",
        at="2026-11-29T12:00:00+00:00",
        verdict=Verdict.EDIT,
        length="short",
        new_text="A box moves.",
        caption_version=VERSIONS[1],
        **about,
    )
    part = dataset.write_records("reviews", [review])
    return dataset.commit(Commit(stage="review", added=(part,)))


@pytest.fixture(scope="module")
def shards(dataset, tmp_path_factory) -> Path:
    """Pack the OK captions of the first version, a tar and an index as `kinora pack` writes them."""
    root = tmp_path_factory.mktemp("shards")
    path, refs = "tars/videos/000000.tar", []
    (root / "tars" / "videos").mkdir(parents=True)
    bucket = Bucket(num_frames=17, height=48, width=64)
    with TarWriter(open_storage(str(root)), path) as tar:
        for row in dataset.read("media").to_pylist():
            content = read_media(dataset.storage, row)
            start, _ = tar.add(f"{row['clip_id']}.mp4", content)
            tar.add(f"{row['clip_id']}.txt", b"text")
            record = {"caption": {"version": VERSIONS[0], "length": "short"}}
            tar.add(f"{row['clip_id']}.json", json.dumps(record).encode())
            refs.append(
                SampleRef(
                    clip_id=row["clip_id"],
                    media_id=row["media_id"],
                    bucket=bucket,
                    shard=path,
                    offset=start,
                    length=tar.end - start,
                    media_digest=digest_bytes(content),
                )
            )
    write_index(root, refs, fps=8.0)
    return root


def trace(capsys, *words: object) -> dict:
    assert main(["trace", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_a_sample_of_a_batch_to_the_bytes_of_the_source_span(dataset, shards, capsys):
    index = ShardIndex.load(shards)
    plan = BatchPlan(num_samples=index.num_samples, batch_size=2, digest=index.digest, seed=3)
    [row, *_] = plan.at(5)
    ref = index.sample(int(row))
    found = trace(capsys, ref.key, "--dataset", dataset.uri, "--shards", shards)

    source, clip, [media] = found["source"], found["clip"], found["media"]
    assert digest_file(source["uri"]) == source["source_digest"] == clip["source_digest"]
    assert Path(source["uri"]).stat().st_size == source["size_bytes"]
    unit = clip["time_base_num"] / clip["time_base_den"] / float(probe(source["uri"]).time_base)
    span = (round(media["source_start_pts"] * unit), round(media["source_end_pts"] * unit))
    [again] = cut(source["uri"], [span])  # cutting is exact: the same span gives the same bytes
    assert digest_bytes(again.media) == media["digest"] == ref.media_digest
    stored = dataset.storage.read_range(media["path"], media["offset"], media["length"])
    assert stored == again.media

    [sample] = found["samples"]
    assert (sample["key"], sample["shard"], sample["offset"]) == (ref.key, ref.shard, ref.offset)
    assert sample["caption"]["version"] == VERSIONS[0]
    assert [caption["version"] for caption in media["captions"]] == [*VERSIONS]
    assert [step["stage"] for step in found["steps"]][:3] == ["analyze", "select", "cut"]
    select = next(step for step in found["steps"] if step["stage"] == "select")
    assert select["config"]["preset"] == "permissive"


def test_every_id_and_its_beginning_lead_to_the_same_clip(dataset, capsys):
    media = dataset.records("media")[0]
    for name in (media.clip_id, media.media_id, media.clip_id[:12], media.media_id[:12], "ab12"):
        found = trace(capsys, name, "--dataset", dataset.uri)
        assert found["clip"]["clip_id"] == media.clip_id
        assert found["media"][0]["media_id"] == media.media_id
        assert [review["review_id"] for review in found["media"][0]["reviews"]] == ["ab12"]


def test_forward_from_a_source(dataset, capsys):
    view = LiveView(dataset)
    source = view.sources.to_pylist()[1]
    for name in (source["uri"], Path(source["uri"]).name, source["source_key"], source["source_digest"]):
        found = trace(capsys, name, "--dataset", dataset.uri)
        assert found["kind"] == "source"
        kept, dropped = found["clips"]
        assert (kept["selection"]["reason"], dropped["selection"]["reason"]) == ("kept", "duplicate_near")
        assert [copy["clip_id"] for copy in kept["copies"]] == [dropped["clip"]["clip_id"]]
        assert (len(kept["media"]), len(dropped["media"])) == (1, 0)
        assert [failure["code"] for failure in kept["failures"]] == ["REFUSED"]
        assert [gap["reason"] for gap in found["gaps"]] == ["transition"]


def test_what_is_no_longer_live_is_still_found(dataset, tmp_path, capsys):
    """A shard may be older than the newest analysis of a source."""
    other = write_dataset(tmp_path)
    clip = LiveView(other).clips.to_pylist()[0]
    again = other.records("sources")[0]
    gap = Gap(source_key=again.source_key, start_pts=0, end_pts=48, reason="none", analysis="a2")
    parts = (
        other.write_records("sources", [replace(again, analysis="a2")]),
        other.write_records("gaps", [gap]),
    )
    other = other.commit(Commit(stage="analyze", added=parts))
    found = trace(capsys, clip["clip_id"], "--dataset", other.uri)
    assert found["live"] is False
    assert found["media"][0]["live"] is False
    assert trace(capsys, clip["clip_id"], "--dataset", other.uri, "--at", "6")["live"] is True


@pytest.mark.parametrize("text", ["nothing-of-the-kind", ""])
def test_an_unknown_id_is_an_error_that_helps(dataset, capsys, text):
    assert main(["trace", text, "--dataset", dataset.uri]) == 2
    assert "no clip, media, sample, source or review" in capsys.readouterr().err


def test_a_withdrawal_of_an_action_leads_to_its_clips(tmp_path, capsys):
    dataset = write_dataset(tmp_path)
    withdrawal = Review(
        review_id="cd34", clip_id="", media_id="", reviewer="ann", at="2026-11-29T12:00:00+00:00",
        verdict=Verdict.WITHDRAW, withdraws="ee55",
    )  # fmt: skip
    dataset.commit(Commit(stage="review", added=(dataset.write_records("reviews", [withdrawal]),)))
    assert main(["trace", "cd34", "--dataset", dataset.uri]) == 2
    assert "cd34: takes back ee55, an action on clips; trace one of them" in capsys.readouterr().err


def test_reviews_that_were_taken_back_are_marked_and_not_counted(tmp_path, capsys):
    dataset = write_dataset(tmp_path)
    media = dataset.records("media")[0]
    about = {"at": "2026-11-29T12:00:00+00:00", "reviewer": "ann", "clip_id": media.clip_id}
    rows = [
        Review(review_id="aa01", media_id=media.media_id, verdict=Verdict.REJECT, reason="dark", **about),
        Review(review_id="aa02", media_id=media.media_id, verdict=Verdict.APPROVE, **about),
        Review(review_id="aa03", media_id="", verdict=Verdict.WITHDRAW, withdraws="aa01", **about),
    ]
    dataset.commit(Commit(stage="review", added=(dataset.write_records("reviews", rows),)))
    found = trace(capsys, media.clip_id, "--dataset", dataset.uri)
    [of_media] = found["media"]
    marked = {row["review_id"]: row["withdrawn"] for row in of_media["reviews"]}
    assert marked == {"aa01": True, "aa02": False}
    assert main(["trace", media.clip_id, "--dataset", dataset.uri]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "ann" in line]
    assert ["withdrawn" in line for line in lines] == [True, False]
    assert main(["trace", found["source"]["source_key"], "--dataset", dataset.uri]) == 0
    assert "1 reviews" in " ".join(capsys.readouterr().out.split())


def test_an_ambiguous_beginning_lists_what_it_may_be(dataset, capsys):
    raw = str(Path(dataset.records("sources")[0].uri).parent)
    assert main(["trace", raw, "--dataset", dataset.uri]) == 2
    assert "several things begin with it" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["clip", "source"])
def test_the_text_fits_80_columns(dataset, shards, capsys, monkeypatch, what):
    monkeypatch.setenv("COLUMNS", "80")
    media = dataset.records("media")[0]
    name = media.clip_id if what == "clip" else dataset.records("sources")[0].source_key
    assert main(["trace", name, "--dataset", dataset.uri, "--shards", str(shards)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert media.clip_id in text
    if what == "clip":
        assert "A box moves." in text
        assert f"{VERSIONS[1]}: ok, counts" in text
        assert "sample" in text
    else:
        assert "2 clips, 2 media, 4 captions, 1 reviews, 2 samples" in text
