"""Configuration of raw video rendering."""

from dataclasses import dataclass, fields, replace

from worlds.palette import FAMILY_NAMES, MOTIONS, SPEEDS, STYLES

TRANSITIONS = ("cut", "dissolve", "fade_black", "fade_white", "whip_pan")
"""Transitions between shots."""
COPIES = ("exact", "reencoded", "rescaled", "letterboxed", "shifted")
"""Differences of a copy from its original: none (`exact`), codec and quality, size, black bars, or missing
first frames."""
DAMAGES = ("truncated", "mutated", "empty", "misnamed")
"""Kinds of damage: missing end, changed bytes, no bytes, or the file name extension of another format."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawConfig:
    """Raw videos of several shots with hard cuts, and images; `wild` enables everything else."""

    num_videos: int
    """Number of files, including images and copies."""
    shots_per_video: tuple[int, int] = (3, 6)
    """Minimum and maximum number of shots per video, not counting slates."""
    shot_seconds: tuple[float, float] = (2.1, 3.0)
    """Minimum and maximum duration of a shot, in seconds."""
    fps: tuple[float, ...] = (12.0, 15.0, 16.0)
    """Frame rates to choose from."""
    aspects: tuple[str, ...] = ("16:9", "9:16", "1:1")
    """Aspect ratios (width:height) to choose from."""
    short_side_px: int = 96
    """Shorter side of the frames, in pixels."""
    families: tuple[str, ...] = ("shapes",)
    """World families to choose from, such as `physics`; list one repeatedly to sample it more often. Shots
    that a family cannot show, such as an image of a fall, use another listed family or `shapes`."""
    styles: tuple[str, ...] = ("flat",)
    """Styles to choose from: `flat`, `outline`, `textured`, `night`."""
    two_objects_prob: float = 0.3
    """Probability that a shot of `shapes` has two objects instead of one."""
    motions: tuple[str, ...] = MOTIONS
    """Motions of objects in `shapes` to choose from: eight directions and `still`."""
    speeds: tuple[str, ...] = tuple(SPEEDS)
    """Speeds of objects in `shapes` to choose from."""
    hold_out_pairs: bool = False
    """Leave things of the colours and shapes in `worlds.split.UNSEEN_PAIRS` out, to measure later whether a
    model combines them."""
    slate_rate: float = 0.05
    """Probability of an empty black slate between two shots."""
    slate_seconds: tuple[float, float] = (0.5, 1.0)
    """Minimum and maximum duration of a slate, in seconds."""
    still_rate: float = 0.05
    """Fraction of files that are images (PNG)."""
    crf: int = 18
    """H.264 quality, 0 (lossless) to 51; other codecs use a comparable setting."""
    transitions: tuple[str, ...] = ("cut",)
    """Transitions to choose from: `cut`, `dissolve`, `fade_black`, `fade_white`, `whip_pan`; list one
    repeatedly to use it more often."""
    transition_seconds: tuple[float, float] = (0.4, 1.0)
    """Minimum and maximum duration of a dissolve or fade, in seconds."""
    whip_seconds: tuple[float, float] = (0.2, 0.4)
    """Minimum and maximum duration of a whip pan, in seconds."""
    flash_rate: float = 0.0
    """Fraction of shots with a flash: a few white frames."""
    uneven_rate: float = 0.0
    """Fraction of videos with a variable frame rate."""
    formats: tuple[str, ...] = ("mp4/h264",)
    """Containers and codecs to choose from, such as `mkv/hevc`."""
    b_frames_rate: float = 0.0
    """Fraction of videos with B-frames, if the format supports them."""
    letterbox_rate: float = 0.0
    """Fraction of files with black bars above and below."""
    pillarbox_rate: float = 0.0
    """Fraction of files with black bars left and right."""
    watermark_rate: float = 0.0
    """Fraction of files with a static watermark in a corner."""
    subtitle_rate: float = 0.0
    """Fraction of files with burned-in subtitles."""
    copy_rate: float = 0.0
    """Fraction of files that are copies of another."""
    copies: tuple[str, ...] = COPIES
    """Kinds of copies to choose from."""
    damage_rate: float = 0.0
    """Fraction of files that are damaged copies of another."""
    damages: tuple[str, ...] = DAMAGES
    """Kinds of damage to choose from."""
    truth_dir: str | None = None
    """Folder for `truth.jsonl`, outside the videos' folder. Default: `<out>-truth`."""
    seed: int = 0
    """Random seed; equal seeds and configurations give equal files."""
    num_workers: int = 1
    """Number of rendering processes."""


def wild(config: RawConfig) -> RawConfig:
    """Enable everything that can happen to a raw video; keep fields that differ from their defaults."""
    everything = RawConfig(
        num_videos=config.num_videos,
        fps=(24.0, 25.0, 30.0, 24000 / 1001, 30000 / 1001, 50.0),
        aspects=("16:9", "9:16", "1:1", "4:3", "2.39:1"),
        short_side_px=144,
        families=FAMILY_NAMES,
        styles=STYLES,
        transitions=("cut", "cut", "dissolve", "fade_black", "fade_white", "whip_pan"),
        flash_rate=0.1,
        uneven_rate=0.2,
        formats=(
            *("mp4/h264", "mp4/h264", "mp4/hevc", "mp4/vp9", "mp4/av1", "mp4/mpeg4"),
            *("mov/h264", "mov/hevc", "mov/mpeg4", "mkv/h264", "mkv/hevc", "mkv/vp9", "mkv/av1"),
            *("mkv/mpeg4", "webm/vp9", "webm/av1", "avi/h264", "avi/mpeg4"),
        ),
        b_frames_rate=0.5,
        letterbox_rate=0.1,
        pillarbox_rate=0.1,
        watermark_rate=0.1,
        subtitle_rate=0.1,
        copy_rate=0.2,
        damage_rate=0.1,
    )
    changed = {
        field.name: getattr(config, field.name)
        for field in fields(RawConfig)
        if getattr(config, field.name) != field.default
    }
    return replace(everything, **changed)
