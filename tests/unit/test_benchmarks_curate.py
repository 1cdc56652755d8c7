"""The benchmark of curation measures everything that it promises, on files cut from one without encoding."""

import json
import subprocess
import sys

import av
import numpy as np
import pytest

from benchmarks.curate import decode_encode, decode_only
from benchmarks.film import parts
from video.encode import encode_mp4


@pytest.mark.slow
def test_a_smoke_run_gives_every_pinned_figure_that_it_measured_and_no_other():
    command = [sys.executable, "-m", "kinora", "bench", "curate", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert {
        "analysis_over_decode",
        "curate_over_decode_plus_encode",
        "clips_per_s",
        "sandbox_cost_share",
        "two_worker_speedup",
        "overhead_ms_per_clip",
    } <= set(figures)
    assert figures["files"] == 2
    assert "speedup_over_data_juicer" not in figures


def test_parts_of_a_film_are_its_frames_from_key_frame_to_key_frame(tmp_path):
    one_HWC = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)  # key frames by `gop` alone
    encode_mp4(np.stack([one_HWC] * 48), 24, tmp_path / "film.mp4", gop=12)
    paths = parts(tmp_path / "film.mp4", tmp_path, count=2, seconds=0.9)
    assert [decode_only(path) for path in paths] == [24, 24]
    with av.open(paths[1]) as container:
        assert container.streams.video[0].start_time == 0


def test_the_plain_encoder_writes_a_file_for_each_span(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "raw.mp4"
    encode_mp4(random.integers(0, 255, (24, 32, 48, 3), np.uint8), 24, path)
    with av.open(str(path)) as container:
        pts = [frame.pts or 0 for frame in container.decode(video=0)]
    one = decode_encode(str(path), ((pts[0], pts[12]),))
    both = decode_encode(str(path), ((pts[0], pts[12]), (pts[12], pts[23] + 1)))
    assert 0 < one < both
