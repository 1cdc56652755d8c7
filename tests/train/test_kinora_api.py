"""The Python interface: every verb from files and arrays, saved with its provenance."""

import numpy as np
import pytest

import kinora
from kinora import Request, SampleConfig
from video.encode import encode_mp4
from video.tags import read_tags

QUICK = SampleConfig(steps=2)
SMALL = {"size": (32, 32), "seconds": 0.5, "sample": QUICK}


@pytest.fixture(scope="module")
def model(legacy_model):
    return kinora.load_model(legacy_model, device="cpu")


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    frames_THWC = np.full((9, 32, 32, 3), 90, np.uint8)
    for t in range(9):
        frames_THWC[t, 8:16, 2 * t : 2 * t + 8] = (250, 30, 30)
    return frames_THWC


def test_text_and_its_seed_make_one_video(model):
    video = kinora.generate(model, "a red circle", seed=3, **SMALL)
    again = kinora.generate(model, "a red circle", seed=3, **SMALL)
    other = kinora.generate(model, "a red circle", seed=4, **SMALL)
    assert video.frames_THWC.shape == (5, 32, 32, 3)
    assert np.array_equal(video.frames_THWC, again.frames_THWC)
    assert not np.array_equal(video.frames_THWC, other.frames_THWC)
    assert video.notes == (
        "the model was never trained on 32x32 (it knows 48x80, 64x64) and 5 frames (it knows 9)",
    )


def test_a_video_is_saved_with_its_provenance_and_never_replaces_another(model, tmp_path):
    video = kinora.generate(model, "a red circle", seed=2**63, negative_prompt="noise", **SMALL)
    path = video.save(tmp_path / "a.webm")
    made = kinora.read_provenance(path)
    assert made == video.provenance
    assert (made.prompt, made.seed, made.verb, made.negative_prompt) == (
        "a red circle",
        str(2**63),
        "text",
        "noise",
    )
    assert made.weights_digest == "7ccc0342672c62ea33603d8022557599"
    assert made.vae_digest == model.vae_digest != ""
    with pytest.raises(ValueError, match="already exists"):
        video.save(path)
    with pytest.raises(ValueError, match=r"add --frames 1, or name a video such as b\.mp4"):
        video.save(tmp_path / "b.png")


def test_an_extension_holds_the_given_frames_once_and_as_many_new_ones_as_asked(model, clip):
    forward = kinora.generate(model, "x", video=clip, extend="forward", **SMALL)
    assert forward.frames_THWC.shape == (13, 32, 32, 3)
    assert np.array_equal(forward.frames_THWC[:9], clip)
    backward = kinora.generate(model, "x", video=clip, extend="backward", **SMALL)
    assert backward.frames_THWC.shape == (14, 32, 32, 3)
    assert np.array_equal(backward.frames_THWC[5:], clip)
    new = kinora.generate(model, "x", video=clip, extend="backward", new_part_only=True, **SMALL)
    assert np.array_equal(new.frames_THWC, backward.frames_THWC[:5])


def test_two_videos_are_joined_and_both_are_kept(model, clip):
    video = kinora.generate(model, "x", connect=(clip, clip[::-1].copy()), **SMALL)
    assert video.frames_THWC.shape == (22, 32, 32, 3)
    assert np.array_equal(video.frames_THWC[:9], clip)
    assert np.array_equal(video.frames_THWC[13:], clip[::-1])
    wide = np.zeros((9, 32, 64, 3), np.uint8)
    fitted = kinora.generate(model, "x", connect=(clip, wide), **SMALL)
    assert "the inputs are 32x32, 64x32: all are fitted to 32x32" in fitted.notes
    assert any("50% of 64x32 is cropped away" in note for note in fitted.notes)


def test_a_loop_takes_whole_groups_of_a_given_video(model, clip):
    whole = kinora.generate(model, "x", loop=True, size=(32, 32), seconds=1, sample=QUICK)
    assert whole.frames_THWC.shape == (8, 32, 32, 3)
    video = kinora.generate(model, "x", loop=True, video=clip, **SMALL)
    assert video.frames_THWC.shape == (12, 32, 32, 3)
    assert np.array_equal(video.frames_THWC[:8], clip[:8])
    assert "--video: its last 1 of 9 frames are left out: a loop takes a multiple of 4" in video.notes
    with pytest.raises(ValueError, match=r"too few frames to loop \(3\)"):
        kinora.generate(model, "x", loop=True, video=clip[:3], **SMALL)


def test_images_stand_where_they_are_told_to(model, clip):
    video = kinora.generate(model, "x", image=[clip[0], clip[8]], at_frame=[0, -1], **SMALL)
    assert video.frames_THWC.shape == (5, 32, 32, 3)
    with pytest.raises(ValueError, match="--at-frame 5: the video has frames 0 to 4"):
        kinora.generate(model, "x", image=clip[0], at_frame=5, **SMALL)
    with pytest.raises(ValueError, match="new-part-only leaves out the frames of a given video"):
        kinora.generate(model, "x", image=clip[0], new_part_only=True, **SMALL)


def test_an_edit_is_as_long_as_the_video_and_at_strength_0_its_round_trip(model, clip):
    edits = [
        kinora.generate(model, "x", video=clip[:7], strength=strength, size=(32, 32), sample=QUICK)
        for strength in (0.0, 1.0)
    ]
    assert [edit.frames_THWC.shape for edit in edits] == [(7, 32, 32, 3)] * 2
    errors = [np.abs(edit.frames_THWC.astype(int) - clip[:7]).mean() for edit in edits]
    assert errors[0] < errors[1]


def test_without_a_size_the_trained_one_most_like_the_input_is_taken(model, tmp_path):
    encode_mp4(np.zeros((3, 160, 90, 3), np.uint8), 8, tmp_path / "a.mp4")
    video = kinora.generate(model, "x", video=tmp_path / "a.mp4", extend="forward", frames=4, sample=QUICK)
    assert video.frames_THWC.shape == (7, 80, 48, 3)


def test_a_draft_becomes_larger(model):
    draft = kinora.generate(model, "x", draft=True, size="128x128", frames=5, sample=QUICK)
    assert draft.frames_THWC.shape == (5, 64, 64, 3)
    final = kinora.generate(model, "x", from_draft=draft.frames_THWC, size="96x96", sample=QUICK)
    assert final.frames_THWC.shape == (5, 96, 96, 3)


def test_in_a_batch_and_alone_videos_agree_to_rounding(model):
    requests = [
        Request(prompt=f"a {name} circle", size=(32, 32), frames=frames, seed=seed)
        for name, frames, seed in (("red", 5, 1), ("blue", 9, 2), ("green", 5, 3))
    ]
    together = kinora.generate_batch(model, requests, sample=QUICK)
    for request, video in zip(requests, together, strict=True):
        (alone,) = kinora.generate_batch(model, [request], sample=QUICK)
        assert np.abs(alone.frames_THWC.astype(int) - video.frames_THWC).max() <= 1
        assert video.provenance.seed == str(request.seed)


def test_a_prompt_that_is_too_long_is_cut_with_a_word(model):
    video = kinora.generate(model, "circle " * 10_000, **SMALL)
    assert any("the prompt has 10000 words, too many for the text encoder" in note for note in video.notes)


def test_words_that_no_training_caption_has_are_named(model):
    from dataclasses import replace

    knows = replace(model, vocabulary=frozenset({"a", "red", "circle"}))
    notes = kinora.generate(knows, "ein roter circle, 2 Zebras a b c d e f", **SMALL).notes
    shown = "`ein`, `roter`, `zebras`, `b`, `c` and 3 more"
    assert f"the prompt: no caption of the training has the words {shown}" in notes
    assert kinora.generate(knows, "a red circle, 赤い", **SMALL).notes[-1].endswith("the words `赤い`")


def test_both_number_types_make_nearly_the_same_video(model, legacy_model):
    videos = [
        kinora.generate(kinora.load_model(legacy_model, device="cpu", dtype=dtype), "x", **SMALL).frames_THWC
        for dtype in ("float32", "bfloat16")
    ]
    assert not np.array_equal(*videos)
    assert np.abs(videos[0].astype(int) - videos[1]).mean() < 8


def test_a_device_that_is_not_there_is_named(legacy_model):
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        kinora.load_model(legacy_model, device="abacus")


def test_python_has_no_command_line_in_its_tags(model, tmp_path):
    kinora.generate(model, "x", **SMALL).save(tmp_path / "a.mp4")
    assert "command" not in read_tags(tmp_path / "a.mp4")
