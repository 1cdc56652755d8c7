"""The actor that captions, outside Ray: what it writes, counts and leaves when its captioner stops."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from chat_server import completion, serve
from small_dataset import write_dataset

from captioner.config import CaptionerConfig, EndpointConfig
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, Provenance
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from pipeline.caption.batch import split_batches
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.caption.read_ahead import ReadAhead
from pipeline.caption.stage import CaptionActor
from pipeline.caption.units import CaptionUnit
from pipeline.caption.usage import COST
from pipeline.config import CaptionConfig
from pipeline.planning import pending
from pipeline.runtime.context import StageContext
from pipeline.runtime.units import TaskResult

CONFIG = CaptionConfig(captioner=CaptionerConfig(kind="facts"), batch_clips=2)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path)


def units_of(dataset: Dataset) -> list[CaptionUnit]:
    units, _ = pending.to_caption(LiveView(dataset), "new", retry=False)
    return [*units]


def run(
    dataset: Dataset, config: CaptionConfig, load: Any, tmp_path: Path, task: int = 0
) -> list[TaskResult]:
    """Return the pieces of one task on all media."""
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path / "attempts"))
    units = units_of(dataset)
    row = {
        "units": json.dumps([asdict(unit) for unit in units]),
        "task": task,
        "unit_index": [*range(len(units))],
    }
    actor = CaptionActor(config, context, caption_spec(config), load)
    outcomes = [*actor(row)]
    assert not any(outcome["error"] for outcome in outcomes), outcomes
    return [TaskResult.from_row(outcome) for outcome in outcomes]


class StopsAfter:
    """A captioner that answers so many clips and stops."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, list[str]()

    def caption(self, requests: list[CaptionRequest]) -> list[CaptionAnswer]:
        answers = []
        for clip_id in dict.fromkeys(request.clip_id for request in requests):
            if len(self.asked) == self.count:
                raise CaptioningStopped("no more credit", answers)
            self.asked.append(clip_id)
            answers += [answer(request) for request in requests if request.clip_id == clip_id]
        return answers


def answer(request: CaptionRequest) -> CaptionAnswer:
    return CaptionAnswer(
        clip_id=request.clip_id,
        prompt_digest=request.prompt.digest,
        outcome=Outcome.OK,
        text="A ball.",
        raw="A ball.",
        frames_shown=(0,),
        provenance=Provenance(captioner="facts", model="m", revision="r", decoding="{}"),
    )


def test_a_captioner_that_stops_leaves_the_rest_without_rows(dataset: Dataset, tmp_path: Path) -> None:
    captioner = StopsAfter(1)
    results = run(dataset, CONFIG, lambda config: captioner, tmp_path)
    assert sum(result.units for result in results) == 3
    counts = results[0].counts
    assert counts == {"ok": 1, "left no more credit": 2}
    assert [part.table for result in results for part in result.parts] == ["captions"]
    assert len(captioner.asked) == 1


def test_a_server_is_asked_and_its_tokens_and_cost_are_counted(dataset: Dataset, tmp_path: Path) -> None:
    with serve(lambda number, body: completion("A ball rolls over a field.", tokens=(1000, 100))) as server:
        endpoint = EndpointConfig(
            url=server.url, model="tiny", input_price=1.0, output_price=10.0, max_cost=1.0, frames=2
        )
        config = CaptionConfig(captioner=CaptionerConfig(kind="endpoint", endpoint=endpoint))
        results = run(dataset, config, load_captioner, tmp_path)
        counts = results[0].counts
        assert len(server.bodies) == 1 + 2 * 3
        assert (counts["ok"], counts["input tokens"], counts["output tokens"]) == (3, 7000, 700)
        assert counts[COST] == 14_000
        again = run(dataset, config, load_captioner, tmp_path, 1)[0].counts  # an actor that takes over
        assert again[COST] == 14_000  # its own
        log = (tmp_path / "attempts" / "cost").read_text().split()
        assert sum(map(float, log)) == pytest.approx(0.028)


def test_settings_of_how_a_server_is_asked_make_no_new_version() -> None:
    def version(**more: Any) -> str:
        endpoint = EndpointConfig(**{"url": "http://a/v1", "model": "org/tiny", **more})
        return caption_spec(
            CaptionConfig(captioner=CaptionerConfig(kind="endpoint", endpoint=endpoint))
        ).version

    plain = version()
    assert plain.startswith("endpoint-tiny-")
    assert plain == version(url="http://b/v1", concurrency=2, max_cost=3.0, input_price=1.0, tries=3)
    assert plain != version(frames=4)
    endpoint = EndpointConfig(url="http://a/v1", model="m", max_cost=1.0, input_price=1.0)
    captioner = CaptionerConfig(kind="endpoint", endpoint=endpoint)
    with pytest.raises(ValueError, match="max_cost is counted by one actor"):
        load_captioner(CaptionConfig(captioner=captioner, actors=2))


def test_clips_are_read_once_and_their_errors_kept(dataset: Dataset) -> None:
    units, read = units_of(dataset), list[str]()

    def read_one(unit: CaptionUnit) -> Any:
        read.append(unit.key)
        if unit is units[1]:
            raise ValueError("damaged")
        return unit.key

    batches = [*split_batches(units, CONFIG)]
    assert [len(batch) for batch in batches] == [2, 1]
    with ReadAhead(read_one, threads=2) as ahead:
        ahead.start(batches[1])
        first, second = ahead.take(batches[0]), ahead.take(batches[1])
    assert (first[0], second) == (units[0].key, [units[2].key])
    assert isinstance(first[1], ValueError)
    assert sorted(read) == sorted(unit.key for unit in units)
