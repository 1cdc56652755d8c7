"""Videos are kept by what they depend on, and not made twice."""

from dataclasses import replace

import numpy as np
import pytest
from untrained_model import untrained

from kinora.evaluation import videos
from kinora.evaluation.videos import StoringMaker, VideoStore, conditions_digest
from trainer.config import SampleConfig
from trainer.sample.conditions import Prompt
from trainer.sample.verbs import extend, text_to_video

SAMPLE = SampleConfig(steps=2)


@pytest.fixture(scope="module")
def model():
    return untrained()


def test_what_is_stored_is_not_made_again(model, tmp_path, monkeypatch):
    size = {"num_frames": 5, "height": 32, "width": 32}
    conditions = [text_to_video(model, text, **size, seed=ord(text)) for text in "aba"]
    maker = StoringMaker(model, SAMPLE, VideoStore(tmp_path))
    made = maker(conditions[:1])
    monkeypatch.setattr(videos, "generate", refusing_twice(videos.generate))
    again = StoringMaker(model, SAMPLE, VideoStore(tmp_path))
    first, second, third = again(conditions, name="draft")
    assert np.array_equal(first, made[0])
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)
    assert [seconds > 0 for seconds in again.seconds["draft"]] == [True] * 3
    assert again.seconds["draft"][0] == maker.seconds["video"][0]
    assert all(path.suffix == ".npz" for path in tmp_path.iterdir())


def refusing_twice(generate):
    """Generate `b` alone."""

    def one(model, conditions, config):
        assert [each.prompts[0].text for each in conditions] == ["b"]
        return generate(model, conditions, config)

    return one


def test_the_digest_names_all_that_a_video_depends_on(model):
    given_THWC = np.zeros((5, 32, 32, 3), np.uint8)
    one = extend(model, given_THWC, "a", new_frames=4)
    others = [
        replace(one, seed=1),
        replace(one, prompts=(Prompt("b"),)),
        replace(one, negative_prompt="b"),
        replace(one, latent_CTHW=one.latent_CTHW + 1),
        replace(one, level_T=one.level_T * 0.5),
        replace(one, kept=((0, given_THWC + 1),)),
    ]
    digests = [conditions_digest(each, SAMPLE) for each in (one, *others)]
    digests.append(conditions_digest(one, SampleConfig(steps=3)))
    assert len(set(digests)) == len(digests)
    assert conditions_digest(extend(model, given_THWC, "a", new_frames=4), SAMPLE) == digests[0]
