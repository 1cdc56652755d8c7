"""The audit on Ray: every caption once, in several tasks, and a model that is asked about some."""

import re
from collections.abc import Sequence

import worlds_dataset as made  # pyright: ignore[reportMissingImports]  # in tests/unit

from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from pipeline.config import AuditConfig, RayConfig
from pipeline.jobs.audit import audit

COUNT = 192


class SaysNo:
    """Contradicts every statement."""

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        numbers = re.findall(r"^(\d+)\. ", request.prompt.text, re.MULTILINE)
        raw = "\n".join(f"{number}. no" for number in numbers)
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.OK,
            text=raw,
            raw=raw,
            frames_shown=(0,),
            provenance=Provenance(captioner="vlm", model="m", revision="r", decoding="{}"),
        )


def test_every_caption_is_checked_once_on_ray(tmp_path):
    found = made.write_dataset(tmp_path, COUNT)
    config = AuditConfig(read_text=False, ask_share=0.1)
    report = audit(found.uri, config, RayConfig(num_cpus=2), load_captioner=SaysNo)
    assert (report.checked, report.unread, report.lost, report.captions) == (COUNT, 0, 0, COUNT)
    assert report.problems == ()
    assert report.separation is not None
    assert report.separation.agreement is not None
    assert report.separation.agreement > 0.8
    dataset = Dataset.open(found.uri)
    rows = LiveView(dataset).captions().to_pylist()
    assert {row["media_id"] for row in rows} == {*found.media_ids}
    assert len(rows) == COUNT
    assert {row["text"] for row in rows} == {*made.dense_captions(found.worlds)}
    by = [row["claims_by"] for row in rows]
    assert {*by} == {"measured", "model"}
    assert 0.05 * COUNT < by.count("model") < 0.3 * COUNT
    assert all(row["unsupported_rate"] == 1.0 for row in rows if row["claims_by"] == "model")
    assert conservation.violations(dataset) == []
    (asked,) = [commit.number for commit in dataset.commits if commit.stage == "caption"]
    audits = [commit for commit in dataset.commits if commit.stage == "audit"]
    assert all(dict(commit.config["requests"]) == {"v-1": asked} for commit in audits)
    assert sum(len(commit.added) for commit in audits) > 1
