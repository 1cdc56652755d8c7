"""Every setting of the data jobs, each beside its unit. Imports nothing heavy.

No slots: jsonargparse reads the defaults of nested configurations from `__dict__`.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from captioner.config import CaptionerConfig
from manifests.records import digest
from manifests.renamed_fields import old_keys
from video.config import SandboxConfig

Preset = Literal["permissive", "standard", "strict"]
"""A named set of selection limits (`pipeline/select/presets.py`)."""


@dataclass(frozen=True, kw_only=True)
class ListConfig:
    """Which files count as sources."""

    video_extensions: tuple[str, ...] = (
        "3gp",
        "avi",
        "flv",
        "m2ts",
        "m4v",
        "mkv",
        "mov",
        "mp4",
        "mpeg",
        "mpg",
        "mts",
        "ogv",
        "webm",
        "wmv",
    )
    """Endings of video files, lower case, without the dot."""
    image_extensions: tuple[str, ...] = ("jpg", "jpeg", "png", "webp", "bmp")
    """Endings of stills: a still becomes a clip of one frame."""
    uri_column: str = ""
    """Column of a source list that names the files; empty for the first of `uri`, `path` and `url`."""


@dataclass(frozen=True, kw_only=True)
class ScorersConfig:
    """Scorers with models, which look at a few larger frames of each clip; all off, no such frame is made."""

    text: bool = False
    """Read burned-in text: `text_area`, `text_lines`, `text_language`, `corner_mark`."""
    logo: bool = False
    """Look for a picture that stands still in a corner: `corner_logo`. No model; a few ms a clip."""
    nsfw: bool = False
    """Score what is not safe for work: `nsfw`."""
    aesthetic: Literal["off", "heuristic", "head"] = "off"
    """`head` gives `aesthetic` by an open_clip model and a linear head; `heuristic`, which is no learned
    taste, gives `aesthetic_heuristic` from colour, contrast and sharpness."""
    embedding: bool = False
    """Keep what each clip shows as a direction in space, by open_clip's image encoder: `embedding`
    (`dedup.semantic` compares them)."""
    clip_model: str = "ViT-L-14"
    """`head` and `embedding`: architecture, by open_clip's name or the path of its JSON file."""
    clip_weights: str = ""
    """`head` and `embedding`: file of the model's weights (.safetensors, or .pt without code in it)."""
    aesthetic_head: str = ""
    """`head`: file of a linear layer over the image embedding, `weight` and `bias` (.safetensors or .pth)."""
    frames: int = 3
    """Most frames of each clip that are looked at, evenly spaced."""
    side_px: int = 640
    """Their long side is at most this, in pixels."""
    frames_per_s: float = 2.0
    """How many a second are kept while a source is decoded, until its shots are known."""
    budget_mb: int = 64
    """MiB that those of one source may take; over it every other one goes, and fewer are kept
    from then on."""
    min_text_score: float = 0.85
    """How sure the reader must be of a line, 0 to 1."""
    min_text_length: int = 3
    """A shorter line, in characters, is taken for a speck."""

    @property
    def any(self) -> bool:
        """Whether anything is on."""
        return self.text or self.logo or self.nsfw or self.embedding or self.aesthetic != "off"

    @property
    def encodes(self) -> bool:
        """Whether open_clip's image encoder is needed."""
        return self.embedding or self.aesthetic == "head"


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """The one decoding pass: where shots begin and end, and what is measured of them."""

    detector: Literal["learned", "content", "adaptive", "transnetv2"] = "learned"
    """What finds shots. `learned`, a small network of our own, also finds dissolves, fades and whip pans,
    which become gaps (`transition`). So does `transnetv2`, a large one (extra `transnet`), at some 20 ms a
    frame. The others are PySceneDetect's and find hard cuts: `content` compares each frame with the one
    before, `adaptive` also with those around it, so that a fast pan is no cut."""
    shot_threshold: float = 0.5
    """`learned` and `transnetv2`: how sure it must be of a cut (`transnetv2`: or of a transition), 0 to 1."""
    transition_threshold: float = 0.75
    """`learned`: how sure it must be that a frame lies in a dissolve, a fade or a whip pan, 0 to 1. Lower
    finds more of them, and takes more fast zooms and pans for them."""
    content_threshold: float = 27.0
    """`content`: mean change of hue, saturation and value (0 to 255) that makes a cut."""
    adaptive_threshold: float = 3.0
    """`adaptive`: how many times the neighbourhood's change a cut must be."""
    adaptive_min_content: float = 15.0
    """`adaptive`: the least change (0 to 255) of a cut."""
    min_shot_s: float = 0.5
    """A shorter shot, in seconds, becomes a gap (`shot_too_short`)."""
    max_shot_s: float = 20.0
    """A longer shot, in seconds, is split into equal clips."""
    analysis_width_px: int = 160
    """Frames are scaled down to this width before anything is measured; smaller ones are left alone."""
    samples_per_s: float = 4.0
    """How often the dearer analyzers (motion, sharpness, thumbnail) look at a frame."""
    thumbnail_quality: int = 80
    """JPEG quality of the representative frame, 1 to 100."""
    scorers: ScorersConfig = field(default_factory=ScorersConfig)
    """What models are asked about each clip."""
    share_s: float = 120.0
    """A file that takes longer than a processor's share of the work is shared out among tasks, no fewer than
    so many seconds of it to each, if it can be decoded from the middle. 0 never does."""


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """Which clips are kept. The first of the rules (pipeline/select/rules.py) that a clip breaks drops it.

    A limit that is not given is that of the preset.
    """

    preset: Preset = "permissive"
    """`permissive`, `standard` or `strict`: the limits that are not given here (docs/filters.md)."""
    min_side_px: int | None = None
    """Short side of the source, and of what is inside its borders, in pixels."""
    min_duration_s: float | None = None
    """Seconds. Stills have no duration and pass."""
    max_duration_s: float | None = None
    """Seconds."""
    max_black: float | None = None
    """Largest share of frames that are black, 0 to 1."""
    max_blank: float | None = None
    """Largest share of frames without contrast, of whatever colour, 0 to 1."""
    min_sharpness: float | None = None
    """Least variance of the Laplacian over variance of luma. A clip without contrast passes."""
    max_static: float | None = None
    """Largest share of frames that repeat the frame before, 0 to 1. 1 keeps still shots: they are legal."""
    max_frozen_s: float | None = None
    """Longest time for which the picture may stand still, in seconds."""
    max_flashes: float | None = None
    """Most flashes of brightness in a clip."""
    max_underexposed: float | None = None
    """Largest share of pixels without light, 0 to 1."""
    max_overexposed: float | None = None
    """Largest share of burnt-out pixels, 0 to 1."""
    min_motion: float | None = None
    """Least mean motion, in short sides per second. 0 keeps still shots."""
    max_shake: float | None = None
    """Most unsteadiness of the camera, in short sides per second."""
    max_text_area: float | None = None
    """Largest share of the frame under text, 0 to 1 (needs `analyze.scorers.text`)."""
    max_corner_marks: float | None = None
    """Whether text or a logo may stay in a corner: 1 yes, 0 no (needs `scorers.text`, `scorers.logo`)."""
    languages: tuple[str, ...] = ()
    """Languages of burned-in text that are wanted, such as `en`; empty takes all, and so do too few words."""
    max_other_language: float | None = None
    """Whether text in other than those `languages` may be there: 1 yes, 0 no."""
    max_nsfw: float | None = None
    """Highest `nsfw`, 0 to 1 (needs `scorers.nsfw`)."""
    nsfw_review: float | None = None
    """Above this a clip is kept, but marked for review: the model is fooled by some drawings."""
    min_aesthetic: float | None = None
    """Least `aesthetic`, in the unit of the head (LAION's: 1 to 10; needs `scorers.aesthetic` head)."""
    min_aesthetic_heuristic: float | None = None
    """Least `aesthetic_heuristic`, 0 to 1 (needs `scorers.aesthetic` heuristic)."""


@dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """Which clips count as copies of others (docs/adr/0018). Of a clip and its copies one is kept."""

    exact: bool = True
    """Drop a span of a file when the same span of a file of the same bytes is kept (clips of equal files
    under one analysis are one clip anyway)."""
    near: bool = True
    """Drop the same content re-encoded, rescaled, letterboxed or shifted in time."""
    max_distance: float = 15.0
    """`near`: how different the least similar moment may be, 0 to 255 (fourth root of the mean fourth power
    over a small picture)."""
    max_relative: float = 0.2
    """`near`: the same as a share of the picture's own contrast: faint things count as much as bold ones."""
    min_covered: float = 0.8
    """Share of a dropped clip's time that its keeper must show, 0 to 1."""
    semantic: bool = False
    """Also drop what shows nearly the same by a model's judgement (needs `analyze.scorers.embedding`), though
    it be another take: clips that differ in how things move alone may count as the same."""
    max_cosine_distance: float = 0.01
    """`semantic`: 1 minus the cosine of two embeddings, 0 to 2, up to which clips show the same."""
    cluster_clips: int = 1000
    """`semantic`: clips are compared within clusters of about so many."""
    mirrored: bool = False
    """`near`: also drop copies with left and right exchanged. Off: what moves left there moves right here."""
    prefer: Literal["first", "best"] = "first"
    """`first`: what was once kept stays when data is added, even if a better copy comes. `best`: everything
    is decided anew whenever there are new clips, and the best copy is kept."""


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """How kept clips are encoded."""

    max_side_px: int = 1280
    """A longer side is scaled down to this, in pixels; 0 never scales."""
    crf: int = 18
    """x264's constant rate factor: 18 is close to transparent, lower is larger."""
    crop_borders: bool = True
    """Crop away black or one-coloured borders round the picture (letterbox, pillarbox)."""
    clips_per_tar: int = 1024
    """A task opens a new tar after about this many clips."""
    share_s: float = 60.0
    """A long file on a disk is shared out among tasks, at most about so many seconds of it to each (10 at
    least where there is little to do), if it can be decoded from the middle (MP4, MOV, Matroska and WebM).
    0 never does."""


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """Who captions, and what is shown to it."""

    captioner: CaptionerConfig = field(default_factory=CaptionerConfig)
    """Which captioner, with which prompts."""
    max_frames: int = 96
    """Most frames of each clip that the captioner may choose from, evenly spaced."""
    max_side_px: int = 640
    """Frames are scaled down to this long side before the captioner sees them."""
    batch_clips: int = 64
    """Most clips handed to the captioner at once."""
    actors: int = 0
    """Captioners that run side by side, one torch thread each; 0 for one a CPU."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """Which shapes clips are packed for."""

    buckets: tuple[str, ...] = (
        "17x64x64",
        "17x48x80",
        "17x80x48",
        "9x64x64",
        "9x48x80",
        "9x80x48",
        "9x32x80",
        "1x64x64",
        "1x48x80",
        "1x80x48",
    )
    """Shapes that the trainer meets, frames x height x width, such as 17x48x80."""
    fps: float = 8.0
    """Frame rate at which the buckets' frames are counted."""
    max_crop: float = 0.2
    """Largest share of each frame that fitting a bucket may crop away, 0 to 1."""
    shard_bytes: int = 256 * 2**20
    """A shard is closed before it would grow past this."""


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Where the tasks, or actors, of one stage run."""

    cpus: float = 1.0
    """CPUs that each is counted for."""
    gpus: float = 0.0
    """GPUs that each is given; a fraction shares one."""
    label: str = ""
    """Only on nodes that were started with this custom resource (`ray_cluster.yaml` has `decode` and
    `caption`); empty for any node."""
    most: int = 0
    """Most at once; 0 for as many as fit."""
    least: int = 1
    """Actors that are kept while the stage runs, however little there is to do. Tasks have no such bound."""


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """What Ray may use when it is started here; a running cluster (RAY_ADDRESS) keeps its own limits."""

    num_cpus: int = 0
    """CPUs; 0 for all of this machine."""
    object_store_bytes: int = 256 * 2**20
    """Shared memory for blocks. Rows are small and frames never pass through it."""
    commit_every_s: float = 10.0
    """Finished work is committed at least this often, in seconds: what a kill can lose."""
    verbose: bool = False
    """Show Ray's own logs and progress bars."""
    expect_cpus: int = 0
    """Work is cut into tasks for so many CPUs; 0 for those there are now. For a cluster that an autoscaler
    grows: as many as it may come to."""
    ship_packages: bool = True
    """Send these packages as they are to the cluster of RAY_ADDRESS; else its nodes need them installed."""
    wait_for_nodes_s: float = 600.0
    """How long a node that can run a stage is waited for before the job is refused, in seconds, where an
    autoscaler may start one."""
    analyze: PoolConfig = field(default_factory=PoolConfig)
    """Where sources are decoded and measured."""
    score: PoolConfig = field(default_factory=PoolConfig)
    """Where scorers live, one for every two CPUs unless `most` is set. With `gpus`, open_clip runs there."""
    cut: PoolConfig = field(default_factory=PoolConfig)
    """Where kept clips are cut and encoded."""
    caption: PoolConfig = field(default_factory=PoolConfig)
    """Where captioners live."""
    pack: PoolConfig = field(default_factory=PoolConfig)
    """Where shards are written."""


@dataclass(frozen=True, kw_only=True)
class CurateConfig:
    """All of curation."""

    listing: ListConfig = field(default_factory=ListConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    cut: CutConfig = field(default_factory=CutConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    ray: RayConfig = field(default_factory=RayConfig)


_VERSIONS = {
    "AnalyzeConfig": 7,
    "DedupConfig": 1,
    "SelectConfig": 4,
    "CutConfig": 3,
    "CaptionConfig": 1,
    "PackConfig": 1,
}
"""Raised when a stage's code changes what it gives for the same configuration."""
NO_EFFECT = {"clips_per_tar", "share_s", "batch_clips", "actors"}
"""Fields that change how the work is done, never what comes out."""


def config_digest(config: Any) -> str:
    """Name what a stage's configuration and code version give: equal only if the results are equal."""
    content = old_keys(type(config), _effective(asdict(config)))
    name = type(config).__name__
    return digest(name, _VERSIONS[name], json.dumps(content, sort_keys=True))


def _effective(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _effective(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if name not in NO_EFFECT
    }
