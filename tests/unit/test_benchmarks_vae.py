"""The benchmark of the VAE streams what it says, and its limits can fail."""

import pytest

from benchmarks import vae
from benchmarks.vae_child import errors, round_trip, shipped_vae


def test_memory_is_compared_with_that_of_the_shorter_video(monkeypatch):
    calls: list[tuple[str, int, int, int]] = []

    def child(task: str, latents: int, height: int, width: int, seed: int) -> dict[str, float]:
        calls.append((task, latents, height, width))
        if task == "errors":
            return {"stream_max_abs_error": 0.5, "chunks_max_abs_error": 0.25}
        return {"peak_mb": 100.0 + latents, "cpu_s": 1.0}

    monkeypatch.setattr(vae, "child", child)
    figures = vae.bench(quick=False, seed=0).figures
    assert calls[:4] == [
        ("round_trip", 30, 144, 256),
        ("round_trip", 360, 144, 256),
        ("decode", 30, 1080, 1920),
        ("decode", 30, 1920, 1080),
    ]
    assert figures["stream_memory_ratio_60s_over_5s"] == pytest.approx(460 / 130)
    assert figures["peak_rss_mb_1080p"] == 130
    assert figures["stream_max_abs_error"] == 0.5


def test_a_failed_measurement_is_an_error():
    with pytest.raises(ChildProcessError, match="no such task"):
        vae.child("no such task", 1, 8, 8, 0)


def test_a_round_trip_streams_every_frame_and_errors_are_rounding():
    network = shipped_vae(0)
    assert round_trip(network, 3, 16, 24)["frames"] == 9
    figures = errors(network, 3, 16, 24)
    assert 0 <= figures["stream_max_abs_error"] < 1e-4
    assert 0 <= figures["chunks_max_abs_error"] < 1e-4
