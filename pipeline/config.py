"""Configuration of the data jobs. Imports nothing heavy.

No slots: jsonargparse reads the defaults of nested configurations from `__dict__`.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from captioner.config import CaptionerConfig
from manifests.digest import digest_parts
from manifests.ranges import (
    Finite,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    UnitFloat,
    check_ranges,
)
from manifests.renamed_fields import old_keys
from manifests.shown_frames import MAX_FRAMES
from video.config import SandboxConfig

Preset = Literal["permissive", "standard", "strict"]
"""A named set of selection limits (`pipeline/select/presets.py`)."""


@dataclass(frozen=True, kw_only=True)
class ListConfig:
    """Which files are sources."""

    video_extensions: tuple[str, ...] = (
        "3g2",
        "3gp",
        "amv",
        "asf",
        "avi",
        "divx",
        "dv",
        "f4v",
        "flv",
        "m1v",
        "m2p",
        "m2t",
        "m2ts",
        "m2v",
        "m4v",
        "mk3d",
        "mkv",
        "mov",
        "mp4",
        "mpe",
        "mpeg",
        "mpg",
        "mpv",
        "mts",
        "mxf",
        "nut",
        "ogm",
        "ogv",
        "qt",
        "rm",
        "rmvb",
        "tp",
        "trp",
        "ts",
        "vob",
        "webm",
        "wmv",
        "wtv",
        "y4m",
    )
    """Extensions of video files, lower case, without the dot."""
    image_extensions: tuple[str, ...] = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp")
    """Extensions of still images. A still becomes a clip of one frame."""
    more_extensions: tuple[str, ...] = ()
    """Extensions to take besides these, such as `gif`. Files with other ones are counted as left out."""
    hidden: bool = False
    """Also take what is passed over: names that begin with a dot, and folders that NAS systems and desktops
    keep beside files (`@eaDir`, `__MACOSX`, recycle bins), in folders, buckets and tars alike."""
    follow_links: bool = False
    """Also take what lies below linked folders, each folder once. Linked files are always taken."""
    uri_column: str = ""
    """Column of a source list that holds the URIs; empty for the first of `uri`, `path` and `url`."""


@dataclass(frozen=True, kw_only=True)
class ScorersConfig:
    """Scorers with models, which see a few larger frames of each clip. While all are off, none are kept."""

    text: bool = False
    """Detect burned-in text: `text_area`, `text_lines`, `text_language`, `corner_mark`."""
    logo: bool = False
    """Detect a static logo in a corner: `corner_logo`. No model; a few ms per clip."""
    nsfw: bool = False
    """Score content that is not safe for work: `nsfw`."""
    aesthetic: Literal["off", "heuristic", "head"] = "off"
    """`head` computes `aesthetic` with a model of images and a linear head; `heuristic` computes
    `aesthetic_heuristic` from colour, contrast and sharpness, without a model."""
    embedding: bool = False
    """Store an embedding of each clip: `embedding`, for `kinora search` and `dedup.semantic`."""
    clip_model: str = ""
    """`head` and `embedding`: `local-dir:FOLDER` of open_clip, the FOLDER of a transformers model, or a
    `NAME/TAG` of open_clip with `clip_weights`: each says which pixels the weights want (docs/search.md)."""
    clip_weights: str = ""
    """`head` and `embedding`: file of the weights of a NAME/TAG (.safetensors, or .pt with tensors only)."""
    aesthetic_head: str = ""
    """`head`: file of the linear layer on the image embedding, `weight` and `bias` (.safetensors or .pth)."""
    own: tuple[str, ...] = ()
    """Your own scorers, each `module:function` (docs/filters.md)."""
    frames: PositiveInt = 3
    """Maximum number of frames scored per clip, evenly spaced."""
    side_px: PositiveInt = 640
    """Maximum long side of these frames, in pixels."""
    frames_per_s: PositiveFloat = 2.0
    """Frames per second that are buffered while a source is decoded, until its shots are known."""
    budget_mb: PositiveInt = 64
    """MiB of buffered frames per source. Beyond it every other frame is dropped, and the rate is halved."""
    min_text_score: UnitFloat = 0.85
    """Minimum confidence of a line of text, 0 to 1."""
    min_text_length: NonNegativeInt = 3
    """Minimum length of a line of text, in characters; shorter ones are noise."""

    __post_init__ = check_ranges

    @property
    def any(self) -> bool:
        """Whether any scorer is on."""
        models = self.text or self.logo or self.nsfw or self.embedding or self.aesthetic != "off"
        return models or bool(self.own)

    @property
    def encodes(self) -> bool:
        """Whether a scorer needs the image encoder."""
        return self.embedding or self.aesthetic == "head"


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """The decode pass: shot detection and signals."""

    detector: Literal["learned", "content", "adaptive", "transnetv2"] = "learned"
    """The shot detector. `learned`, a small network that ships with Kinora, also finds dissolves, fades and
    whip pans, which become gaps (`transition`). So does `transnetv2`, a large network (extra `transnet`), at
    about 20 ms per frame. `content` and `adaptive` are PySceneDetect's and find hard cuts: `content` compares
    each frame with the previous one, `adaptive` with its neighbourhood, so that a fast pan is not a cut."""
    shot_threshold: UnitFloat = 0.5
    """`learned` and `transnetv2`: minimum probability of a cut (`transnetv2`: or of a transition), 0 to 1."""
    transition_threshold: UnitFloat = 0.75
    """`learned`: minimum probability that a frame lies in a dissolve, a fade or a whip pan, 0 to 1. A lower
    value finds more of them, but also takes more fast zooms and pans for one."""
    content_threshold: Annotated[float, Range(min=0, max=255)] = 27.0
    """`content`: minimum mean change of hue, saturation and value of a cut, 0 to 255."""
    adaptive_threshold: NonNegativeFloat = 3.0
    """`adaptive`: minimum ratio of a cut's change to that of its neighbourhood."""
    adaptive_min_content: Annotated[float, Range(min=0, max=255)] = 15.0
    """`adaptive`: minimum change of a cut, 0 to 255."""
    min_shot_s: NonNegativeFloat = 0.5
    """Minimum length of a shot, in seconds; a shorter one becomes a gap (`shot_too_short`)."""
    max_shot_s: PositiveFloat = 20.0
    """Maximum length of a clip, in seconds; a longer shot is split into equal clips."""
    analysis_width_px: PositiveInt = 160
    """Width that frames are scaled down to before they are measured; smaller frames are not scaled."""
    samples_per_s: PositiveFloat = 4.0
    """Frames per second that the expensive analyzers (motion, sharpness, thumbnail) see."""
    thumbnail_quality: Annotated[int, Range(min=1, max=100)] = 80
    """JPEG quality of the thumbnail, 1 to 100."""
    scorers: ScorersConfig = field(default_factory=ScorersConfig)
    """Scorers with models."""
    min_chunk_s: NonNegativeFloat = 120.0
    """A long file is split into chunks of at least this many seconds, analyzed by different tasks, if it can
    be decoded from the middle. 0 turns splitting off."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """Which clips are kept. A clip is dropped by the first rule (pipeline/select/rules.py) that it breaks.

    Limits that are not set here are those of the preset.
    """

    preset: Preset = "permissive"
    """The limits that are not set here: `permissive`, `standard` or `strict` (docs/filters.md)."""
    min_side_px: NonNegativeInt | None = None
    """Minimum short side of the source, and of the picture inside its borders, in pixels."""
    min_duration_s: NonNegativeFloat | None = None
    """Minimum duration in seconds. Stills pass."""
    max_duration_s: NonNegativeFloat | None = None
    """Maximum duration in seconds."""
    max_black: UnitFloat | None = None
    """Maximum fraction of black frames, 0 to 1."""
    max_blank: UnitFloat | None = None
    """Maximum fraction of frames without contrast, of any colour, 0 to 1."""
    min_sharpness: NonNegativeFloat | None = None
    """Minimum variance of the Laplacian over the variance of luma. A clip without contrast passes."""
    max_static: UnitFloat | None = None
    """Maximum fraction of frames that repeat the previous frame, 0 to 1. 1 keeps static shots."""
    max_frozen_s: NonNegativeFloat | None = None
    """Maximum time for which the picture may freeze, in seconds."""
    max_flashes: NonNegativeFloat | None = None
    """Maximum number of flashes in a clip."""
    max_underexposed: UnitFloat | None = None
    """Maximum fraction of underexposed pixels, 0 to 1."""
    max_overexposed: UnitFloat | None = None
    """Maximum fraction of overexposed pixels, 0 to 1."""
    min_motion: NonNegativeFloat | None = None
    """Minimum mean motion, in short sides per second. 0 keeps static shots."""
    max_shake: NonNegativeFloat | None = None
    """Maximum camera shake, in short sides per second."""
    max_text_area: UnitFloat | None = None
    """Maximum fraction of the frame under text, 0 to 1 (needs `analyze.scorers.text`)."""
    max_corner_marks: UnitFloat | None = None
    """Whether text or a logo in a corner is allowed: 1 yes, 0 no (needs `scorers.text`, `scorers.logo`)."""
    languages: tuple[str, ...] = ()
    """Allowed languages of burned-in text, such as `en`; empty for all. Text too short to identify passes."""
    max_other_language: UnitFloat | None = None
    """Whether text in a language other than `languages` is allowed: 1 yes, 0 no."""
    max_nsfw: UnitFloat | None = None
    """Maximum `nsfw`, 0 to 1 (needs `scorers.nsfw`)."""
    nsfw_review: UnitFloat | None = None
    """Kept clips with a higher `nsfw` are marked for review: the model misjudges some drawings."""
    min_aesthetic: Finite | None = None
    """Minimum `aesthetic`, in the unit of the head (LAION's: 1 to 10; needs `scorers.aesthetic` head)."""
    min_aesthetic_heuristic: UnitFloat | None = None
    """Minimum `aesthetic_heuristic`, 0 to 1 (needs `scorers.aesthetic` heuristic)."""
    where: str = ""
    """An SQL condition: clips for which it does not hold are dropped. It is over the columns of clips, their
    scores, and the columns of a source list, such as `licence = 'CC0' AND motion > 0.01`; empty for none."""
    limits: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Minimum and maximum of any column of numbers, such as one of your own scorers:
    `{my_score: [0.1, null]}`. A clip outside is dropped."""
    review: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Review band of any column of numbers, written as `limits`. A kept clip outside is marked for review."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """Which clips are copies of others (docs/adr/0018). Of a clip and its copies one is kept."""

    exact: bool = True
    """Drop a clip covered by a kept clip of a file with the same bytes. (Equal spans of such files are one
    clip.)"""
    near: bool = True
    """Drop copies that were re-encoded, rescaled, letterboxed or shifted in time, or have another logo or
    other subtitles."""
    max_distance: Annotated[float, Range(min=0, max=255)] = 15.0
    """`near`: maximum difference of the least similar two frames in succession, 0 to 255 (fourth root of the
    mean fourth power over a small picture)."""
    max_relative_distance: NonNegativeFloat = 0.2
    """`near`: maximum of this difference over the contrast of the clip, so that faint details count."""
    min_coverage: UnitFloat = 0.8
    """Minimum fraction of a dropped clip's duration that its keeper covers, 0 to 1."""
    semantic: bool = False
    """Also drop clips with nearly the same embedding (needs `analyze.scorers.embedding`). This includes other
    takes: clips that differ only in how things move may have the same embedding."""
    max_cosine_distance: Annotated[float, Range(min=0, max=2)] = 0.01
    """`semantic`: maximum cosine distance of two copies, 0 to 2."""
    cluster_size: PositiveInt = 1000
    """`semantic`: average number of clips per cluster. Clips are compared within clusters only."""
    mirrored: bool = False
    """`near`: also drop horizontally flipped copies. Off by default: a flip reverses directions."""
    prefer: Literal["first", "best"] = "first"
    """`first` keeps earlier keepers when data is added, even if a better copy arrives. `best` compares all
    clips again whenever there are new ones, and keeps the best copy."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """How kept clips are encoded."""

    max_side_px: NonNegativeInt = 1280
    """Maximum long side, in pixels; larger clips are scaled down. 0 turns scaling off."""
    crf: Annotated[int, Range(min=0, max=51)] = 18
    """x264's constant rate factor. 18 is nearly transparent; lower values give larger files."""
    window_s: NonNegativeFloat = 4.25
    """Maximum length of one medium, in seconds: a longer clip is cut into equal windows, each encoded and
    captioned on its own, so that a caption speaks of what a training sample shows. About twice the longest
    bucket. 0 turns windows off. Clips that were cut before there were windows stay whole at the default."""
    audio: Literal["none", "copy", "aac"] = "none"
    """The sound of video clips, as a second track that readers of pictures ignore. `copy` keeps it as it is
    (AAC, MP3, MP2, AC-3, Opus, FLAC, ALAC; other codecs as `aac` does); `aac` encodes it."""
    crop_borders: bool = True
    """Crop black borders (letterbox, pillarbox, thin edges)."""
    clips_per_tar: PositiveInt = 1024
    """Maximum number of clips per task, and so per tar; only one source with more exceeds it."""
    max_chunk_s: NonNegativeFloat = 60.0
    """A long local file is split into chunks of at most this many seconds (shorter, but at least 10 s, when
    there is little work), cut by different tasks, if it can be decoded from the middle (MP4, MOV, Matroska
    and WebM). 0 turns splitting off."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """The captioner, and the frames it sees."""

    captioner: CaptionerConfig = field(default_factory=CaptionerConfig)
    """The captioner and its prompts."""
    max_frames: PositiveInt = MAX_FRAMES
    """Maximum number of frames per clip that the captioner can choose from, evenly spaced."""
    max_side_px: PositiveInt = 640
    """Maximum long side of these frames, in pixels."""
    batch_clips: PositiveInt = 64
    """Maximum number of clips per call of the captioner."""
    actors: NonNegativeInt = 0
    """Number of captioners that run in parallel, each with one torch thread; 0 for one per CPU, and for one
    in all if it is a server. Of kind `vllm` they only read clips, and ask the engines."""
    decode_threads: PositiveInt = 2
    """Threads of each captioner that decode the next clips while it works."""
    transcripts: str = ""
    """Transcripts of sources, given to the prompt as what is heard: the name of a column of the source list,
    or the ending of files beside the sources, such as `.vtt` or `.en.srt`. They are WebVTT, SubRip, the JSON
    of a recogniser, or plain text; sources without one are captioned without. Default: none."""
    score_words: tuple[str, ...] = ()
    """Scores that are added to each caption in words, of `motion`, `camera`, `light` and `look`: `Motion:
    fast. Camera: pan left.` Default: none."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class AskConfig(CaptionConfig):
    """The questions about clips, and the model that answers them: a captioner of kind `vlm`, `vllm` or
    `endpoint`."""

    questions: str = ""
    """YAML file of your own questions (docs/questions.md). Default: the built-in ones."""
    only: tuple[str, ...] = ()
    """Names of the questions to ask; empty for all of the file."""
    max_answer_tokens: PositiveInt = 16
    """Maximum answer length, in place of the model's `max_new_tokens`. Raise it for models that think."""


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """How captions are checked against their clips."""

    clip_model: str = ""
    """Model that compares sentences with clips: `local-dir:FOLDER` of open_clip, or the FOLDER of a
    transformers model such as SigLIP. Default: colours, light and motion are measured and compared with what
    a caption names."""
    min_agreement: UnitFloat = 0.55
    """Mean agreement of captions with their own clips below which the check fails; 0.5 is chance."""
    claims: bool = True
    """Split captions into claims and check each."""
    read_text: bool = True
    """Read text in the clips of captions that quote some, if rapidocr is installed."""
    captioner: CaptionerConfig | None = None
    """Vision-language model (of kind `vlm`) that answers about the claims of a sample. Default: none."""
    ask_share: UnitFloat = 0.05
    """Fraction of the captions, in each band of unsupported claims, whose claims the model is asked about."""
    max_frames: PositiveInt = 48
    """Maximum number of frames decoded per clip, evenly spaced."""
    max_side_px: PositiveInt = 256
    """Maximum long side of these frames, in pixels."""

    __post_init__ = check_ranges


REVIEWED_CAPTIONS = "reviewed"
LATEST_CAPTIONS = "latest-ok"
"""The caption policy of `pack` that takes the newest OK caption of each clip."""


@dataclass(frozen=True, kw_only=True)
class ReviewUse:
    """What `pack` does with reviewed media; without a `reviewed` in `captions`, only `rejected` matters."""

    rejected: Literal["leave_out", "keep"] = "leave_out"
    """Media that a reviewer rejected, under any policy."""
    flagged: Literal["leave_out", "keep"] = "leave_out"
    """Media that a reviewer flagged for somebody to look at."""
    disputed: Literal["leave_out", "keep"] = "leave_out"
    """Media over which reviewers differ. A kept one has its caption as it was."""
    unreviewed: Literal["leave_out", "keep"] = "keep"
    """Media that nobody decided on."""
    stale: Literal["ignore", "apply"] = "ignore"
    """Approvals and edits of captions whose texts changed since; `apply` replaces the texts of today."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """The buckets that clips are packed into."""

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
    """Shapes, frames x height x width, such as 17x48x80."""
    fps: PositiveFloat = 8.0
    """Frame rate of the buckets."""
    max_crop: UnitFloat = 0.2
    """Maximum fraction of a frame that is cropped to fit a bucket, 0 to 1."""
    time_factor: NonNegativeInt = 4
    """Frames per latent frame of the video VAE: buckets must have 1 + a multiple of it. 0 allows all."""
    shard_bytes: PositiveInt = 256 * 2**20
    """Maximum size of a shard, in bytes."""
    min_shards: PositiveInt = 2
    """Minimum number of shards of a bucket with as many samples, so that this many workers can read it."""
    image_format: Literal["png", "jpg"] = "png"
    """Format of all stills: `png` is lossless, `jpg` (quality 95) smaller. Stills in this format are packed
    unchanged."""
    min_footage: UnitFloat = 0.5
    """Warn if samples of the buckets' lengths cover less than this fraction of the packed footage, 0 to 1."""
    layout: Literal["joined", "split"] = "joined"
    """`joined` puts media, text and record of a sample into one tar, which every reader opens; `split` puts
    the texts and records into tars of their own, so that a new caption rewrites no media."""
    captions: str = LATEST_CAPTIONS
    """Which captions: `latest-ok` (the newest OK caption of each clip), `VERSION[:LENGTH]` (one version only)
    or `mix:VERSION[:LENGTH]=SHARE,...` (drawn per clip). LENGTH is `short`, `medium` or `dense`; `kinora
    status` lists the versions. `reviewed[:LENGTH]` lays the edits of reviewers over `latest-ok`, and
    `reviewed+POLICY` over another of these."""
    reviews: ReviewUse = field(default_factory=ReviewUse)

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Resources of the tasks or actors of one stage."""

    cpus: NonNegativeFloat = 1.0
    """CPUs per task or actor."""
    gpus: NonNegativeFloat = 0.0
    """GPUs per task or actor; a fraction shares one."""
    label: str = ""
    """Run only on nodes with this custom resource (`ray_cluster.yaml` has `decode` and `caption`); empty for
    any node."""
    max_size: NonNegativeInt = 0
    """Maximum number of concurrent tasks or actors; 0 for as many as fit."""
    min_size: NonNegativeInt = 1
    """Minimum number of actors while the stage runs. Tasks have no minimum."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Ray on this machine, and the pools of the stages. A cluster (RAY_ADDRESS) keeps its own limits."""

    num_cpus: NonNegativeInt = 0
    """CPUs that Ray may use; 0 for all of this machine."""
    object_store_bytes: PositiveInt = 256 * 2**20
    """Shared memory for blocks. Blocks hold rows, never frames."""
    commit_every_s: NonNegativeFloat = 10.0
    """Maximum time between commits of finished work, in seconds. A kill loses what is not committed."""
    no_progress_timeout_s: NonNegativeFloat = 0.0
    """Time without any result after which a stage ends, in seconds; 0 for never. Ray Data's own default, half
    an hour, ends jobs whose units honestly take longer. The sandbox bounds a decode that hangs."""
    verbose: bool = False
    """Show Ray's own logs and progress bars."""
    expect_cpus: NonNegativeInt = 0
    """Number of CPUs to split work for; 0 for those available now. With an autoscaler, set its maximum."""
    ship_packages: bool = True
    """Upload Kinora's packages to the cluster of RAY_ADDRESS; else its nodes must have them installed."""
    wait_for_nodes_s: NonNegativeFloat = 600.0
    """With an autoscaler: time to wait for a node that can run a stage, in seconds, before the job fails."""
    analyze: PoolConfig = field(default_factory=PoolConfig)
    """Tasks that decode and measure sources."""
    score: PoolConfig = field(default_factory=PoolConfig)
    """Actors of the scorers; one per two CPUs unless `max_size` is set. `gpus` is for embeddings."""
    cut: PoolConfig = field(default_factory=PoolConfig)
    """Tasks that cut and encode kept clips."""
    caption: PoolConfig = field(default_factory=PoolConfig)
    """Actors of the captioners."""
    ask: PoolConfig = field(default_factory=PoolConfig)
    """Actors of the models that answer questions."""
    audit: PoolConfig = field(default_factory=PoolConfig)
    """Actors that check captions."""
    pack: PoolConfig = field(default_factory=PoolConfig)
    """Tasks that write shards."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class CurateConfig:
    """Configuration of curation."""

    listing: ListConfig = field(default_factory=ListConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    cut: CutConfig = field(default_factory=CutConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    ray: RayConfig = field(default_factory=RayConfig)


_VERSIONS = {
    "AnalyzeConfig": 13,
    "DedupConfig": 5,
    "SelectConfig": 4,
    "CutConfig": 3,
    "CaptionConfig": 1,
    "AskConfig": 1,
    "AuditConfig": 1,
    "PackConfig": 1,
}
"""Increment when a change of a stage's code changes its results for the same configuration."""
NO_EFFECT = {
    "clips_per_tar",
    "min_chunk_s",
    "max_chunk_s",
    "batch_clips",
    "actors",
    "decode_threads",
    "url",
    "api_key_env",
    "concurrency",
    "tries",
    "max_wait_s",
    "python",
    "engines",
    "tensor_parallel_size",
    "gpus",
    "gpu_memory_utilization",
    "max_num_seqs",
    "input_price",
    "output_price",
    "max_cost",
    "time_factor",
    "min_footage",
    "min_agreement",
    "questions",
    "only",
}
"""Fields that never change results."""
RECORDED = {"window_s"}
"""Fields whose effect the rows of the stage record themselves, so that digests leave them out."""
ADDED: dict[str, Any] = {
    "layout": "joined",
    "reviews": asdict(ReviewUse()),
    "captions": "latest-ok",
    "min_shards": 2,
    "image_format": "png",
    "medium_prompt": "",
    "joint_prompt": "",
    "parts_prompt": "",
    "transcripts": "",
    "score_words": (),
    "long_clip_s": 0.0,
    "frames_by": "time",
    "caption_language": "",
    "endpoint": None,
    "logprobs": True,
    "vllm": None,
    "own": (),
    "limits": {},
    "review": {},
    "where": "",
    "audio": "none",
}
"""Fields added later, with the value at which they leave a digest as it was."""


_SCORERS_OFF: dict[str, Any] = {
    "text": False,
    "logo": False,
    "nsfw": False,
    "aesthetic": "off",
    "embedding": False,
    "clip_model": "ViT-L-14",
    "clip_weights": "",
    "aesthetic_head": "",
    "frames": 3,
    "side_px": 640,
    "frames_per_s": 2.0,
    "budget_mb": 64,
    "min_text_score": 0.85,
    "min_text_length": 3,
}
"""What every analysis's digest holds in place of its scorers, whose digests are their own."""


def config_digest(config: Any) -> str:
    """Return a digest of a stage's configuration and code version. Equal digests mean equal results.

    That of an analysis does not depend on its scorers.
    """
    content = asdict(config)
    if isinstance(config, AnalyzeConfig):
        content["scorers"] = _SCORERS_OFF
    return _digest(config, content)


def scored_analysis_digest(config: AnalyzeConfig) -> str:
    """Return the digest of an analysis from the time when scores were part of it."""
    content = asdict(config)
    content["scorers"] = {name: content["scorers"][name] for name in _SCORERS_OFF}
    return _digest(config, content)


def _digest(config: Any, content: dict[str, Any]) -> str:
    content = old_keys(type(config), _effective(content))
    name = type(config).__name__
    return digest_parts(name, _VERSIONS[name], json.dumps(content, sort_keys=True))


def _effective(content: dict[str, Any]) -> dict[str, Any]:
    """Drop the fields of NO_EFFECT and RECORDED, and those of `ADDED` at their value there."""
    return {
        name: _effective(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if name not in NO_EFFECT | RECORDED and not (name in ADDED and ADDED[name] == value)
    }
