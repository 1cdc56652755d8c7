"""`kinora fvd` with a tiny random VideoMAE, with a function, and on bad input."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    TimesformerConfig,
    TimesformerModel,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessor,
    VivitConfig,
    VivitImageProcessor,
    VivitModel,
    VJEPA2Config,
    VJEPA2Model,
    VJEPA2VideoProcessor,
)

from kinora.cli.main import main
from kinora.evaluation.video_network import load_network
from video.encode import encode_mp4

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
}
CROP = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


def save(folder, model, processor) -> str:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def videomae(tmp_path_factory) -> str:
    torch.manual_seed(0)
    config = VideoMAEConfig(**SMALL, patch_size=8, num_frames=16, decoder_num_hidden_layers=1)
    model = VideoMAEForVideoClassification(config)
    return save(tmp_path_factory.mktemp("n") / "tiny-videomae", model, VideoMAEImageProcessor(**CROP))


def write_videos(folder, num: int, *, brightness: int = 0, frames: int = 17, size=(40, 56), seed: int = 0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(num):
        shape = (frames, size[0] // 8, size[1] // 8, 3)
        noise = rng.integers(0, 160, shape).repeat(8, axis=1).repeat(8, axis=2)
        encode_mp4((noise + brightness).astype(np.uint8), 8.0, folder / f"{number:02d}.mp4")
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder / "real", 32)
    write_videos(folder / "generated" / "nested", 16, brightness=90, size=(48, 48), seed=1)
    return folder


def fvd(capsys, *arguments: object) -> tuple[int, dict]:
    code = main(["fvd", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_other_videos_are_far_and_the_same_ones_are_not(videomae, sets, capsys):
    shared = ("--real", sets / "real", "--network", videomae)
    code, other = fvd(capsys, *shared, "--generated", sets / "generated")
    assert code == 0
    assert (other["real"], other["generated"], other["frames"], other["features"]) == (32, 16, 16, 16)
    assert other["network"] == "tiny-videomae"
    _, same = fvd(capsys, *shared, "--generated", sets / "real")
    assert same["fvd"] < 1e-6 < same["fvd_real_halves"] < other["fvd"]


def test_features_are_the_mean_of_the_last_tokens(videomae):
    network = load_network(videomae)
    frames_THWC = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    model = VideoMAEForVideoClassification.from_pretrained(videomae)
    pixels = VideoMAEImageProcessor.from_pretrained(videomae)([*frames_THWC], return_tensors="pt")
    wanted_F = model.videomae(**pixels).last_hidden_state[0].mean(dim=0).detach()
    assert network(frames_THWC) == pytest.approx(wanted_F.numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", ["timesformer", "vivit", "vjepa2"])
def test_other_video_models_are_read(kind, tmp_path):
    torch.manual_seed(0)
    if kind == "timesformer":
        model = TimesformerModel(TimesformerConfig(**SMALL, patch_size=8, num_frames=4))
        processor = VideoMAEImageProcessor(**CROP)
    elif kind == "vivit":
        model = VivitModel(
            VivitConfig(**SMALL, num_frames=4, tubelet_size=[2, 8, 8]), add_pooling_layer=False
        )
        processor = VivitImageProcessor(**CROP)
    else:
        sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "crop_size": 32}
        predictor = {f"pred_{name}": sizes[name] for name in [*sizes][:3]}
        model = VJEPA2Model(VJEPA2Config(**sizes, **predictor, patch_size=8, frames_per_clip=4))
        processor = VJEPA2VideoProcessor(**CROP)
    network = load_network(save(tmp_path / kind, model, processor))
    assert network.frames == 4
    bright, dark = (np.full((4, 40, 60, 3), value, np.uint8) for value in (250, 5))
    assert network(bright).shape == (model.config.hidden_size,)
    assert not np.allclose(network(bright), network(dark))


def test_a_function_of_your_own_gets_frames_as_they_are(sets, tmp_path, capsys, monkeypatch):
    (tmp_path / "own_features.py").write_text(
        "def colours(frames_THWC):\n"
        "    assert frames_THWC.shape[0] == 5 and frames_THWC.dtype == 'uint8'\n"
        "    return frames_THWC.mean(axis=(0, 1, 2))\n"
        "def picture(frames_THWC):\n"
        "    return frames_THWC[0]\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shared = ("--real", sets / "real", "--generated", sets / "generated")
    code, data = fvd(capsys, *shared, "--network", "own_features:colours", "--frames", 5, "--fps", 4)
    assert (code, data["features"]) == (0, 3)
    assert data["fvd"] > 3 * 80**2 * 0.8
    for name, words in [
        ("own_features:picture", "must be a vector"),
        ("own_features:number", "is a int"),
        ("own_features:absent", "cannot be imported"),
        ("no_such_module:x", "cannot be imported"),
    ]:
        assert main(["fvd", *map(str, shared), "--network", name, "--frames", "5"]) == 2
        assert words in capsys.readouterr().err


def test_files_that_cannot_be_used_are_named(sets, videomae, tmp_path, capsys):
    real = write_videos(tmp_path / "real", 16)
    write_videos(real / "short", 1, frames=9)
    (real / "broken.mp4").write_bytes(b"no video")
    arguments = ("--real", real, "--generated", sets / "generated", "--network", videomae)
    code, data = fvd(capsys, *arguments)
    assert (code, data["real"]) == (10, 16)
    reasons = {each["path"].rpartition("/")[2]: each["reason"] for each in data["failed"]}
    assert reasons["00.mp4"] == "9 frames are fewer than 16"
    assert "NOT_MEDIA" in reasons["broken.mp4"]
    code, _ = fvd(capsys, *arguments, "--max-failed", 0.5)
    assert code == 0


def test_a_list_and_a_limit_choose_videos(sets, videomae, tmp_path, capsys):
    files = sorted((sets / "real").iterdir())
    (tmp_path / "list.txt").write_text("\n".join(map(str, files[:20])) + "\n\n")
    arguments = ("--real", tmp_path / "list.txt", "--generated", sets / "real", "--network", videomae)
    _, data = fvd(capsys, *arguments, "--max-videos", 18)
    assert (data["real"], data["generated"]) == (18, 18)


def test_what_a_small_set_is_worth_is_said(sets, videomae, tmp_path, capsys):
    slow = write_videos(tmp_path / "slow", 16, frames=48)
    shared = ["fvd", "--real", str(sets / "real"), "--network", videomae]
    assert main([*shared, "--generated", str(slow), "--pick", "spread"]) == 0
    printed = capsys.readouterr().out
    assert "fewer videos than features (16): the distance comes out too large" in printed
    assert "span 2.00 s, of a generated one 5.88 s" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"real": "absent"}, "--real absent: no such folder"),
        ({"generated": "few"}, "3 generated videos are too few: give 16 or more"),
        ({"real": "empty"}, "holds no videos"),
        ({"network": "absent"}, "--network absent: no such folder"),
        ({"network": "pickled"}, "pytorch_model.bin is in Python's pickle format"),
        ({"network": "scripted/i3d.pt"}, "this is a file"),
        ({"network": "text"}, "no video model that transformers loads"),
        ({"frames": "12"}, "cannot read 12 frames"),
        ({"pick": "spread", "fps": "8"}, "--fps is for --pick first"),
    ],
)
def test_bad_input_is_one_line(change, words, sets, videomae, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_videos(tmp_path / "few", 3)
    for name in ("empty", "pickled", "scripted", "text"):
        (tmp_path / name).mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    (tmp_path / "scripted" / "i3d.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "text" / "model.safetensors").write_bytes(b"")
    (tmp_path / "text" / "config.json").write_text('{"model_type": "no_such_type"}')
    settings = {"real": sets / "real", "generated": sets / "generated", "network": videomae, **change}
    assert main(["fvd", *(word for key, value in settings.items() for word in (f"--{key}", str(value)))]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_weights_that_lack_a_layer_are_refused(videomae, tmp_path):
    from safetensors.torch import load_file, save_file

    VideoMAEForVideoClassification.from_pretrained(videomae).save_pretrained(tmp_path)
    VideoMAEImageProcessor(**CROP).save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop(next(key for key in state if "layer.1" in key))
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="which would be random"):
        load_network(str(tmp_path))
