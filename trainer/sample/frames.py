"""Frames to latent frames and back: the only place that converts lengths and positions.

Latent frame 0 of a video holds frame 0; latent frame t holds frames 1 + (t - 1) * factor to t * factor. In a
loop, latent frame t holds frames t * factor to (t + 1) * factor - 1.
"""

from trainer.config import VaeConfig


def latents_in(num_frames: int, factor: int, *, loop: bool = False) -> int:
    """Return the number of latent frames of a video. Raises ValueError with the nearest length that works."""
    lead = 0 if loop else 1
    if num_frames < 1 or (num_frames - lead) % factor:
        rule = f"a multiple of {factor}" if loop else f"1 more than a multiple of {factor}"
        nearest = nearest_length(num_frames, factor, loop=loop)
        raise ValueError(f"{num_frames} frames cannot be made: must be {rule}, such as {nearest}")
    return lead + (num_frames - lead) // factor


def frames_in(num_latents: int, factor: int, *, loop: bool = False) -> int:
    """Return the number of frames of a video of `num_latents` latent frames."""
    return num_latents * factor if loop else 1 + (num_latents - 1) * factor


def latent_of(frame: int, factor: int, *, loop: bool = False) -> int:
    """Return the latent frame that holds a frame."""
    return frame // factor if loop else -(-frame // factor)


def first_frame_of(latent: int, factor: int, *, loop: bool = False) -> int:
    """Return the first frame that a latent frame holds."""
    return latent * factor if loop else max(0, 1 + (latent - 1) * factor)


def nearest_length(num_frames: float, factor: int, *, loop: bool = False) -> int:
    """Return the number of frames nearest to `num_frames` that a video can have."""
    if loop:
        return factor * max(1, round(num_frames / factor))
    return 1 + factor * max(0, round((num_frames - 1) / factor))


def groups_of(new_frames: int, factor: int) -> int:
    """Return the latent frames of frames that follow others. Raises ValueError with the nearest length."""
    if new_frames < factor or new_frames % factor:
        nearest = nearest_length(new_frames, factor, loop=True)
        raise ValueError(
            f"{new_frames} new frames cannot be made: must be a multiple of {factor}, such as {nearest}"
        )
    return new_frames // factor


def latent_shape(
    vae: VaeConfig, patch: int, num_frames: int, height: int, width: int, *, loop: bool = False
) -> tuple[int, int, int, int]:
    """Return (C, T, H, W) of a video's latents. Raises ValueError with the nearest shape that works.

    Args:
        patch: latent positions per token of the transformer, in height and width.
    """
    side, factor, lead = vae.space_factor * patch, vae.time_factor, 0 if loop else 1
    bad_length = num_frames < 1 or (num_frames - lead) % factor
    if bad_length or height % side or width % side or min(height, width) < side:
        near_width, near_height = (max(side, round(size / side) * side) for size in (width, height))
        raise ValueError(
            f"{num_frames} frames of {width}x{height} cannot be made: sides must be multiples of {side} and "
            f"frames {'' if loop else '1 more than '}a multiple of {factor}, such as "
            f"{nearest_length(num_frames, factor, loop=loop)} frames of {near_width}x{near_height}"
        )
    frames = latents_in(num_frames, factor, loop=loop)
    return vae.latent_channels, frames, height // vae.space_factor, width // vae.space_factor
