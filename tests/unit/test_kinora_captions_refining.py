"""Unsupported claims of audited captions are deleted into a version of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_dataset import write_dataset

from captioner.claims.claim import ClaimVerdict
from captioner.claims.split import split_claims
from kinora.captions.refining import EMPTIED, SHORTENED, UNAUDITED, UNCHANGED, refine_caption
from kinora.cli.main import main
from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Caption, Outcome

TEXT = "A purple box moves right. A man waits. The camera is still."


def caption(text: str = TEXT, short: str | None = "A purple box.", **more: Any) -> Caption:
    values: dict[str, Any] = {"clip_id": "c", "media_id": "m", "captioner": "vlm", "model": "m"}
    values |= {"revision": "r", "version": "v", "prompt_digest": "p", "decoding": "{}"}
    values |= {"frames_shown": (0,), "outcome": Outcome.OK}
    return Caption(text=text, short=short, **values | more)


def checked(caption_text: str, **wrong: str) -> list[dict[str, str]]:
    """Return the claims of a text as an audit stores them: supported, but those named."""
    return [
        {
            "text": claim.text,
            "kind": claim.kind,
            "verdict": wrong.get(claim.text.replace(" ", "_"), ClaimVerdict.SUPPORTED),
        }
        for claim in split_claims(caption_text)
    ]


def test_what_is_unsupported_is_deleted_from_every_text() -> None:
    claims = checked(TEXT, purple_box="unseen", man="contradicted")
    refined, what = refine_caption(caption(medium="A purple box and a man."), claims, "measured")
    assert what == SHORTENED
    assert (refined.text, refined.short) == ("A box moves right. The camera is still.", "A box.")
    assert refined.medium is None  # its only sentence named the man
    assert (refined.outcome, refined.detail) == (Outcome.OK, "shortened from v")


def test_a_caption_of_which_nothing_is_left_is_empty() -> None:
    claims = checked("A man waits.", man="unseen")
    refined, what = refine_caption(caption("A man waits.", None), claims, "model")
    assert what == EMPTIED
    assert (refined.outcome, refined.text, refined.short) == (Outcome.EMPTY, None, None)


@pytest.mark.parametrize(
    ("claims", "by", "what"),
    [
        (checked(TEXT), "measured", UNCHANGED),
        (checked(TEXT, purple_box="unseen"), "world", UNAUDITED),
        (checked("Another text.", text="unseen"), "measured", UNAUDITED),
        ([], "", UNAUDITED),
    ],
)
def test_other_captions_stay(claims: list, by: str, what: str) -> None:
    assert refine_caption(caption(), claims, by) == (caption(), what)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three cut clips, captioned by a model that saw a purple sky."""
    dataset = write_dataset(tmp_path)
    texts = ("A white box moves right.", "A white box moves right. The sky is purple.", "An orange sky.")
    captions = [
        caption(text, "A box.", clip_id=row["clip_id"], media_id=row["media_id"], version="vlm-1")
        for text, row in zip(texts, LiveView(dataset).media.to_pylist(), strict=True)
    ]
    part = dataset.write_records("captions", captions)
    return dataset.commit(Commit(stage="caption", added=(part,), config_digest="vlm-1"))


def refine(dataset: Dataset, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict]:
    code = main(["captions", "refine", "--dataset", dataset.uri, *flags, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_version_is_audited_and_refined(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = refine(dataset, capsys)
    assert (code, "run `kinora captions audit --version vlm-1`" in data["error"]) == (3, True)
    main(["captions", "audit", "--dataset", dataset.uri, "--read-text", "false"])
    capsys.readouterr()
    code, data = refine(dataset, capsys, "--dry-run")
    assert "vlm-1-refined" not in LiveView(Dataset.open(dataset.uri)).caption_requests()
    for already in (0, 3):
        code, data = refine(dataset, capsys, "vlm-1")
        counts = [data[name] for name in ("captions", "unchanged", "shortened", "emptied", "already_done")]
        assert (code, counts) == (0, [3, 1, 2, 0, already])
    view = LiveView(Dataset.open(dataset.uri))
    rows = view.read("captions", ["text", "short", "outcome"], version="vlm-1-refined").to_pylist()
    assert [row["text"] for row in rows] == ["A white box moves right."] * 2 + ["A sky."]
    assert {row["outcome"] for row in rows} == {"ok"}
    assert conservation.violations(Dataset.open(dataset.uri)) == []
    assert main(["captions", "refine", "nosuch", "--dataset", dataset.uri]) == 2
    assert "'nosuch' is no caption version; there are facts-00000001, vlm-00000002" in capsys.readouterr().err
