"""The corpus of odd files through the whole of curation: each file that is listed is a row, good or failed
with the code that the corpus' table names, none takes another down, and everything adds up."""

from pathlib import Path

import pytest
from golden_cases import make_cases, make_truncated
from test_video_frames_golden_corpus import EXPECTED

from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.config import CurateConfig
from pipeline.jobs.curate import curate
from pipeline.sources.stat import path_to_uri


def outcomes(paths: dict[str, Path], folder: Path, uri: str) -> dict[str, str]:
    """Curate `folder`; return OK or the failure's code of each listed file, by its name in the corpus."""
    report = curate(str(folder), uri, CurateConfig())
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    assert report.listed == report.analyzed + sum(report.failed.values())
    assert curate(str(folder), uri, CurateConfig()).nothing_left
    names = {path_to_uri(str(path.absolute())): name for name, path in paths.items()}
    failures = LiveView(dataset).failures.to_pylist()
    codes = {row["unit"]: row["code"] for row in failures if row["stage"] == "analyze"}
    rows = LiveView(dataset).sources.to_pylist()
    assert len(rows) == report.listed
    ends = {r["uri"]: "OK" if r["status"] == "ok" else codes[r["source_key"]] for r in rows}
    assert all(end != "OK" for each, end in ends.items() if Path(each).is_dir())
    return {names.get(each, Path(each).name): end for each, end in ends.items() if not Path(each).is_dir()}


def expected(names: dict[str, str]) -> dict[str, str]:
    return {name: EXPECTED[name].split()[0] for name in names}


def test_named_files_end_as_the_table_says(tmp_path):
    found = outcomes(make_cases(tmp_path / "named"), tmp_path / "named", str(tmp_path / "d"))
    assert found.pop("real.mp4") == "OK"  # a link's target, and a loop's other half
    assert found.pop("a.mp4") == found["place/loop-of-two"]
    assert (
        found.pop("packets/of-zeros.mp4") == "OK"
    )  # damage within a file is a gap: what is around it is kept
    assert len(found) > 60
    assert found == expected(found)


@pytest.mark.slow
def test_truncated_files_end_as_the_table_says(tmp_path):
    found = outcomes(make_truncated(tmp_path / "cut"), tmp_path / "cut", str(tmp_path / "d"))
    assert len(found) > 150
    assert found == expected(found)
