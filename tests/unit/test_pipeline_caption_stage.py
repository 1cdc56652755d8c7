"""The actor that captions, outside Ray: what it writes, counts and leaves when its captioner stops."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from chat_server import completion, serve
from small_dataset import CARRIED, write_dataset

from captioner.config import CaptionerConfig, EndpointConfig
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, Provenance
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.parts import PartStore
from manifests.records import Outcome
from pipeline.caption.batch import split_batches
from pipeline.caption.load import caption_spec, load_captioner
from pipeline.caption.read_ahead import ReadAhead
from pipeline.caption.score_words import SCORES, score_words
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


def units_of(dataset: Dataset, **config: Any) -> list[CaptionUnit]:
    units, _ = pending.to_caption(LiveView(dataset), "new", retry=False, config=CaptionConfig(**config))
    return [*units]


def run(
    dataset: Dataset, config: CaptionConfig, load: Any, tmp_path: Path, task: int = 0
) -> list[TaskResult]:
    """Return the pieces of one task on all media."""
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path / "attempts"))
    units = units_of(dataset, transcripts=config.transcripts, score_words=config.score_words)
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


SPOKEN = """WEBVTT

00:00.000 --> 00:00.800
A voice counts.

00:00.900 --> 00:01.800
It stops.
"""


def heard_rows(dataset: Dataset, results: list[TaskResult]) -> list[tuple[str, str, str]]:
    """Return the source, the transcript and the outcome of each caption, in order."""
    store = PartStore(dataset.uri)
    clips = {row["clip_id"]: row for row in dataset.read("clips").to_pylist()}
    rows = [row for result in results for part in result.parts if part.table == "captions"
            for row in store.read_part(part).to_pylist()]  # fmt: skip
    rows.sort(key=lambda row: (clips[row["clip_id"]]["uri"], clips[row["clip_id"]]["start_pts"]))
    return [(Path(clips[row["clip_id"]]["uri"]).stem, row["heard"], row["outcome"]) for row in rows]


@pytest.mark.parametrize("where", ["spoken", ".en.vtt"])
def test_what_is_heard_is_put_into_the_prompt_and_kept_with_the_caption(tmp_path: Path, where: str) -> None:
    spoken = json.dumps({"spoken": SPOKEN}) if where == "spoken" else CARRIED
    dataset = write_dataset(tmp_path, carried=(spoken, CARRIED))
    if where != "spoken":
        (tmp_path / "raw" / "video-0.en.vtt").write_text(SPOKEN, encoding="utf-8")
    with serve(lambda number, body: completion("A ball rolls over a field.")) as server:
        endpoint = EndpointConfig(url=server.url, model="tiny", frames=2)
        captioner = CaptionerConfig(kind="endpoint", endpoint=endpoint, short_prompt="")
        config = CaptionConfig(captioner=captioner, transcripts=where)
        results = run(dataset, config, load_captioner, tmp_path)
        asked = [body["messages"][0]["content"][-1]["text"] for body in server.bodies[1:]]
    assert heard_rows(dataset, results) == [
        ("video-0", "A voice counts.", "ok"),
        ("video-0", "It stops.", "ok"),
        ("video-1", "", "ok"),
    ]
    for words, count in (("A voice counts.", 1), ("It stops.", 1), ("what is heard meanwhile", 2)):
        assert sum(words in prompt for prompt in asked) == count
    plain = caption_spec(CaptionConfig(captioner=captioner))
    assert caption_spec(config).version != plain.version


@pytest.mark.parametrize("where", ["spoken", ".vtt"])
def test_a_broken_transcript_costs_its_own_clips_alone(tmp_path: Path, where: str) -> None:
    spoken = json.dumps({"spoken": '{"segments": ['}) if where == "spoken" else CARRIED
    dataset = write_dataset(tmp_path, carried=(spoken, CARRIED))
    if where != "spoken":
        (tmp_path / "raw" / "video-0.vtt").write_bytes(b"WEBVTT \xff\xfe")
    with serve(lambda number, body: completion("A ball rolls over a field.")) as server:
        captioner = CaptionerConfig(kind="endpoint", endpoint=EndpointConfig(url=server.url, model="tiny"))
        results = run(
            dataset, CaptionConfig(captioner=captioner, transcripts=where), load_captioner, tmp_path
        )
    assert [outcome for _, _, outcome in heard_rows(dataset, results)] == ["error", "error", "ok"]
    [failures] = [part for part in results[0].parts if part.table == "failures"]
    message = PartStore(dataset.uri).read_part(failures)["message"][0].as_py()
    assert "video-0" in message
    assert "mend it" in message if where == "spoken" else "save it as UTF-8" in message


def test_transcripts_that_nothing_can_use_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="no source has a column 'speech'"):
        units_of(dataset, transcripts="speech")
    with pytest.raises(ValueError, match="transcripts: captioner facts takes no prompt"):
        caption_spec(CaptionConfig(captioner=CaptionerConfig(kind="facts"), transcripts=".vtt"))


def test_scores_are_added_to_each_text_in_words(dataset: Dataset, tmp_path: Path) -> None:
    with serve(lambda number, body: completion("A ball rolls over a field.")) as server:
        captioner = CaptionerConfig(kind="endpoint", endpoint=EndpointConfig(url=server.url, model="tiny"))
        config = CaptionConfig(captioner=captioner, score_words=("motion", "light"))
        results = run(dataset, config, load_captioner, tmp_path)
    [part] = [part for result in results for part in result.parts]
    rows = PartStore(dataset.uri).read_part(part).to_pylist()
    clips = {row["clip_id"]: (row["motion"], row["brightness"]) for row in dataset.read("clips").to_pylist()}
    said = {(0.1, 0.3): "moderate. Light: medium", (0.2, 0.4): "moderate. Light: medium"}
    said |= {(0.3, 0.2): "moderate. Light: dark"}
    for row in rows:
        text = f"A ball rolls over a field. Motion: {said[clips[row['clip_id']]]}."
        assert (row["text"], row["short"], row["medium"]) == (text, text, None)
    assert caption_spec(config).version != caption_spec(CaptionConfig(captioner=captioner)).version
    with pytest.raises(ValueError, match=r"no clip has look \(column aesthetic_heuristic\)"):
        units_of(dataset, score_words=("look",))
    with pytest.raises(ValueError, match="score_words: 'speed' is none of motion, camera, light, look"):
        caption_spec(CaptionConfig(captioner=captioner, score_words=("speed",)))


def test_a_score_that_is_not_known_is_left_out() -> None:
    clip = {"motion": 0.5, "camera": "pan_left", "brightness": None, "aesthetic_heuristic": 0.5}
    assert score_words(clip, SCORES) == "Motion: fast. Camera: pan left. Look: fair."
    assert score_words(clip, ("light",)) == ""


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
