"""The gallery: all that is shown lies beside the page, failures as openly as successes."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from kinora.cli.main import main
from kinora.evaluation.config import ROWS
from kinora.evaluation.figures import gain, share
from kinora.evaluation.results import write_media
from kinora.gallery.page import COMPARISONS, TITLES, write_gallery
from kinora.training.compare import COMPARISONS as TRAININGS


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    frames_THWC = np.full((5, 32, 32, 3), 120, np.uint8)
    samples = []
    for index in range(4):
        file, given = f"animate/videos/shapes-{index:04d}.mp4", f"animate/given/shapes-{index:04d}-0.png"
        for path, frames in ((file, frames_THWC), (given, frames_THWC[:1])):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_media(folder / path, frames, 8.0)
        samples.append(
            {
                "group": "shapes",
                "index": index,
                "prompt": f"a <red> circle {index}",
                "seed": index,
                "size": "32x32",
                "verdict": {"motion": index > 0, "psnr_db": 31.2},
                "file": file,
                "given": [{"flag": "--image", "file": given}],
                "command": f"kinora generate 'a <red> circle {index}' --image {given} --seed {index}",
            }
        )
    figures = [
        share("image_motion", [False, True, True, True], goal=0.95, chance=[False]),
        gain("image_gain", [0.5, 0.5], [1.0, 0.75]),
    ]
    content = {"row": "animate", "figures": [asdict(figure) for figure in figures], "samples": samples}
    (folder / "animate" / "row.json").write_text(json.dumps(content))
    summary = {
        "settings": {"model": "runs/dit", "steps": 24, "guidance": 3.0},
        "seed": 5,
        "rows": ["animate"],
        "failed": {"loop": "ValueError: a window is too short"},
        "figures": {},
    }
    (folder / "results.json").write_text(json.dumps(summary))
    return folder


def test_the_page_shows_the_first_videos_with_verdicts_and_commands(results, tmp_path):
    page = write_gallery([results], tmp_path / "out", videos=3).read_text()
    files = re.findall(r'src="(media/[^"]+)"', page)
    assert len(files) == 6
    assert all((tmp_path / "out" / file).stat().st_size > 0 for file in files)
    assert page.count("<video") == page.count("autoplay muted loop playsinline") == 3
    assert page.count('class="chip wrong"') == 1
    assert "a &lt;red&gt; circle 0" in page
    assert "circle 3" not in page
    assert "--image media/animate/given/shapes-0000-0.png" in page
    assert "1 of 2 goals met" in page
    assert "a window is too short" in page


def test_every_row_has_a_title_and_goals_show_how_they_compare(results, tmp_path):
    assert {*TITLES} == {*ROWS}
    page = write_gallery([results], tmp_path / "out", videos=1).read_text()
    assert "≥ 0.95" in page
    assert re.search(r"&gt; 0 <span class=\"hit\"", page)


@pytest.fixture
def comparison(tmp_path):
    folder = tmp_path / "framing"
    (folder).mkdir()
    (folder / "plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    for run in ("square-0", "square-1", "native-0", "native-1"):
        judged = folder / run / "judged"
        (judged / "framing" / "videos").mkdir(parents=True)
        model = str(tmp_path / "elsewhere" / run)
        write_media(judged / "framing" / "videos" / "0.mp4", np.full((5, 32, 32, 3), 90, np.uint8), 8.0)
        sample = {
            "group": "framing",
            "index": 0,
            "prompt": f"a star of {run}",
            "seed": 0,
            "size": "32x32",
            "verdict": {"framed": run.startswith("native")},
            "file": "framing/videos/0.mp4",
            "given": [],
            "command": f"kinora generate 'a star of {run}' --model {model} --seed 0",
        }
        (judged / "framing" / "row.json").write_text(json.dumps({"figures": [], "samples": [sample]}))
        (judged / "results.json").write_text(json.dumps({"settings": {"model": model}}))
    arms = [
        {"name": name, "row": "framing", "group": "framing", "runs": [f"{name}-0", f"{name}-1"]}
        for name in ("square", "native")
    ]
    table = [asdict(gain("framing_native_over_square", [0.0], [1.0], goal=0.15))]
    content = {"comparison": "framing", "steps": 1000, "seeds": [0, 1], "arms": arms, "table": table}
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_comparisons_of_trainings_follow_the_rows(results, comparison, tmp_path):
    assert {*COMPARISONS} == {*TRAININGS}
    page = write_gallery([comparison, results], tmp_path / "out", videos=1).read_text()
    assert page.index('id="animate"') < page.index('id="compare-framing"')
    assert "4 videos judged" in page
    assert "native over square" in page
    shown = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")]
    assert sorted(shown)[-2:] == [
        f"media/framing/{name}-0/framing/videos/0.mp4" for name in ("native", "square")
    ]
    assert (tmp_path / "out" / "media" / "framing" / "plot.svg").exists()
    assert "<span>--model native-0</span>" in page
    assert str(tmp_path) not in page


def test_of_two_results_with_a_row_the_later_one_counts(results, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(results, other)
    summary = json.loads((other / "results.json").read_text())
    summary["settings"]["model"], summary["failed"] = "runs/later", {}
    (other / "results.json").write_text(json.dumps(summary))
    flags = [word for folder in (results, other) for word in ("--results", str(folder))]
    assert main(["gallery", *flags, "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('id="animate"') == 1
    assert "Model runs/later, seed 5, 24 steps, guidance 3." in page


def test_a_gallery_is_replaced_and_nothing_else_is(results, tmp_path):
    out = tmp_path / "out"
    write_gallery([results], out, videos=3)
    write_gallery([results], out, videos=1)
    assert len([*out.rglob("*.mp4")]) == 1
    (out / "index.html").write_text("mine")
    with pytest.raises(ValueError, match=r"another index.html"):
        write_gallery([results], out, videos=1)


def test_a_folder_without_results_is_refused_with_the_remedy(tmp_path, capsys):
    flags = ["--results", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["gallery", *flags]) == 2
    assert "kinora bench sora" in capsys.readouterr().err
