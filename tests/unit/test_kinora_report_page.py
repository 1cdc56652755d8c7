import base64
import dataclasses
import json
import os
import re
import runpy
import shlex
from html.parser import HTMLParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from kinora.cli import main as cli
from kinora.report import charts, page, reading, write_report
from kinora.report.embed import MAX_WIDTH_PX, data_uri, embed
from kinora.report.reading import Curve, Missing
from video.frames import read_clip

DEMO = runpy.run_path(str(Path(__file__).with_name("report_demo.py")))


class Elements(HTMLParser):
    """Every element and every text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return DEMO["make_demo"](tmp_path_factory.mktemp("report") / "demo")


@pytest.fixture(scope="module")
def html(demo: Path) -> str:
    return write_report(demo).read_text()


def test_shows_each_part_with_its_own_figures(html: str) -> None:
    text = Elements(html).text
    assert "From 4 raw files to" in text
    assert "colour 0.93 and direction 0.91 on 4 prompts" in text
    assert "4 of 4 videos shown" in text
    assert "4 in = 3 kept + 0 dropped + 1 failed (no video 1) ✓ consistent" in text
    assert "3 in = 2 kept + 1 dropped (too dark 1)" in text
    assert "luma 2 < 16" in text
    assert "remove it from the source folder" in text
    assert "5 samples in 1 WebDataset tar," in text
    assert "9 min 54 s in total. Peak memory 2,346 MB." in text
    assert "Not available." not in text


def test_a_verdict_says_what_was_measured_and_what_was_asked(html: str) -> None:
    text = Elements(html).text
    assert "✓ correct colour: red" in text
    assert "✗ wrong direction: left, not right" in text
    assert "– speed not in prompt" in text


def test_shows_what_was_dropped_and_checks_the_dataset(html: str) -> None:
    page = Elements(html)
    assert [a["alt"] for tag, a in page.found if tag == "img"] == ["Frame of a dropped clip of black.mp4"]
    assert "✓ Verified in the dataset" in page.text


def test_text_from_data_stays_text(html: str) -> None:
    page = Elements(html)
    assert [tag for tag, _ in page.found].count("script") == 1
    assert DEMO["HOSTILE"] in page.texts
    assert any("a red square moves right <0>" in text for text in page.texts)


def test_asks_nothing_of_any_server(html: str) -> None:
    links = [
        value
        for _, attributes in Elements(html).found
        for name, value in attributes.items()
        if name in ("src", "href", "poster", "srcset", "action") and value
    ]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"url\(|@import|https?://", page_style(html))


def page_style(html: str) -> str:
    return html[html.index("<style>") : html.index("</style>")]


def test_labels_each_captioner(html: str) -> None:
    text = Elements(html).text
    assert "Captioner embedded" in text
    assert "Captioner facts Composed from detectors" in text


def test_says_what_is_missing_and_invents_nothing(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"seed": 3}')
    text = Elements(write_report(tmp_path).read_text()).text
    assert "From raw video: no evaluation in this run." in text
    assert text.count("Not available.") == 11
    assert not re.search(r"\d of \d|0\.\d\d ", text)


def test_commands_to_go_on_with_exist_with_these_fields(html: str) -> None:
    lines = [
        line for text in Elements(html).texts for line in text.splitlines() if line.startswith("kinora ")
    ]
    assert len(lines) == 8
    for line in lines:
        words = shlex.split(line)[1:]
        name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in cli.COMMANDS)
        module = f"kinora.commands.{name.replace(' ', '_')}"
        fields = config_fields(module) if find_spec(module) else {}
        flags = {word.removeprefix("--") for word in words if word.startswith("--")} - {"help"}
        if fields:
            assert flags <= set(fields), line
            positional = {"prompt"} if name == "generate" else set()
            assert {field for field, required in fields.items() if required} <= flags | positional, line


def config_fields(module: str) -> dict[str, bool]:
    """Return the fields of a command's Config, inherited ones too, and whether each must be given."""
    config = getattr(import_module(module), "Config", None)
    found = dataclasses.fields(config) if config else ()
    return {field.name: field.default is field.default_factory is dataclasses.MISSING for field in found}


def test_refuses_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="kinora demo --out"):
        write_report(tmp_path)


def test_names_a_video_that_does_not_play(tmp_path: Path) -> None:
    demo = DEMO["make_demo"](tmp_path / "demo", videos=2)
    (demo / "generated" / "0001.mp4").write_bytes(b"no video")
    text = Elements(write_report(demo).read_text()).text
    assert "Cannot show 0001.mp4:" in text
    assert "2 of 2 videos shown" in text


def test_stops_embedding_where_the_page_would_grow_too_large(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed((demo / "generated" / "0000.mp4").read_bytes()).size
    monkeypatch.setattr(page, "VIDEOS_BYTES", int(1.5 * one))
    assert "1 of 4 videos shown" in Elements(page.render(demo)).text


def test_a_sum_that_misses_items_is_an_alarm(tmp_path: Path) -> None:
    demo = DEMO["make_demo"](tmp_path / "demo", videos=1)
    figures = json.loads((demo / "figures.json").read_text())
    figures["funnel"]["sources"]["listed"] += 2
    (demo / "figures.json").write_text(json.dumps(figures))
    assert "✗ inconsistent: 2 unaccounted for" in Elements(page.render(demo)).text


@pytest.mark.parametrize(("low", "obeys"), [(0.81, True), (0.4, False)])
def test_claims_obedience_only_where_the_lower_bound_holds(tmp_path: Path, low: float, obeys: bool) -> None:
    figures = {"n": 128, "colour": 0.93, "colour_low": 0.9, "direction": 0.9, "direction_low": low}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    assert ("follows its prompts" in page.render(tmp_path)) is obeys


def test_command_writes_the_page(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--demo", str(demo), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert Path(printed["report"]).stat().st_size == printed["bytes"]


def test_losses_come_from_the_plainest_columns(tmp_path: Path) -> None:
    log = tmp_path / "dit" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text(
        "step,train_loss_of_colour,train_loss,val_loss,lr\n0,9,2.0,,1\n10,9,nan,,1\n10,,,1.5,\n20,9,1.0,,1\n"
    )
    train, validation = reading.losses(tmp_path / "dit")  # type: ignore[misc]
    assert (train.name, train.steps, train.values, train.num_not_finite) == (
        "train_loss",
        [0, 20],
        [2.0, 1.0],
        1,
    )
    assert (validation.name, validation.values) == ("val_loss", [1.5])


def test_a_resumed_run_has_one_curve_over_all_its_logs(tmp_path: Path) -> None:
    for version, text in (("0", "step,train/loss\n0,3\n1,2\n2,9\n"), ("1", "step,train/loss\n2,1.5\n3,1\n")):
        log = tmp_path / "logs" / f"version_{version}" / "metrics.csv"
        log.parent.mkdir(parents=True)
        log.write_text(text)
        os.utime(log, (int(version), int(version)))
    (curve,) = reading.losses(tmp_path)  # type: ignore[misc]
    assert (curve.steps, curve.values) == ([0, 1, 2, 3], [3.0, 2.0, 1.5, 1.0])


def test_fidelity_is_no_loss(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,train/loss,val/psnr_db\n0,3,\n1,,21.5\n")
    assert [curve.name for curve in reading.psnr(tmp_path)] == ["val/psnr_db"]
    assert [curve.name for curve in reading.losses(tmp_path)] == ["train/loss"]  # type: ignore[union-attr]


def test_no_log_is_missing(tmp_path: Path) -> None:
    assert isinstance(reading.losses(tmp_path / "vae"), Missing)


def test_a_small_video_is_taken_over_byte_for_byte() -> None:
    data = DEMO["mp4"]()
    assert embed(data).uri == data_uri("video/mp4", data)


def test_a_wide_video_is_made_smaller_and_keeps_its_times() -> None:
    data = DEMO["mp4"](width=640, height=272, num_frames=12)
    shown = embed(data)
    frames_THWC, times_T = read_clip(base64.b64decode(shown.uri.partition(",")[2]))
    assert frames_THWC.shape == (12, 136, MAX_WIDTH_PX, 3)
    assert times_T.tolist() == pytest.approx(read_clip(data)[1].tolist(), abs=1e-3)
    assert (shown.width, shown.changed) == (640, "shown 320 px wide")


def test_what_is_no_video_is_refused() -> None:
    with pytest.raises(ValueError, match="NOT_MEDIA"):
        embed(b"some text that is no video")


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 100, [0, 50, 100]), (0, 1500, [0, 500, 1000, 1500]), (0.11, 0.19, [0.1, 0.12, 0.14, 0.16, 0.18])],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert charts.ticks(low, high) == wanted


def test_a_loss_that_falls_far_gets_a_logarithmic_axis() -> None:
    def drawn(last: float) -> str:
        return str(charts.step_chart([curve([1.0, last])], name="VAE"))

    assert "loss, logarithmic" in drawn(0.05)
    assert "loss, logarithmic" not in drawn(0.5)
    assert 'aria-label="VAE: loss from 1 to 0.5, over 1 steps"' in drawn(0.5)


def test_a_long_curve_is_drawn_as_means() -> None:
    long = curve([float(i % 2) for i in range(1000)])
    points = charts.downsampled(long)
    assert charts.stride(long) == 9
    assert len(points) == 112
    assert points[1] == (13.0, pytest.approx(5 / 9))


def curve(values: list[float]) -> Curve:
    return Curve(name="loss", steps=list(range(len(values))), values=values, num_not_finite=0)
