"""Every file of the corpus ends as the table says, and none takes anything else down.

`python tests/golden/regenerate.py` writes the table.
"""

import json
import os
from collections import Counter

import golden_formats
import numpy as np
import pytest
from golden_cases import MUTATIONS, TRUNCATIONS, make_cases, make_mutated, make_truncated
from golden_contents import BASES
from golden_media import expected_patches
from golden_run import count, run
from regenerate import TABLE, make_formats

from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames

EXPECTED = json.loads(TABLE.read_text())
OUTCOMES = {"OK", *VideoErrorCode}
TOLERANCE = 10
"""Of 255, for a quarter of a picture: cheap encoders at low rates."""
LOSES_COLOR = ("gif", "msvideo1", "rpza", "xface", "pgm", "pgmyuv", "pbm", "xbm", "wbmp", "phm", "vbn")
"""Codecs of few colors or none, and one (phm) that FFmpeg writes upside down."""
DAMAGED_IN = ("asf_stream", "wtv", "mpeg", "vob", "dvd", "vcd", "svcd")
"""Containers in which what FFmpeg wrote of some codecs does not come back, by FFmpeg itself either."""


def read(paths):
    results = dict(zip(paths, run(paths.values()), strict=True))
    escaped = {name: result for name, result in results.items() if result.outcome not in OUTCOMES}
    assert not escaped
    return results


def assert_as_expected(results):
    rows = {name: result.row for name, result in results.items()}
    assert rows == {name: EXPECTED[name] for name in rows}


def test_named_files(tmp_path):
    results = read(make_cases(tmp_path / "named"))
    assert_as_expected(results)
    unheld = {name for name in EXPECTED if name.split("/")[0] not in ("truncated", "format")} - {*results}
    assert unheld <= {"place/forbidden"}
    assert ("place/forbidden" in results) == bool(os.geteuid())


def test_truncated_files(tmp_path):
    results = read(make_truncated(tmp_path / "truncated"))
    assert len(results) == TRUNCATIONS * len(BASES)
    assert_as_expected(results)
    whole = [name for name, result in results.items() if result.outcome == "OK"]
    assert len(whole) < 0.03 * len(results)  # a transport stream states no end


def test_a_truncated_picture_ends_the_same_where_damage_is_skipped(tmp_path):
    paths = make_truncated(tmp_path / "truncated")
    pictures = [name for name in paths if name.split("/")[1].startswith("photo.")]
    assert len(pictures) > TRUNCATIONS
    for name in pictures:
        try:
            ending = "OK" if list(read_frames(paths[name], skip_damage=True)) else ""
        except VideoError as error:
            ending = error.code
        assert (name, ending) == (name, EXPECTED[name].split()[0])


@pytest.mark.parametrize("number_of_files", [pytest.param(MUTATIONS, id="all")])
def test_mutated_files_end_well(tmp_path, number_of_files):
    paths = make_mutated(tmp_path / "mutated", number_of_files)
    results = read(paths)
    counts = count(results.values())
    assert sum(counts.values()) == number_of_files
    assert counts["OK"] < number_of_files  # some did hit
    assert all(result.frames == 0 or result.size is not None for result in results.values())


def check_formats(tmp_path, quick):
    counts = Counter()
    results = read(make_formats(tmp_path / "format", counts, quick))
    assert counts["written"] == len(results)
    assert counts["refused"] > 0
    assert_as_expected(results)
    for name, result in results.items():
        codec, container = name.removeprefix("format/").split(".")
        if result.outcome == "OK" and codec not in LOSES_COLOR and container not in DAMAGED_IN:
            expected = [expected_patches(number) for number in range(len(result.patches))]
            difference = np.abs(np.array(result.patches) - np.array(expected)).max()
            assert difference <= TOLERANCE, f"{name}: off by {difference}"
    return results


def test_common_containers_of_every_codec(tmp_path):
    results = check_formats(tmp_path, quick=True)
    assert {name.split("/")[1].split(".")[0] for name in results} == {
        encoder.name for encoder in golden_formats.encoders()[0]
    }


@pytest.mark.slow
def test_every_codec_in_every_container(tmp_path):
    results = check_formats(tmp_path, quick=False)
    assert {*results} == {name for name in EXPECTED if name.startswith("format/")}
