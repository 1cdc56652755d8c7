"""Every way to prompt a model: pure functions from frames and numbers to `Conditions`.

A `prompt` is a text, or several, each with the frame of the result from which it holds; the first holds from
frame 0. Raises ValueError for lengths and sizes that cannot be made, with the nearest that can.

Legend: C channels, T frames or latent frames, H height, W width.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from trainer.flow import shift
from trainer.sample.conditions import Conditions, Kept, Prompt
from trainer.sample.frames import first_frame_of, frames_in, groups_of, latent_of
from trainer.sample.given import (
    check_frames,
    check_video,
    context_latents,
    encode_middle,
    encode_start,
    head_as_middle,
    tail_as_start,
    with_new,
)
from trainer.sample.model import TextToVideo
from video.resize import resize_and_crop

PromptLike = str | Sequence[tuple[int, str]]
"""A text, or pairs of a frame of the result and the text that holds from it."""


def text_to_video(
    model: TextToVideo,
    prompt: PromptLike,
    *,
    num_frames: int,
    height: int,
    width: int,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video from text alone; 1 frame is an image."""
    shape = model.latent_shape(num_frames, height, width)
    return Conditions(
        latent_CTHW=torch.zeros(shape),
        level_T=torch.ones(shape[1]),
        prompts=_prompts(model, prompt, shape[1]),
        negative_prompt=negative_prompt,
        seed=seed,
    )


def animate(
    model: TextToVideo,
    images: Sequence[tuple[int, np.ndarray]],
    prompt: PromptLike,
    *,
    num_frames: int,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video that shows given images at given frames.

    An image at another frame than 0 is given as the whole latent frame that holds it.

    Args:
        images: pairs of a frame of the result and image_HWC (uint8), all of one size.
    """
    if not images:
        raise ValueError("images: none is given; use text_to_video")
    factor = model.vae.config.time_factor
    height, width = images[0][1].shape[:2]
    shape = model.latent_shape(num_frames, height, width)
    latent_CTHW, level_T = torch.zeros(shape), torch.ones(shape[1])
    for frame, image_HWC in images:
        check_frames(image_HWC[None], (height, width))
        if not 0 <= frame < num_frames:
            raise ValueError(f"an image at frame {frame}: the video has frames 0 to {num_frames - 1}")
        t = latent_of(frame, factor)
        if level_T[t] == 0:
            first = first_frame_of(t, factor)
            raise ValueError(
                f"an image at frame {frame}: frames {first} to {first + factor - 1} share a latent frame and "
                "another image is given there; give one of them"
            )
        group_THWC = np.repeat(image_HWC[None], factor, axis=0)
        encoded_CTHW = encode_middle(model, group_THWC) if t else encode_start(model, image_HWC[None])
        latent_CTHW[:, t], level_T[t] = encoded_CTHW[:, 0], 0
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=level_T,
        prompts=_prompts(model, prompt, shape[1]),
        negative_prompt=negative_prompt,
        seed=seed,
    )


def extend(
    model: TextToVideo,
    video_THWC: np.ndarray,
    prompt: PromptLike,
    *,
    new_frames: int,
    direction: Literal["forward", "backward"] = "forward",
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video with new frames after it, or before it.

    The result holds the given frames once, bit for bit. Up to time_factor - 1 of them, those farthest from
    the new ones, are not seen by the model; nor are those beyond its window.

    Args:
        new_frames: a multiple of the VAE's time factor forward, 1 more than one backward.
    """
    check_video(model, video_THWC)
    if direction == "forward":
        return _extend_forward(model, video_THWC, prompt, new_frames, seed, negative_prompt)
    return _extend_backward(model, video_THWC, prompt, new_frames, seed, negative_prompt)


def _extend_forward(
    model: TextToVideo,
    video_THWC: np.ndarray,
    prompt: PromptLike,
    new_frames: int,
    seed: int,
    negative_prompt: str,
) -> Conditions:
    new = groups_of(new_frames, model.vae.config.time_factor)
    head_CTHW, before = tail_as_start(model, video_THWC, context_latents(model, new))
    latent_CTHW, level_T = with_new(head_CTHW, new, head_CTHW[:, :0])
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=level_T,
        prompts=_prompts(model, prompt, len(level_T), before),
        negative_prompt=negative_prompt,
        seed=seed,
        kept=(Kept(0, video_THWC),),
        frames_before=before,
    )


def _extend_backward(
    model: TextToVideo,
    video_THWC: np.ndarray,
    prompt: PromptLike,
    new_frames: int,
    seed: int,
    negative_prompt: str,
) -> Conditions:
    _, new, _, _ = model.latent_shape(new_frames, *video_THWC.shape[1:3])
    tail_CTHW, after = head_as_middle(model, video_THWC, context_latents(model, new))
    latent_CTHW, level_T = with_new(tail_CTHW[:, :0], new, tail_CTHW)
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=level_T,
        prompts=_prompts(model, prompt, len(level_T)),
        negative_prompt=negative_prompt,
        seed=seed,
        kept=(Kept(new_frames, video_THWC),),
        frames_after=after,
    )


def connect(
    model: TextToVideo,
    a_THWC: np.ndarray,
    b_THWC: np.ndarray,
    prompt: PromptLike,
    *,
    new_frames: int,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video that leads from one video to another, both kept bit for bit.

    Args:
        new_frames: frames between them, a multiple of the VAE's time factor.
    """
    check_video(model, a_THWC)
    check_frames(b_THWC, (a_THWC.shape[1], a_THWC.shape[2]))
    new = groups_of(new_frames, model.vae.config.time_factor)
    context = context_latents(model, new, sides=2)
    head_CTHW, before = tail_as_start(model, a_THWC, context)
    tail_CTHW, after = head_as_middle(model, b_THWC, context)
    latent_CTHW, level_T = with_new(head_CTHW, new, tail_CTHW)
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=level_T,
        prompts=_prompts(model, prompt, len(level_T), before),
        negative_prompt=negative_prompt,
        seed=seed,
        kept=(Kept(0, a_THWC), Kept(len(a_THWC) + new_frames, b_THWC)),
        frames_before=before,
        frames_after=after,
    )


def loop(
    model: TextToVideo,
    prompt: PromptLike,
    *,
    num_frames: int,
    height: int,
    width: int,
    video_THWC: np.ndarray | None = None,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video whose end joins its start, with no frame twice.

    Args:
        num_frames: length of one round, a multiple of the VAE's time factor.
        video_THWC: frames that the round begins with, kept bit for bit; their number is such a multiple too.
    """
    shape = model.latent_shape(num_frames, height, width, loop=True)
    latent_CTHW, level_T, kept = torch.zeros(shape), torch.ones(shape[1]), ()
    if video_THWC is not None:
        check_frames(video_THWC, (height, width))
        given = groups_of(len(video_THWC), model.vae.config.time_factor)
        if given >= shape[1]:
            raise ValueError(
                f"a loop of {num_frames} frames leaves none to join the {len(video_THWC)} given ones"
            )
        latent_CTHW[:, :given], level_T[:given] = encode_middle(model, video_THWC), 0
        kept = (Kept(0, video_THWC),)
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=level_T,
        prompts=_prompts(model, prompt, shape[1], loop=True),
        negative_prompt=negative_prompt,
        seed=seed,
        loop=True,
        kept=kept,
    )


def edit(
    model: TextToVideo,
    video_THWC: np.ndarray,
    prompt: PromptLike,
    *,
    strength: float,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a video after another prompt (SDEdit, Meng et al. 2022, arXiv 2108.01073).

    Args:
        strength: share of the sampler's steps that are run: 0 gives the VAE's round trip, 1 text alone.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength}: must be from 0 (the video as it is) to 1 (text alone)")
    check_video(model, video_THWC)
    factor = model.vae.config.time_factor
    missing = -(len(video_THWC) - 1) % factor
    padded_THWC = np.concatenate([video_THWC, np.repeat(video_THWC[-1:], missing, axis=0)])
    latent_CTHW = encode_start(model, padded_THWC)
    num_latents = min(latent_CTHW.shape[1], model.window or latent_CTHW.shape[1])
    tokens = model.dit.config.num_tokens(tuple(latent_CTHW[:, :num_latents].shape))
    level = shift(strength, tokens, model.flow)
    return Conditions(
        latent_CTHW=latent_CTHW,
        level_T=torch.full((latent_CTHW.shape[1],), level),
        prompts=_prompts(model, prompt, latent_CTHW.shape[1]),
        negative_prompt=negative_prompt,
        seed=seed,
        frames_after=-missing,
    )


def from_draft(
    model: TextToVideo,
    draft_THWC: np.ndarray,
    prompt: PromptLike,
    *,
    height: int,
    width: int,
    strength: float,
    seed: int = 0,
    negative_prompt: str = "",
) -> Conditions:
    """Return the conditions of a draft's video at another size, its details made anew to a degree."""
    resized_THWC = resize_and_crop(draft_THWC, height, width)
    return edit(model, resized_THWC, prompt, strength=strength, seed=seed, negative_prompt=negative_prompt)


def _prompts(
    model: TextToVideo, prompt: PromptLike, num_latents: int, frames_before: int = 0, *, loop: bool = False
) -> tuple[Prompt, ...]:
    """Convert frames of the result to latent frames."""
    if isinstance(prompt, str):
        return (Prompt(prompt),)
    if not prompt or prompt[0][0] != 0:
        raise ValueError("the first prompt must hold from frame 0")
    factor = model.vae.config.time_factor
    starts = {latent_of(max(0, frame - frames_before), factor, loop=loop): text for frame, text in prompt}
    if list(starts) != sorted(starts) or max(starts) >= num_latents:
        frames = frames_before + frames_in(num_latents, factor, loop=loop)
        raise ValueError(
            f"prompts hold from frames {[frame for frame, _ in prompt]}: must ascend, below {frames}"
        )
    return tuple(Prompt(text, start) for start, text in starts.items())
