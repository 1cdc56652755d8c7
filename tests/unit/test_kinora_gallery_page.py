"""The gallery: all that is shown lies beside the page, failures as openly as successes."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from kinora.cli.main import main
from kinora.evaluation.config import ROWS
from kinora.evaluation.figures import gain, share
from kinora.evaluation.results import write_media
from kinora.gallery.page import TITLES, write_gallery


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
    page = write_gallery(results, tmp_path / "out", videos=3).read_text()
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
    page = write_gallery(results, tmp_path / "out", videos=1).read_text()
    assert "≥ 0.95" in page
    assert re.search(r"&gt; 0 <span class=\"hit\"", page)


def test_a_gallery_is_replaced_and_nothing_else_is(results, tmp_path):
    out = tmp_path / "out"
    write_gallery(results, out, videos=3)
    write_gallery(results, out, videos=1)
    assert len([*out.rglob("*.mp4")]) == 1
    (out / "index.html").write_text("mine")
    with pytest.raises(ValueError, match=r"another index.html"):
        write_gallery(results, out, videos=1)


def test_a_folder_without_results_is_refused_with_the_remedy(tmp_path, capsys):
    flags = ["--results", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["gallery", *flags]) == 2
    assert "kinora bench sora" in capsys.readouterr().err
