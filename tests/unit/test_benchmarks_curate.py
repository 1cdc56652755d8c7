"""`benchmarks.curate` returns every pinned figure; `benchmarks.film` cuts without encoding."""

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
def test_a_quick_run_returns_the_measured_figures_only():
    command = [sys.executable, "-m", "kinora", "bench", "curate", "--quick", "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    figures = json.loads(completed.stdout.splitlines()[-1])["figures"]
    assert {
        "analysis_over_decode",
        "analysis_ms_per_frame",
        "curate_over_decode_plus_encode",
        "clips_per_s",
        "sandbox_cost_share",
        "two_worker_speedup",
        "overhead_ms_per_clip",
    } <= set(figures)
    assert figures["files"] == 2
    assert "speedup_over_data_juicer" not in figures


def test_parts_span_key_frames_and_start_at_zero(tmp_path):
    one_HWC = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)  # key frames by `gop` alone
    encode_mp4(np.stack([one_HWC] * 48), 24, tmp_path / "film.mp4", gop=12)
    paths = parts(tmp_path / "film.mp4", tmp_path, count=2, seconds=0.9)
    assert [decode_only(path) for path in paths] == [24, 24]
    with av.open(paths[1]) as container:
        assert container.streams.video[0].start_time == 0


def test_decode_encode_writes_one_file_per_span(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "raw.mp4"
    encode_mp4(random.integers(0, 255, (24, 32, 48, 3), np.uint8), 24, path)
    with av.open(str(path)) as container:
        pts = [frame.pts or 0 for frame in container.decode(video=0)]
    one = decode_encode(str(path), ((pts[0], pts[12]),))
    both = decode_encode(str(path), ((pts[0], pts[12]), (pts[12], pts[23] + 1)))
    assert 0 < one < both
