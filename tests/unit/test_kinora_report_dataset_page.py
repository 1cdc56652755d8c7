import runpy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kinora.cli import main as cli
from kinora.cli.spelling import to_command_line
from kinora.report import write_dataset_report
from kinora.report.histograms import BINS, build_histogram
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Review, Verdict
from manifests.thumbnails import read_thumbnails
from pipeline.runtime.progress import format_line

REVIEWED = runpy.run_path(str(Path(__file__).with_name("reviewed_dataset.py")))
DEMO = runpy.run_path(str(Path(__file__).with_name("report_demo.py")))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three clips, one of them dropped, and a source that failed; made by a command with a space in it."""
    made = DEMO["make_dataset"](tmp_path / "dataset")
    return made.with_command("kinora curate --source 'my videos' --dataset d").commit(Commit(stage="note"))


def test_a_dataset_without_reviews_says_how_to_review_it(dataset: Dataset, tmp_path: Path) -> None:
    html = write_dataset_report(dataset.uri, tmp_path / "page.html").read_text()
    assert "Nothing was reviewed yet" in html
    assert f"kinora review --dataset {dataset.uri}" in html


def test_the_page_shows_what_reviews_say_of_the_whole_dataset(tmp_path: Path) -> None:
    made = REVIEWED["make"](tmp_path / "d", 40)
    seen = {"caption_version": REVIEWED["NEW"]}
    reviews = [
        review(number, Verdict.REJECT if number < 4 else Verdict.APPROVE, name, **seen)
        for number in range(10, 30)
        for name in (("<b>ada</b>", "bob") if number % 2 else ("bob",))
    ]
    reviews.append(review(4, Verdict.REJECT, "bob", reason="</script><i>blurred"))
    votes = {"caption_version": "v1", "other_version": "v2", "choice": "left"}
    reviews.append(review(5, Verdict.COMPARE, "bob", **votes))
    made = REVIEWED["commit"](made, "review", reviews=reviews)
    html = write_dataset_report(made.uri, tmp_path / "page.html").read_text()
    assert "of 40 clips reviewed" in html
    assert "captions that are wrong: edited or rejected" in html
    assert "4.8 % (" in html, "one of 21"
    assert "blind votes for v1 against v2" in html
    assert "more reviews would make the interval half as wide" in html
    assert "&lt;b&gt;ada&lt;/b&gt;" in html
    assert "<b>ada" not in html
    assert "<i>blurred" not in html
    assert html.count("2026-11-01") == 1


def review(number: int, verdict: Verdict, reviewer: str, **fields: str) -> Review:
    name = REVIEWED["media_id"](number)
    return Review(
        review_id=f"{number:04x}{sum(reviewer.encode()):04x}",
        clip_id=f"c{number:03d}",
        media_id=name,
        reviewer=reviewer,
        at="2026-11-01T10:00:00+00:00",
        verdict=verdict,
        blind=True,
        **fields,
    )


def test_the_page_tells_funnel_drops_failures_and_the_command(dataset: Dataset, tmp_path: Path) -> None:
    html = write_dataset_report(dataset.uri, tmp_path / "out" / "page.html").read_text()
    assert "4 files, 3 clips, 2 kept (67%)" in html
    assert "too dark" in html
    assert "luma 2 &lt; 16" in html
    assert html.count("data:image/jpeg") == 1
    assert "no_video" in html
    assert "remove it from the source folder" in html
    assert "kinora curate --source &#39;my videos&#39; --dataset d" in html
    assert "<script" not in html
    assert "aspect: from" in html


def test_a_page_replaces_a_report_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_dataset_report(dataset.uri, page)
    write_dataset_report(dataset.uri, page)
    page.write_text("my own notes")
    with pytest.raises(ValueError, match="is not a report"):
        write_dataset_report(dataset.uri, page)
    assert page.read_text() == "my own notes"


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "empty")
    html = write_dataset_report(dataset.uri, tmp_path / "page.html").read_text()
    assert "0 files, 0 clips, 0 kept" in html
    assert "No clips yet." in html


def test_no_dataset_is_an_error_that_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["report", "--dataset", str(tmp_path / "none")]) == 2
    assert "no dataset here" in capsys.readouterr().err


def test_thumbnails_come_from_the_parts_that_hold_them(dataset: Dataset) -> None:
    ids = LiveView(dataset).clips["clip_id"].to_pylist()
    assert set(read_thumbnails(dataset, ids[:2])) == set(ids[:2])
    assert read_thumbnails(dataset, ["nobody"]) == {}
    bare = dataset.read("clips").drop_columns(["thumbnail"])
    later = dataset.commit(Commit(stage="x", added=(dataset.write_part("clips", bare),)))
    assert set(read_thumbnails(later, ids)) == set(ids)


def test_every_clip_lies_in_a_bin() -> None:
    values_N = np.append(np.geomspace(0.001, 1000.0, 500), [np.nan, np.nan])
    kept_N = np.arange(len(values_N)) % 3 == 0
    found = build_histogram("motion", "unit", values_N, kept_N, limits=[1.0, -1.0])
    assert found
    assert found.logarithmic
    assert sum(found.kept) + sum(found.dropped) == 500
    assert len(found.kept) == BINS
    assert found.missing == 2
    assert found.position(1.0) == pytest.approx(0.5)
    assert found.position(-1.0) < 0


def test_one_value_and_no_value() -> None:
    alike = build_histogram("x", "unit", np.full(4, 2.0), np.ones(4, bool))
    assert alike
    assert (sum(alike.kept), alike.low, alike.high) == (4, 1.5, 2.5)
    none = build_histogram("share", "0 to 1", np.zeros(4), np.ones(4, bool), limits=[0.5])
    assert none
    assert (sum(none.kept), none.low, none.high, none.position(0.5)) == (4, 0.0, 1.0, 0.5)
    assert build_histogram("x", "unit", np.full(4, np.nan), np.ones(4, bool)) is None


@dataclass(frozen=True, kw_only=True)
class _Inner:
    least_s: float = 0.5
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Outer:
    source: str
    quiet: bool = False
    inner: _Inner = field(default_factory=_Inner)


def test_a_command_is_spelled_as_it_would_be_typed() -> None:
    config = _Outer(source="my videos", quiet=True, inner=_Inner(least_s=2.0, names=("a", "b")))
    assert to_command_line("curate", config) == (
        "kinora curate --source 'my videos' --quiet true --inner.least-s 2.0 --inner.names '[a,b]'"
    )


def test_a_command_without_secrets_is_kept_in_the_log(dataset: Dataset) -> None:
    made = dataset.with_command("kinora curate --source https://me:secret@host/x").commit(
        Commit(stage="note")
    )
    said = Dataset.open(made.uri).commits[-1].command
    assert said.startswith("kinora curate --source ")
    assert "secret" not in said


def test_progress_tells_rate_and_time_left() -> None:
    assert format_line("cut", 50, 100, 25.0) == "cut: 50 of 100, 2 a second, about 0:00:25 left"
    assert format_line("cut", 100, 100, 25.0) == "cut: 100 of 100, 4 a second"
    assert format_line("cut", 0, None, 0.0) == "cut: 0 of ?"


def test_columns_of_words_are_counted(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kinora.report import dataset_contents
    from pipeline.columns import Column

    column = Column("camera", "string", "how the camera moves")
    monkeypatch.setattr(dataset_contents, "SCORE_COLUMNS", (column,))
    table = dataset.read("clips").append_column("camera", pa.array(["pan", "pan", None]))
    dataset.commit(Commit(stage="x", added=(dataset.write_part("clips", table),)))
    html = write_dataset_report(dataset.uri, tmp_path / "page.html").read_text()
    assert "how the camera moves" in html
    assert "<dt>pan</dt>" in html
