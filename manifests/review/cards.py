"""What the review desk shows: plain values without HTTP, storage or SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.records import Review


@dataclass(frozen=True, kw_only=True, slots=True)
class Stratum:
    """A group of media that are reviewed for the same reason."""

    name: str
    """`all`, `outcome`, `near`, `band`, `changed`, `agreement`, `unsupported`, `flagged`, `disagreement`, or
    `bucket:NAME`."""
    title: str
    description: str
    """Why these clips deserve a look, for people."""
    size: int
    reviewed: int
    """Media with all their reviews (`ReviewConfig.reviews_per_clip`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueItem:
    """One media in a queue."""

    media_id: str
    clip_id: str
    key: str
    """Name for people and in shards: the clip id, with the index of the window if there are several."""
    position: int
    """Index in the queue."""
    reasons: tuple[str, ...]
    """Why the clip is in a stratum, for people, such as `motion 0.0041, limit 0.004`."""
    kind: str
    """`video` or `image`."""
    duration_s: float
    bucket: str
    outcome: str
    """Outcome of the caption that counts; empty without a caption."""
    text: str
    """The longest text as it stands now."""
    verdict: str
    """The decision that stands, or the reviewer's own one while they are blind; empty if none does."""
    num_reviews: int
    """Reviewers who decided; while the reviewer is blind, 1 if they did themselves, else 0."""
    held_by: str
    """Reviewer with a lease on it; empty if nobody has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePage:
    """Part of a queue."""

    items: tuple[QueueItem, ...]
    offset: int
    total: int
    """Number of media in the queue."""
    total_is_exact: bool = True
    """False if `total` is a lower bound (a search with very many matches)."""
    empty_because: str = ""
    """Why there are no items, for people; empty if there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """The media that are assigned to one reviewer."""

    reviewer: str
    open: int
    """Media that lack reviews."""
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionVersion:
    """One caption of a media, as a captioner gave it."""

    version: str
    outcome: str
    texts: Mapping[str, str]
    """By length (`records.LENGTHS`)."""
    digest: str
    """`records.caption_digest` of its texts."""
    captioner: str
    model: str
    revision: str
    prompt_digest: str
    frames_shown: tuple[int, ...]
    """Indices of the frames of the media that the captioner saw."""
    detail: str
    counts: bool
    """It is the caption that is packed, unless a policy names another version."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Other columns of the caption, such as claims and agreement where a dataset has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision that stands for one media (`manifests.review.decisions`)."""

    verdict: str
    """Empty if reviewers differ, or if there is none."""
    texts: Mapping[str, str]
    """Edited texts by length."""
    reason: str
    note: str
    start_s: float | None
    end_s: float | None
    reviewers: tuple[str, ...]
    disagreement: bool
    stale: bool
    newest: str
    """Id of the newest row that counts; empty if there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleResult:
    """What one selection rule measured in a clip."""

    reason: str
    value: float | None
    limit: float
    sign: str
    """`<` or `>`: on which side of the limit a clip is dropped."""
    unit: str
    broken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """Another clip of the same source, or a copy of this clip."""

    clip_id: str
    media_id: str
    """Empty if the clip has no media, as dropped clips have none."""
    relation: str
    """`before`, `after`, or the kind of copy (`exact`, `near`, `semantic`)."""
    kept: bool
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFile:
    """Where the bytes of a media lie."""

    path: str
    """The tar, relative to the dataset."""
    offset: int
    length: int
    extension: str
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanBucket:
    """Where `kinora pack` would put a span of a media that has at least so many frames."""

    from_frames: int
    """Least number of frames, at the rate of the last pack."""
    name: str
    num_frames: int
    """Frames that a sample of this bucket has; 1 for a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """Everything about one media that a reviewer sees."""

    item: QueueItem
    file: MediaFile
    num_frames: int
    height: int
    width: int
    fps: float
    source_uri: str
    start_s: float
    """Start of the media in its source, in seconds."""
    end_s: float
    captions: tuple[CaptionVersion, ...]
    """Newest request first."""
    texts: Mapping[str, str]
    """By length, as they stand now: those of the caption that counts, with the edits."""
    decision: Decision
    """While the reviewer is blind, their own."""
    saw: str
    """To be sent back with a decision: the newest row that this card shows."""
    caption_version: str
    """To be sent back with a decision: the caption that counts."""
    caption_digest: str
    """To be sent back with a decision."""
    blind: bool
    """Decisions of other reviewers are hidden."""
    history: tuple[Review, ...]
    """Rows on this media, oldest first; while blind, the reviewer's own."""
    scores: Mapping[str, Any]
    """Measured columns of the clip, without the large ones."""
    selection: str
    """Why the clip was kept, for people."""
    rules: tuple[RuleResult, ...]
    """Nearest to its limit first; empty if the rules are unknown."""
    neighbours: tuple[Neighbour, ...]
    lease_s: float
    """Seconds for which the reviewer holds it; 0 if they do not."""
    problem: str = ""
    """Why the scores could not be read, for people; empty if they were."""
    pack_fps: float = 0.0
    """Frame rate of the last pack; 0 before the first."""
    span_buckets: tuple[SpanBucket, ...] = ()
    """Buckets of the last pack by the length of the span, shortest first; a shorter span fits none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkSample:
    """One change of a bulk edit."""

    media_id: str
    length: str
    """Empty for a verdict."""
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkPreview:
    """What a bulk edit would do."""

    token: str
    """To be given to `apply_bulk`."""
    matched: int
    """Media of the queue."""
    changed: int
    """Media that the edit would change."""
    texts_changed: int
    samples: tuple[BulkSample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparePair:
    """Two captions of one media in random order, without the names of their versions."""

    pair_id: str
    """To be sent back with the vote."""
    media_id: str
    left: Mapping[str, str]
    """Texts by length."""
    right: Mapping[str, str]
    position: int
    total: int
    """Media on which the two versions differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareVotes:
    """Votes between two caption versions, by media and reviewer: the newest of each counts."""

    version: str
    other_version: str
    wins: int
    """Of `version`."""
    losses: int
    ties: int
    left_chosen: int
    """Votes for the left side, which should be about half of those without ties."""
    total: int
    """Media on which the two versions differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """The opinion of one reviewer in a disagreement."""

    reviewer: str
    verdict: str
    texts: Mapping[str, str]
    """Edited texts by length."""
    reason: str
    note: str
    start_s: float | None
    end_s: float | None
    review_id: str
    """Its newest row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """One media on which reviewers differ."""

    item: QueueItem
    caption: Mapping[str, str]
    """Texts by length before any edit."""
    sides: tuple[Side, ...]
    saw: str
    """To be sent back with the choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskFigures:
    """Progress of the review."""

    commit: int
    """Commit that the index holds."""
    media: int
    reviewed: int
    """Media with all their reviews."""
    verdicts: Mapping[str, int]
    """Media by the decision that stands."""
    disagreements: int
    stale: int
    reviewers: Mapping[str, int]
    """Media that each reviewer decided on."""
    strata: tuple[Stratum, ...]
    buckets: Mapping[str, tuple[int, int]]
    """Size and reviewed media of each bucket."""
    outcomes: Mapping[str, int]
    """Media by the outcome of the caption that counts."""
    uncommitted: int
    """Decisions that are durable in the journal and not yet committed to the dataset."""
    problem: str
    """Why the last commit failed, for people; empty if it did not."""
