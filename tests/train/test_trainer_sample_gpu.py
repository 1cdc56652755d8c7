"""Each verb on a GPU gives what the CPU gives, in float32 within rounding, in bfloat16 near it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.config import SampleConfig
from trainer.sample import verbs
from trainer.sample.conditions import Conditions
from trainer.sample.decode import decode_result
from trainer.sample.model import TextToVideo
from trainer.sample.sampler import sample

pytestmark = pytest.mark.gpu
CONFIG = SampleConfig(steps=4)
SIZE = {"height": HEIGHT, "width": WIDTH}
VERBS: dict[str, Callable[[TextToVideo], Conditions]] = {
    "text": lambda model: verbs.text_to_video(model, "a", num_frames=17, **SIZE),
    "one image": lambda model: verbs.text_to_video(model, "a", num_frames=1, **SIZE),
    "long": lambda model: verbs.text_to_video(model, "a", num_frames=41, **SIZE),
    "animate": lambda model: verbs.animate(
        model, [(0, video(1)[0]), (16, video(1, 1)[0])], "a", num_frames=17
    ),
    "extend forward": lambda model: verbs.extend(model, video(9), "a", new_frames=8),
    "extend backward": lambda model: verbs.extend(model, video(8), "a", new_frames=9, direction="backward"),
    "loop": lambda model: verbs.loop(model, "a", num_frames=16, **SIZE),
    "connect": lambda model: verbs.connect(model, video(9), video(8, 1), "a", new_frames=8),
    "edit": lambda model: verbs.edit(model, video(17), "a", strength=0.6),
}


def on_gpu(model: TextToVideo) -> TextToVideo:
    return replace(model, dit=model.dit.to("cuda"), vae=model.vae.to("cuda"))


def frames_of(model: TextToVideo, conditions: Conditions, latent_CTHW: torch.Tensor) -> torch.Tensor:
    chunks = [torch.from_numpy(chunk) for chunk in decode_result(model, conditions, latent_CTHW)]
    return torch.cat(chunks).float()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_gives_what_the_cpu_gives(verb):
    cpu = tiny_model()
    conditions = VERBS[verb](cpu)
    (expected,) = sample(cpu, [conditions], CONFIG)
    expected_frames = frames_of(cpu, conditions, expected)
    gpu = on_gpu(cpu)
    again = VERBS[verb](gpu)
    torch.testing.assert_close(again.latent_CTHW, conditions.latent_CTHW, atol=1e-3, rtol=1e-3)
    (found,) = sample(gpu, [conditions], CONFIG)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)
    assert (frames_of(gpu, conditions, found) - expected_frames).abs().max() <= 2
    (rough,) = sample(replace(gpu, dtype="bfloat16"), [conditions], CONFIG)
    new = conditions.level_T > 0
    error = (rough - expected)[:, new].square().mean() / expected[:, new].square().mean()
    assert error < 0.01


def test_with_offload_the_gpu_is_empty_afterwards_and_the_video_the_same():
    model = tiny_model()
    conditions = VERBS["extend forward"](model)
    (expected,) = sample(on_gpu(tiny_model()), [conditions], CONFIG)
    model.text.to = lambda device: model.text
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    offloaded = replace(model, offload_from=torch.device("cuda"))
    (found,) = sample(offloaded, [conditions], CONFIG)
    assert {parameter.device.type for parameter in offloaded.dit.parameters()} == {"cpu"}
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)
    assert torch.cuda.memory_allocated() <= held
