"""What the report says was asked for and was seen."""

from types import SimpleNamespace

from kinora.evaluation.metrics import describe_check
from kinora.evaluation.prompts import sample_prompts


def test_many_things_without_a_colour_are_named_once() -> None:
    [prompt] = sample_prompts(1, seed=0, sizes=((64, 64),), num_frames=17, fps=8.0)
    colors = [None, None, "red", None, "red"]
    things = [SimpleNamespace(color=color) for color in colors]
    verdict = SimpleNamespace(measured=SimpleNamespace(things=things, count=5, background=None))
    color = prompt.world.things[0].color
    assert describe_check("color", prompt, verdict) == {"wanted": color, "measured": "unclear, red"}
    assert describe_check("count", prompt, verdict) == {"wanted": "1", "measured": "5"}
    assert describe_check("background", prompt, verdict)["measured"] == "unclear"
    verdict.measured.things = []
    assert describe_check("color", prompt, verdict)["measured"] == "nothing"
