"""The audit of captions: its columns, what it leaves as it was, and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
import worlds_dataset as made
from embedding_models import open_clip_folder

from captioner.claims.claim import tally
from captioner.claims.split import split_sentences
from captioner.clip_scorer import FRAMES
from captioner.frames import sample_uniform
from kinora.captions.score import CLIP_SCORE_WEIGHT
from kinora.captions.world_claims import WorldJudge, check_on_world
from kinora.cli.main import main
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk
from manifests.review.messages import QueueFilter
from pipeline.config import AuditConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.audit import audit
from video.frames import read_frames

COUNT = 48
NO_TEXT = AuditConfig(read_text=False)


def run(dataset: made.WorldsDataset, config: AuditConfig = NO_TEXT, **options):
    return audit(dataset.uri, config, RayConfig(), **options)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> made.WorldsDataset:
    found = made.write_dataset(tmp_path_factory.mktemp("right"), COUNT)
    run(found, judge=WorldJudge(found.truth), judge_digest="t")
    return found


def test_captions_get_agreement_claims_and_rates(right):
    rows = LiveView(Dataset.open(right.uri)).captions().to_pylist()
    assert len(rows) == COUNT
    assert sum(row["agreement"] > 0.6 for row in rows) > 0.85 * COUNT
    assert {row["claims_by"] for row in rows} == {"world"}
    for row, world in zip(rows, right.worlds, strict=True):
        assert row["text"] == made.families.dense_caption(world, right.worlds.index(world))
        assert row["unsupported"] in (0, None)  # None: the clip does not show all of it
    verdicts = {claim["verdict"] for row in rows for claim in row["claims"]}
    assert verdicts <= {"supported", None}


def test_a_second_audit_has_nothing_to_do(right):
    before = Dataset.open(right.uri).number
    report = run(right, judge=WorldJudge(right.truth), judge_digest="t")
    assert Dataset.open(right.uri).number == before
    assert (report.already_done, report.checked, report.captions) == (COUNT, 0, COUNT)
    assert report.separation is not None
    assert report.separation.agreement is not None
    assert report.problems == ()


def test_false_claims_are_contradicted_on_worlds():
    world = made.sample_worlds(COUNT)[0]
    text = made.families.dense_caption(world, 0)
    assert tally(check_on_world(text, world)).unsupported == 0
    names = {claim.subject for claim in made.families.claims(world) if claim.attribute == "shape"}
    name = min(names)
    color = "purple" if not name.startswith("purple") else "green"
    counts = tally(check_on_world(text.replace(name, f"{color} {name.split()[1]}"), world))
    assert counts.contradicted >= 1


def test_the_desk_ranks_by_both_columns(right, tmp_path):
    texts = made.dense_captions(right.worlds)
    wrong = made.write_dataset(tmp_path, COUNT, lambda _: made.swapped_in_batch(texts))
    report = run(wrong, judge=WorldJudge(wrong.truth), judge_digest="t")
    assert report.unsupported > 8
    assert report.suspects
    with ReviewDesk(wrong.uri, tmp_path / "state", config=ReviewConfig()) as desk:
        for stratum in ("agreement", "unsupported"):
            first = desk.queue(QueueFilter(stratum=stratum), reviewer="ann").items[0]
            assert right.media_ids.index(first.media_id) in range(24, 32)
        card = desk.card(first.media_id, reviewer="ann")
        claims = card.captions[0].extra["claims"]
        assert {"supported", "contradicted"} >= {claim["verdict"] for claim in claims}
        assert any(reason.startswith("unsupported claims") for reason in card.item.reasons)


def test_an_audit_of_an_old_version_does_not_make_it_count(tmp_path):
    found = made.write_dataset(tmp_path, 20, version="old")
    made.write_captions(found, made.dense_captions(found.worlds), "new")
    report = run(found, version="old")
    assert report.version == "old"
    view = LiveView(Dataset.open(found.uri))
    assert {*view.captions().to_pydict()["version"]} == {"new"}
    assert run(found).version == "new"
    with pytest.raises(ValueError, match="no such caption version; there are new, old"):
        run(found, version="newer")


@pytest.mark.parametrize("swap", [made.swapped_in_pairs, made.off_by_one, made.swapped_in_batch])
def test_swapped_captions_end_with_code_4(tmp_path, capsys, swap):
    found = made.write_dataset(tmp_path, COUNT, lambda worlds: swap(made.dense_captions(worlds)))
    arguments = ["captions", "audit", "--dataset", found.uri, "--read-text", "false", "--json"]
    assert main(arguments) == 4
    data = json.loads(capsys.readouterr().out)
    assert data["problems"]


def test_the_command_prints_the_separation(tmp_path, capsys):
    found = made.write_dataset(tmp_path, COUNT)
    arguments = ["captions", "audit", "--dataset", found.uri, "--truth", str(found.truth)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "with their own clips" in printed
    assert "0 unsupported (0.0%)" in printed


def open_clip_by_hand(name: str, text: str, frames: list[np.ndarray]) -> float:
    """Return the mean over the sentences of a text of the cosine with the frame that each fits best."""
    import open_clip
    import torch
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokens = open_clip.get_tokenizer(name)([each.text for each in split_sentences(text)])
    with torch.inference_mode():
        image_VD = model.encode_image(torch.stack([preprocess(Image.fromarray(each)) for each in frames]))
        text_SD = model.encode_text(tokens)
    image_VD, text_SD = (each / each.norm(dim=-1, keepdim=True) for each in (image_VD, text_SD))
    return float((text_SD @ image_VD.T).amax(1).mean())


def test_a_model_of_open_clip_gives_agreement_and_clip_score(tmp_path, capsys):
    found = made.write_dataset(tmp_path / "d", 12)
    name = open_clip_folder(tmp_path / "m")
    run(found, AuditConfig(read_text=False, clip_model=name))
    rows = LiveView(Dataset.open(found.uri)).captions().to_pylist()
    assert {row["agreement_scorer"] for row in rows} == {"open_clip m"}
    assert all(0 <= row["agreement"] <= 1 and 0 < row["agreement_seen"] <= 1 for row in rows)
    media = {row["media_id"]: row for row in LiveView(Dataset.open(found.uri)).media.to_pylist()}
    for row in rows[:2]:
        about = media[row["media_id"]]
        tar = (Path(found.uri) / about["path"]).read_bytes()
        frames = [each.rgb_HWC for each in read_frames(tar[about["offset"] :][: about["length"]])]
        shown = [frames[index] for index in sample_uniform(len(frames), FRAMES)]
        assert row["similarity"] == pytest.approx(open_clip_by_hand(name, row["text"], shown), abs=1e-4)
    assert main(["captions", "score", "--dataset", found.uri, "--json"]) == 0
    [score] = json.loads(capsys.readouterr().out)["versions"].values()
    expected = np.mean([CLIP_SCORE_WEIGHT * max(0, row["similarity"]) for row in rows])
    assert score["clip_score"] == pytest.approx(expected)


def test_clips_that_cannot_be_read_are_counted(tmp_path):
    found = made.write_dataset(tmp_path, 20)
    tar = Path(found.uri) / "media" / "0.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    report = run(found)
    assert 0 < report.unread < 20
    assert report.checked + report.unread == 20


def test_nothing_to_check_is_said(tmp_path):
    found = made.write_dataset(tmp_path, 4, lambda worlds: [""] * len(worlds))
    with pytest.raises(NothingToDo, match="no OK caption"):
        run(found)


def test_sql_sees_the_columns(right, capsys):
    query = "SELECT count(*) AS n FROM captions WHERE unsupported_rate = 0 AND len(claims) > 3"
    assert main(["captions", "sql", query, "--dataset", right.uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["n"] > COUNT // 2
