"""A long file is shared out among tasks on Ray, and the dataset is the one that whole files give."""

import numpy as np
import pytest
from shot_scenes import FPS, joined

from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.analyze import batches
from pipeline.config import AnalyzeConfig, CurateConfig, ScorersConfig
from pipeline.jobs.curate import curate
from video.encode import VideoWriter


@pytest.mark.parametrize(
    "scorers", [pytest.param(ScorersConfig(), marks=pytest.mark.slow), ScorersConfig(logo=True)]
)
def test_a_long_file_is_analysed_by_several_tasks(tmp_path, monkeypatch, scorers):
    raw = tmp_path / "raw"
    raw.mkdir()
    frames, truth = joined(["cut", "dissolve"] * 4, 12)
    for name, some in (("long", frames), ("short", frames[:60])):
        with VideoWriter(raw / f"{name}.mp4", height=90, width=160, fps=FPS) as out:
            for index, rgb_HWC in enumerate(some):
                out.write(np.ascontiguousarray(rgb_HWC), index)
    (raw / "broken.mp4").write_bytes(b"no film" * 100_000)
    whole = rows(str(raw), str(tmp_path / "whole"), AnalyzeConfig(min_chunk_s=0, scorers=scorers))
    monkeypatch.setattr(batches, "_MIN_CHUNK_BYTES", 1000)
    monkeypatch.setattr(batches, "_TASK_SOURCES", 2**20)
    shared = rows(str(raw), str(tmp_path / "shared"), AnalyzeConfig(min_chunk_s=4, scorers=scorers))
    assert shared == whole
    assert len(shared["clips"]) == len(truth) + 1 + 1
    parts = Dataset.open(tmp_path / "shared").parts("clips")
    assert len(parts) > len(Dataset.open(tmp_path / "whole").parts("clips"))


def rows(raw: str, uri: str, config: AnalyzeConfig) -> dict[str, list[dict]]:
    report = curate(raw, uri, CurateConfig(analyze=config))
    assert (report.listed, report.analyzed, report.failed) == (3, 2, {"NOT_MEDIA": 1})
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    assert curate(raw, uri, CurateConfig(analyze=config)).nothing_left
    tables = {
        "sources": LiveView(dataset).sources,
        "clips": LiveView(dataset).clips,
        "gaps": LiveView(dataset).read("gaps"),
    }
    return {
        name: sorted(
            ({key: value for key, value in row.items() if key != "analyze_s"} for row in table.to_pylist()),
            key=str,
        )
        for name, table in tables.items()
    }
