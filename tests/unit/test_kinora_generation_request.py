"""Options mean a verb, or are refused with one sentence."""

import pytest

from kinora.generation.request import Request, verb_of


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("text", {}),
        ("text", {"draft": True}),
        ("animate", {"image": ("a.png",)}),
        ("animate", {"image": ("a.png", "b.png"), "at_frame": (0, -1)}),
        ("extend", {"video": "a.mp4", "extend": "backward"}),
        ("connect", {"connect": ("a.mp4", "b.mp4")}),
        ("loop", {"loop": True}),
        ("loop", {"loop": True, "video": "a.mp4"}),
        ("edit", {"video": "a.mp4", "strength": 0.0}),
        ("from_draft", {"from_draft": "a.mp4"}),
        ("from_draft", {"from_draft": "a.mp4", "strength": 0.4, "size": (64, 64)}),
    ],
)
def test_options_mean_a_verb(verb, options):
    assert verb_of(Request(prompt="a red circle", **options)) == verb


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": ""}, "the prompt is empty: say what"),
        ({"prompt": " \n\t"}, "the prompt is empty"),
        ({"prompt_at": ((2.0, "b"), (1.0, "c"))}, "--prompt-at 2, 1: the times must ascend"),
        ({"prompt_at": ((1.0, " "),)}, "a prompt is empty"),
        ({"video": "a.mp4"}, "--video needs one of --extend, --strength and --loop, or it has no effect"),
        ({"video": "a.mp4", "extend": "forward", "strength": 0.5}, "not --extend and --strength"),
        ({"extend": "forward"}, "--extend forward needs the --video"),
        ({"image": ("a.png",), "connect": ("a", "b")}, "--image and --connect do not go together"),
        ({"image": ("a.png",), "loop": True}, "--image and --loop do not go together"),
        ({"from_draft": "a.mp4", "video": "b.mp4", "extend": "forward"}, "--video and --from-draft"),
        ({"at_frame": (3,)}, "--at-frame is the place of an --image"),
        ({"image": ("a", "b")}, "2 images need as many --at-frame"),
        ({"image": ("a", "b"), "at_frame": (1,)}, "2 --image and 1 --at-frame"),
        ({"strength": 0.5}, "--strength is how far"),
        ({"draft": True, "loop": True}, "--draft is for new videos"),
        ({"video": "a.mp4", "strength": 0.5, "seconds": 2.0}, "as long as the given video"),
        ({"strength": 1.5, "video": "a.mp4"}, "strength=1.5 is out of range"),
        ({"prompt_at": ((0.0, "b"),)}, "prompt_at=0.0 is out of range"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_one_sentence(options, words):
    with pytest.raises(ValueError) as refused:
        verb_of(Request(**{"prompt": "a red circle", **options}))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
