"""Rules find what they name, spelled in any way, and leave harmless texts; modes, checks and endpoints."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest

from kinora.safety.config import SafetyConfig
from kinora.safety.frames import MAX_FRAMES, FrameCheck, FramesBlocked
from kinora.safety.policy import Policy
from kinora.safety.rules import Rules

RULES = """
- name: fire
  words: [burning house, arson*]
  unless: [arson squad]
- name: child and knife
  words: [child*]
  with: [knife, knives]
"""


@pytest.fixture
def rules(tmp_path) -> str:
    (tmp_path / "rules.yaml").write_text(RULES)
    return str(tmp_path / "rules.yaml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A burning   HOUSE at night", ("fire",)),
        ("an Arsonist runs", ("fire",)),
        ("the arson squad arrives", ()),
        ("the arson squad meets an arsonist", ("fire",)),
        ("children eat with knives", ("child and knife",)),
        ("children eat", ()),
        ("a parson's house", ()),
        ("a r s o n", ("fire",)),
        ("a a r s o n i s t", ("fire",)),
        ("i a r s o n", ("fire",)),
        ("a.r.s.o.n in the city", ("fire",)),
        ("4rs0n", ("fire",)),
        ("ärsön", ("fire",)),
        ("ars\u200bon", ("fire",)),
        ("\uff41rson", ("fire",)),
        ("arson, child, knife", ("fire", "child and knife")),
        ("I have 4 red circles", ()),
    ],
)
def test_rules_find_what_they_name(rules, text, found):
    assert Rules.load(rules).find(text) == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: 1", "must be a list of rules"),
        ("- words: [a]", "rule 1: lacks `name` or `words`"),
        ("- {name: a, words: [a], colour: red}", "rule 1: must have the keys name, unless, with, words"),
        ("- {name: a, words: [1]}", "rule 1: words: must be a list of words"),
        ("- {name: a, words: ['*']}", "must be a list of words"),
        ("[", "no YAML"),
    ],
)
def test_a_mistake_in_a_file_of_rules_is_named(tmp_path, content, words):
    (tmp_path / "rules.yaml").write_text(content)
    with pytest.raises(ValueError, match=words):
        Rules.load(str(tmp_path / "rules.yaml"))


def test_the_mode_says_what_becomes_of_a_finding(rules):
    texts = ["a red circle", "an arsonist"]
    verdicts = {
        mode: Policy(SafetyConfig(prompts=mode, rules=rules)).check(texts)
        for mode in ("off", "warn", "block")
    }
    assert {mode: verdict.is_blocked for mode, verdict in verdicts.items()} == {
        "off": False,
        "warn": False,
        "block": True,
    }
    assert [verdict.record for verdict in verdicts.values()] == [
        "prompts not checked",
        "prompts checked (warn): fire",
        "prompts checked (block): fire",
    ]
    harmless = Policy(SafetyConfig(prompts="block", rules=rules)).check(texts[:1])
    assert (harmless.is_blocked, harmless.record) == (False, "prompts checked (block): nothing found")


def test_a_function_of_ones_own_judges_too_and_one_that_fails_lets_nothing_pass(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "my_checks.py").write_text(
        "def blue(text):\n    return ['blue'] if 'blue' in text else []\n\n"
        "class Broken:\n    def __call__(self, text):\n        raise RuntimeError('no model')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    own = Policy(SafetyConfig(prompts="block", check="my_checks:blue"))
    assert own.check(["a blue circle"]).found == ("blue",)
    assert own.check(["a red circle"]).found == ()
    assert Policy(SafetyConfig(prompts="block", check="my_checks:Broken")).check(["a"]).is_blocked
    assert "the check of prompts failed: RuntimeError: no model" in capsys.readouterr().err
    for name, words in (
        ("my_checks:green", "cannot be imported"),
        ("my_checks", "must be `module:function`"),
    ):
        with pytest.raises(ValueError, match=words):
            Policy(SafetyConfig(prompts="warn", check=name))


class Moderations(BaseHTTPRequestHandler):
    """Flags texts with `zebra`, as the interface of moderations answers."""

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
        flagged = "zebra" in text
        results = [{"flagged": flagged, "categories": {"animals": flagged, "plants": False}}]
        body = json.dumps({"results": results}).encode() if "broken" not in text else b"<html>"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_endpoint_judges_too():
    with HTTPServer(("127.0.0.1", 0), Moderations) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/moderations"
        policy = Policy(SafetyConfig(prompts="block", check=url))
        assert policy.check(["a zebra"]).found == ("animals",)
        assert policy.check(["a horse"]).found == ()
        assert policy.check(["broken"]).found == ("a check that failed",)
        server.shutdown()
    assert policy.check(["a horse"]).is_blocked


class Fixed:
    """Scores a frame by its first value."""

    def score(self, rgb_HWC: np.ndarray) -> float:
        return float(rgb_HWC[0, 0, 0]) / 100


@pytest.mark.parametrize("frames", [1, 5, 17, 100])
def test_frames_all_along_a_video_are_scored(monkeypatch, frames):
    scored = []
    monkeypatch.setattr("video.scorers.nsfw.NsfwScorer", Fixed)
    check = FrameCheck(SafetyConfig(frames="block", max_nsfw=0.9))
    video_THWC = np.zeros((frames, 4, 4, 3), np.uint8)
    video_THWC[:, 0, 0, 0] = np.arange(frames)
    monkeypatch.setattr(Fixed, "score", lambda self, rgb: scored.append(int(rgb[0, 0, 0])) or 0.0)
    chunks = np.array_split(video_THWC, 3) if frames > 3 else [video_THWC]
    assert np.array_equal(np.concatenate([*check.watch(iter(chunks), frames)]), video_THWC)
    assert check.verdict() == "frames checked (block): nsfw 0.00, limit 0.9"
    stride = -(-frames // MAX_FRAMES)
    assert scored == [*range(0, frames, stride)]


@pytest.mark.parametrize("mode", ["off", "warn", "block"])
def test_a_video_above_the_limit(monkeypatch, mode):
    monkeypatch.setattr("video.scorers.nsfw.NsfwScorer", Fixed)
    check = FrameCheck(SafetyConfig(frames=mode, max_nsfw=0.9))
    for value, over in ((89, False), (95, True)):
        list(check.watch(iter([np.full((3, 4, 4, 3), value, np.uint8)]), 3))
        if mode == "block" and over:
            with pytest.raises(FramesBlocked, match=r"score 0\.95 .* over 0\.9"):
                check.verdict()
        elif mode == "off":
            assert check.verdict() == "frames not checked"
        else:
            assert check.verdict().endswith("above it") == over
