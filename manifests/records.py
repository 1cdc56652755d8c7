"""Records that cross package boundaries.

Scores are columns of the clips table, not fields of a record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid5

from manifests.digest import digest_parts

LENGTH_COLUMNS = {"short": "short", "medium": "medium", "dense": "text"}
"""Column of a caption that holds the text of each length."""
LENGTHS = tuple(LENGTH_COLUMNS)
"""Lengths of a caption's texts, shortest first."""
PARTS = ("subjects", "actions", "setting", "camera", "style", "light", "visible_text")
"""Keys of the JSON object `Caption.parts`."""
LIST_PARTS = ("subjects", "actions", "visible_text")
"""Those of `PARTS` that hold a list of texts; the others hold one text."""
_CLIP_NAMESPACE = UUID("8f0f3e1e-5d0c-5b53-9d4f-6b696e6f7261")


class Outcome(StrEnum):
    """Outcome of one caption attempt. Only OK has texts, at least one."""

    OK = "ok"
    REFUSED = "refused"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    DEGENERATE = "degenerate"
    TIMEOUT = "timeout"
    ERROR = "error"


class SourceStatus(StrEnum):
    """Outcome of analysing a source."""

    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One raw file, described by its listing alone."""

    uri: str
    size_bytes: int
    etag: str
    """The store's entity tag, or the modification time in nanoseconds on a local disk."""
    carried: str = "{}"
    """JSON object of the extra columns of a source list (licence, url, original caption)."""

    @property
    def source_key(self) -> str:
        """Key of this version of the file: changes with its size or `etag`."""
        return digest_parts("source", self.uri, self.size_bytes, self.etag)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """Result of one attempt to analyse a source."""

    source_key: str
    uri: str
    size_bytes: int
    etag: str
    carried: str
    analysis: str
    """Digest of the analysis configuration and code version."""
    status: SourceStatus
    source_digest: str | None
    """Digest of the bytes; None if they could not be read."""
    kind: str | None
    """`video` or `image`; None for a failed source."""
    codec: str | None
    width: int | None
    """Display width in pixels, rotation applied."""
    height: int | None
    fps: float | None
    start_pts: int | None
    end_pts: int | None
    """End of the last frame, exclusive: clips and gaps tile [start_pts, end_pts)."""
    time_base_num: int | None
    time_base_den: int | None
    num_frames: int | None
    """Counted by decoding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One span of one source: a shot, a part of a long shot, or a still (a clip of one frame)."""

    clip_id: str
    source_key: str
    source_digest: str
    uri: str
    kind: str
    """`video` or `image`."""
    stream_index: int
    start_pts: int
    end_pts: int
    time_base_num: int
    time_base_den: int
    num_frames: int
    height: int
    width: int
    analysis: str
    """Digest of the analysis that found this clip."""

    @property
    def duration_s(self) -> Fraction:
        """Exact duration in seconds."""
        return (self.end_pts - self.start_pts) * Fraction(self.time_base_num, self.time_base_den)


def clip_id(source_digest: str, stream_index: int, start_pts: int, end_pts: int) -> str:
    """Return the id of a span, which depends on the source's bytes and the span alone."""
    return str(uuid5(_CLIP_NAMESPACE, f"{source_digest}/{stream_index}/{start_pts}/{end_pts}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A span of a source without a clip, and the reason."""

    source_key: str
    start_pts: int
    end_pts: int
    reason: str
    analysis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The columns of one scorer for one clip, which stand beside these fields in the scores table."""

    clip_id: str
    scorer: str
    """Its name, `module:function`, or `question:NAME`."""
    digest: str
    """Digest of its settings and code version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Decision to keep or drop a clip, with the reason."""

    clip_id: str
    kept: bool
    reason: str
    """The first rule that dropped the clip, or `kept`."""
    detail: str
    """The measured value and its limit, for people; empty for a kept clip outside of every review band."""
    rules: str
    """Digest of the rules."""
    review: str = ""
    """The rule in whose review band a kept clip lies, such as `nsfw`; empty for other clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """Decision on whether a clip is a copy of another; valid while its keeper passes the rules."""

    clip_id: str
    kind: str
    """`exact`, `near` or `semantic` copy; `none`: no copy, and may be a keeper; `out`: no longer eligible."""
    keeper: str
    """The clip that it is a copy of; its own id if it is no copy."""
    distance: float | None
    """`near`: largest frame difference of the two, 0 to 255; `semantic`: cosine distance of their embeddings;
    None if it is no copy."""
    offset_s: float | None
    """Offset in the keeper, in seconds; None for `semantic` copies and if it is no copy."""
    detail: str
    """Description for people."""
    config: str
    """Digest of the dedup configuration and of the analysis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """The cut and encoded pixels of a clip, or of one window of it: one member of a tar below `media/`."""

    media_id: str
    """Names what a captioner sees: the clip, the crop and the window, however they are encoded."""
    clip_id: str
    encoding: str
    """Digest of the crop and the encoding settings."""
    path: str
    """The tar, relative to the dataset."""
    offset: int
    """Offset of the member's data, in bytes."""
    length: int
    extension: str
    """`mp4` for video, `png` for a still."""
    num_frames: int
    height: int
    width: int
    fps: float
    duration_s: float
    digest: str = ""
    """Digest of the member's bytes; empty in media cut by a version that did not keep it."""
    window_index: int = 0
    """Index of the window in its clip."""
    num_windows: int = 0
    """Number of equal windows that the clip was divided into; 0 in media cut before there were windows."""
    window_start_pts: int | None = None
    """First frame of the window, in the source's time base. The windows of a clip tile its span exactly."""
    window_end_pts: int | None = None
    """First frame of the next window, or end of the clip; None, like the start, if `num_windows` is 0."""
    audio: str = ""
    """Codec of its sound; empty without sound, as in all media of a version that kept none."""

    @property
    def key(self) -> str:
        """Name in shards: the clip id, with the index of the window if the clip has several."""
        return self.clip_id if self.num_windows < 2 else f"{self.clip_id}-{self.window_index:03d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """One attempt to caption one piece of media."""

    clip_id: str
    media_id: str
    outcome: Outcome
    text: str | None
    """The dense caption; None unless the outcome is OK and the captioner gave one."""
    short: str | None
    """The short caption, one sentence; None unless the outcome is OK and the captioner gave one."""
    captioner: str
    """`vlm`, `vllm`, `endpoint`, `embedded`, `facts` or `import`."""
    model: str
    revision: str
    prompt_digest: str
    decoding: str
    """JSON object of the decoding parameters."""
    frames_shown: tuple[int, ...]
    detail: str = ""
    """Error description for people."""
    version: str = ""
    """Name of the captioner configuration; filled in by the job that commits the caption."""
    medium: str | None = None
    """The caption of medium length; None unless the outcome is OK and the captioner gave one."""
    parts: str | None = None
    """JSON object of what the clip shows: `subjects`, `actions` in order and `visible_text` as lists of
    texts, `setting`, `camera`, `style` and `light` as texts, empty where nothing is visible. None unless the
    outcome is OK and the captioner was asked for parts."""
    heard: str = ""
    """Transcript of the clip that the captioner was given beside the frames: heard, not seen."""

    @property
    def texts(self) -> dict[str, str]:
        """The texts by length, in the order of `LENGTHS`."""
        texts = {length: getattr(self, column) for length, column in LENGTH_COLUMNS.items()}
        return {length: text for length, text in texts.items() if text is not None}


def longest_text(caption: Mapping[str, Any]) -> str | None:
    """Return the longest text of a row of captions, None if it has no text."""
    texts = (caption[LENGTH_COLUMNS[length]] for length in reversed(LENGTHS))
    return next((text for text in texts if text is not None), None)


class Verdict(StrEnum):
    """Decision of a reviewer on one piece of media."""

    APPROVE = "approve"
    EDIT = "edit"
    """Replaces one text of the caption."""
    REJECT = "reject"
    """The media leaves the training data."""
    FLAG = "flag"
    """For somebody else to decide."""
    SPAN = "span"
    """Replaces the span of the media."""
    WITHDRAW = "withdraw"
    """Undoes an earlier row, or all rows of one action."""
    COMPARE = "compare"
    """Prefers one of two caption versions, shown side by side without their names."""


class Choice(StrEnum):
    """The preferred side of a comparison."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One decision of one reviewer. Append-only; `manifests.review.decisions` says which rows stand."""

    review_id: str
    """Made by the client, in hexadecimal: a decision that is sent twice is recorded once."""
    clip_id: str
    media_id: str
    """Empty for a withdrawal."""
    reviewer: str
    at: str
    """UTC time, ISO 8601. For people: the order of decisions is that of the rows."""
    verdict: Verdict
    caption_version: str = ""
    """Version of the caption that was shown; of the left one for a comparison."""
    caption_digest: str = ""
    """`caption_digest` of the caption that was shown; empty if unknown."""
    saw: str = ""
    """The newest decision on this media that the reviewer was shown; empty if none was."""
    blind: bool = False
    """The decisions of other reviewers were hidden."""
    length: str = ""
    """Length of the text that an edit replaces (`LENGTHS`)."""
    new_text: str | None = None
    """Text of an edit."""
    reason: str = ""
    note: str = ""
    start_s: float | None = None
    """Start of a new span, in seconds from the start of the media."""
    end_s: float | None = None
    """End of a new span, in seconds from the start of the media, exclusive."""
    action: str = ""
    """Names the rows of one bulk action; empty for a single decision."""
    withdraws: str = ""
    """The `review_id` or the `action` that a withdrawal undoes."""
    other_version: str = ""
    """Version of the caption on the right of a comparison."""
    choice: str = ""
    """The preferred side of a comparison (`Choice`)."""


def caption_digest(short: str | None, medium: str | None, dense: str | None) -> str:
    """Return the digest of a caption's texts, which tells whether a review saw these texts."""
    texts = zip(LENGTHS, (short, medium, dense), strict=True)
    return digest_parts("caption", *(f"{length}={text}" for length, text in texts if text is not None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A source that was taken out for good. It hides the source, and later runs do not take it again."""

    source_key: str
    """Key of the version of the file that was known."""
    uri: str
    """Where it lies."""
    source_digest: str | None
    """Digest of its bytes: equal files under other names are hidden too. None if they were never read."""
    whole_uri: bool
    """Whether whatever lies at `uri` later is refused, or this version of the file alone."""
    purge: bool
    """Whether its bytes and texts are deleted too."""
    reason: str
    """Why, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One unit of work that failed."""

    stage: str
    unit: str
    """The source key, clip id or media id."""
    uri: str
    code: str
    message: str
    remedy: str
    config: str
    """Digest of the stage's configuration."""
    quarantined: bool = False
    """Every attempt killed its worker process; retried on request only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """One tensor shape of the training data."""

    num_frames: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """Name such as `17x48x80` (frames, height, width)."""
        return f"{self.num_frames}x{self.height}x{self.width}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRef:
    """One packed medium: its tar members are `length` bytes of `shard` from `offset`.

    In a split set that is the media alone, and the texts are `sidecar_length` bytes of `sidecar`.
    """

    clip_id: str
    bucket: Bucket
    shard: str
    offset: int
    length: int
    key: str = ""
    """Name of the sample in its tar, unique in the set: the clip id for a whole clip, `CLIP_ID-NNN` for its
    window NNN."""
    media_id: str = ""
    """Empty, like the three digests, in sets packed by a version that did not record it."""
    media_digest: str = ""
    """Digest of the media bytes."""
    source: str = ""
    """Digest of the source file's bytes."""
    window_frames: int = 0
    """Frames of the whole medium at the set's frame rate; at least `bucket.num_frames`."""
    text_digest: str = ""
    """Digest of all texts of the sample."""
    sidecar: str = ""
    """Tar of the texts in a split set; empty in a joined one."""
    sidecar_offset: int = 0
    sidecar_length: int = 0
    sidecar_digest: str = ""
    """Digest of all that the members in `sidecar` depend on, so that a repack copies those that stay."""

    def __post_init__(self) -> None:
        """Fill in the key and the window of a whole clip."""
        if not self.key:
            object.__setattr__(self, "key", self.clip_id)
        if not self.window_frames:
            object.__setattr__(self, "window_frames", self.bucket.num_frames)
