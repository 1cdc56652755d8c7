"""What raw videos to render."""

from dataclasses import dataclass, fields, replace

from worlds.palette import FAMILY_NAMES, MOTIONS, SPEEDS, STYLES

TRANSITIONS = ("cut", "dissolve", "fade_black", "fade_white", "whip_pan")
"""How one shot may give way to the next."""
COPIES = ("exact", "reencoded", "rescaled", "letterboxed", "shifted")
"""What a copy may differ in from its original: nothing (`exact`), codec and quality, size, black bars, or
that its first frames are missing."""
DAMAGES = ("truncated", "mutated", "empty", "misnamed")
"""What may have happened to a damaged copy: its end is missing, bytes have changed, it has no bytes, or its
name ends like that of another kind of file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawConfig:
    """Raw videos of several shots with hard cuts between them, and some stills; `wild` turns on the rest."""

    num_videos: int
    """Files to write, stills and copies included."""
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
    families: tuple[str, ...] = ("shapes",)
    """Families of worlds that shots are drawn from, such as `physics`; one that is named twice comes twice as
    often. Where one cannot be shown (a still of a fall, a grid of few pixels), another of them is, or else
    `shapes`."""
    styles: tuple[str, ...] = ("flat",)
    """Looks of the shots: some of `flat`, `outline`, `textured`, `night`."""
    two_things_share: float = 0.3
    """Share of the shots of `shapes` with two things instead of one."""
    motions: tuple[str, ...] = MOTIONS
    """What things of `shapes` may do: some of the eight directions and `still`."""
    speeds: tuple[str, ...] = tuple(SPEEDS)
    """How fast things of `shapes` may go."""
    slate_rate: float = 0.05
    """How often a cut leads through a black slate that holds nothing."""
    slate_seconds: tuple[float, float] = (0.5, 1.0)
    """Shortest and longest slate."""
    still_rate: float = 0.05
    """Share of the files that are a single picture (PNG)."""
    crf: int = 18
    """Quality of H.264, 0 (lossless) to 51; other codecs are set to about the same."""
    transitions: tuple[str, ...] = ("cut",)
    """How one shot gives way to the next: some of `cut`, `dissolve`, `fade_black`, `fade_white`, `whip_pan`.
    One that is named twice comes twice as often."""
    transition_seconds: tuple[float, float] = (0.4, 1.0)
    """Shortest and longest dissolve or fade."""
    whip_seconds: tuple[float, float] = (0.2, 0.4)
    """Shortest and longest whip pan."""
    flash_rate: float = 0.0
    """Share of the shots in which a flash turns a few frames white."""
    uneven_rate: float = 0.0
    """Share of the videos with a variable frame rate."""
    formats: tuple[str, ...] = ("mp4/h264",)
    """Containers and codecs, such as `mkv/hevc`; each video has one of them."""
    b_frames_rate: float = 0.0
    """Share of the videos with B-frames, where the format has them."""
    letterbox_rate: float = 0.0
    """Share of the files with black bars above and below."""
    pillarbox_rate: float = 0.0
    """Share of the files with black bars to the left and right."""
    watermark_rate: float = 0.0
    """Share of the files with a mark that stays in a corner."""
    subtitle_rate: float = 0.0
    """Share of the files with text burned in."""
    copy_rate: float = 0.0
    """Share of the files that are a copy of another."""
    copies: tuple[str, ...] = COPIES
    """What copies may be like."""
    damage_rate: float = 0.0
    """Share of the files that are a damaged copy of another."""
    damages: tuple[str, ...] = DAMAGES
    """What may have happened to those."""
    truth_dir: str | None = None
    """Where `truth.jsonl` goes, apart from the videos; None takes the folder `<out_dir>-truth` beside
    them."""
    seed: int = 0
    """The same seed and configuration give the same files."""
    num_workers: int = 1
    """Processes to render with; the files do not depend on it."""


def wild(config: RawConfig) -> RawConfig:
    """Turn everything on that can happen to a raw video. A field that was changed from its default stays."""
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
