"""Settings of `kinora serve` and `kinora playground`. Imports nothing heavy."""

from dataclasses import dataclass

from manifests.ranges import PositiveFloat, PositiveInt, check_ranges


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """How videos are served. No slots: commands have further fields."""

    model: str = "shipped"
    """Model folder written by `kinora train dit`; by default the weights in the package."""
    state: str | None = None
    """Folder of the jobs and their videos. Default: ~/.local/state/kinora/serve."""
    max_queue: PositiveInt = 100
    """Most jobs that wait; a client that sends more is asked to come back."""
    max_upload_mb: PositiveInt = 64
    """Largest request, in MiB."""
    max_seconds: PositiveFloat = 60.0
    """Longest video, in seconds; of the new part where a video is given, and of each given video."""
    max_pixels: PositiveInt = 1920 * 1088
    """Largest frame, width times height."""
    keep_hours: PositiveFloat = 168.0
    """Hours after which a finished video is deleted."""
    device: str | None = None
    """`cpu`, `cuda` or `cuda:1`; by default the GPU where there is one."""
    offload: bool = False
    """Hold each network on the device only while it is used, and in main memory otherwise: slower, for a GPU
    that cannot hold the text encoder, the transformer and the VAE together."""

    __post_init__ = check_ranges
