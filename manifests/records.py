"""The records that cross a package boundary, and nothing else.

Scores are columns of the clips table, never fields here: a new analyzer must not grow a record.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from uuid import UUID, uuid5

from manifests.digest import digest_parts

_CLIP_NAMESPACE = UUID("8f0f3e1e-5d0c-5b53-9d4f-6b696e6f7261")


class Outcome(StrEnum):
    """How one attempt at a caption ended. Only OK carries a text."""

    OK = "ok"
    REFUSED = "refused"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    DEGENERATE = "degenerate"
    TIMEOUT = "timeout"
    ERROR = "error"


class SourceStatus(StrEnum):
    """What analysing a source came to."""

    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One raw file, known from its listing alone: its bytes need not be read."""

    uri: str
    size_bytes: int
    etag: str
    """The store's entity tag, or the modification time in nanoseconds on a local disk."""
    carried: str = "{}"
    """JSON object of the columns that came with a source list (licence, url, original caption)."""

    @property
    def source_key(self) -> str:
        """Name of this version of the file: another size or time is another source."""
        return digest_parts("source", self.uri, self.size_bytes, self.etag)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """What is known of a source after one attempt to analyse it."""

    source_key: str
    uri: str
    size_bytes: int
    etag: str
    carried: str
    analysis: str
    """Digest of the analysis configuration and code version that this row is the result of."""
    status: SourceStatus
    source_digest: str | None
    """Digest of the bytes; None where they could not be read."""
    kind: str | None
    """`video` or `image`; None for a failed source."""
    codec: str | None
    width: int | None
    """Display width in pixels, rotation applied."""
    height: int | None
    fps: float | None
    start_pts: int | None
    end_pts: int | None
    """One past the last frame's presentation time: clips and gaps tile [start_pts, end_pts)."""
    time_base_num: int | None
    time_base_den: int | None
    num_frames: int | None
    """Decoded, never estimated."""


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
    """Return the id of a span: a new prompt, score or threshold never changes it."""
    return str(uuid5(_CLIP_NAMESPACE, f"{source_digest}/{stream_index}/{start_pts}/{end_pts}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A span of a source that became no clip, and why."""

    source_key: str
    start_pts: int
    end_pts: int
    reason: str
    analysis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Whether a clip is kept. Rejects stay, with the reason that dropped them."""

    clip_id: str
    kept: bool
    reason: str
    """The first rule that dropped the clip, or `kept`."""
    detail: str
    """The measured value beside its limit, for a person to read."""
    rules: str
    """Digest of the rules that decided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """Whether a clip is a copy of another. A decision stands as long as its keeper passes the rules."""

    clip_id: str
    kind: str
    """`exact`, `near` or `semantic`: what sort of copy it is; `none`: it is none, and may be the keeper of
    others; `out`: it was one of these, and breaks a rule now."""
    keeper: str
    """The clip that it is a copy of; itself where it is none."""
    distance: float | None
    """`near`: how different the two are at their least similar moment, 0 to 255; `semantic`: 1 minus the
    cosine of their embeddings; None where it is no copy."""
    offset_s: float | None
    """Where it begins in its keeper, in seconds after the keeper's beginning; None where it is no copy in
    time."""
    detail: str
    """The same for a person to read."""
    config: str
    """Digest of the configuration that decided, and of the analysis that it looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """The cut and encoded pixels of a clip: one member of a tar below `media/`."""

    media_id: str
    clip_id: str
    encoding: str
    """Digest of the crop and the encoding settings."""
    path: str
    """The tar, relative to the dataset."""
    offset: int
    """Where the member's data starts, in bytes."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """One attempt to caption one piece of media."""

    clip_id: str
    media_id: str
    outcome: Outcome
    text: str | None
    """The dense caption; None unless the outcome is OK."""
    short: str | None
    """One sentence; None unless the outcome is OK."""
    captioner: str
    """`vlm`, `embedded` or `facts`: a facts caption is never mistaken for a model's."""
    model: str
    revision: str
    prompt_digest: str
    decoding: str
    """JSON object of the decoding parameters."""
    frames_shown: tuple[int, ...]
    detail: str = ""
    """What went wrong, for a person to read."""
    version: str = ""
    """Names one run of one captioner configuration; filled in by the job that commits it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One verdict of one person. Append-only: the newest of a reviewer counts."""

    clip_id: str
    caption_version: str
    reviewer: str
    at: str
    """UTC time, ISO 8601."""
    verdict: str
    new_text: str | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One unit of work that failed: never a score, never a filter."""

    stage: str
    unit: str
    """The source key, clip id or media id that failed."""
    uri: str
    code: str
    message: str
    remedy: str
    config: str
    """Digest of the stage's configuration: a retry under another one is another attempt."""
    quarantined: bool = False
    """Every attempt ended the process that worked on it: it is retried on request only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """One tensor shape that the trainer meets."""

    num_frames: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """The name used in logs, such as `17x48x80` (frames, height, width)."""
        return f"{self.num_frames}x{self.height}x{self.width}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRef:
    """One packed clip: every member of it lies in `length` bytes of `shard` from `offset`."""

    clip_id: str
    bucket: Bucket
    shard: str
    offset: int
    length: int
