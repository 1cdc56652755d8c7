"""What raw videos to render."""

from dataclasses import dataclass

from worlds.palette import MOTIONS, SPEEDS


@dataclass(frozen=True, kw_only=True, slots=True)
class RawConfig:
    """Raw videos of several shots with hard cuts between them, and some stills."""

    num_videos: int
    """Files to write, stills included."""
    shots_per_video: tuple[int, int] = (3, 6)
    """Fewest and most shots of one video, slates not counted."""
    shot_seconds: tuple[float, float] = (2.1, 3.0)
    """Shortest and longest shot."""
    fps: tuple[float, ...] = (12.0, 15.0, 16.0)
    """Frame rates; each video has one of them."""
    aspects: tuple[str, ...] = ("16:9", "9:16", "1:1")
    """Aspect ratios, width to height; each file has one of them."""
    short_side_px: int = 96
    """Shorter side of a frame."""
    two_things_share: float = 0.3
    """Share of the shots with two things instead of one."""
    motions: tuple[str, ...] = MOTIONS
    """What things may do: some of the eight directions and `still`."""
    speeds: tuple[str, ...] = tuple(SPEEDS)
    """How fast they may go."""
    slate_rate: float = 0.05
    """How often a cut leads through a black slate that holds nothing."""
    slate_seconds: tuple[float, float] = (0.5, 1.0)
    """Shortest and longest slate."""
    still_rate: float = 0.05
    """Share of the files that are a single picture (PNG)."""
    crf: int = 18
    """Quality of H.264, 0 (lossless) to 51."""
    truth_dir: str | None = None
    """Where `truth.jsonl` goes, apart from the videos; None takes the folder `<out_dir>-truth` beside
    them."""
    seed: int = 0
    """The same seed and configuration give the same files."""
    num_workers: int = 1
    """Processes to render with; the files do not depend on it."""
