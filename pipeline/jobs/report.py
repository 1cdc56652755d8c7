"""The reports of the data jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.pack.reviews import ReviewCounts
from pipeline.planning.dry_run import StagePlan
from pipeline.sources.left_out import LeftOut


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateReport:
    """The result of `curate` or `retry`. `failed` and `dropped` count by code and by reason."""

    listed: int
    already_done: int
    """Listed sources that an earlier run attempted under the same configuration."""
    left_out: tuple[LeftOut, ...] = ()
    """What lies at the source and was not listed, by reason: other endings, hidden names, linked folders,
    what was removed from the dataset, what is beyond the trial."""
    analyzed: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    clips: int = 0
    gaps: int = 0
    scored: int = 0
    """Clips of earlier runs that were scored."""
    unscored: int = 0
    """Clips with a failed scorer: its columns are null, and `failures` has a row."""
    rescored: int = 0
    """Clips of earlier runs that scorers ran on, with success or without."""
    compared: int = 0
    """Clips that were compared with others to find copies."""
    decided: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    to_cut: int = 0
    cut: int = 0
    cut_failed: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: the work of each stage, its expected time, and the reasons for it."""

    @property
    def nothing_left(self) -> bool:
        """Whether this run had nothing to do."""
        worked = self.analyzed + self.scored + self.unscored + self.compared + self.decided + self.to_cut
        return not self.dry_run and worked + sum(self.failed.values()) == 0

    @property
    def failed_share(self) -> float:
        """Share of files and cuts that failed, or of clips that a scorer failed on: the larger one."""
        failed = sum(self.failed.values()) + sum(self.cut_failed.values())
        units = self.analyzed + sum(self.failed.values()) + self.to_cut
        return max(failed / max(1, units), self.unscored / max(1, self.clips + self.rescored))


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionReport:
    """The result of `caption`."""

    version: str
    media: int
    already_done: int
    """Media that this caption version attempted before."""
    ok: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    """Attempts without a good caption, by code."""
    left: int = 0
    """Clips that were not captioned because the captioner stopped; the next run goes on with them."""
    stopped: str = ""
    """Why it stopped."""
    input_tokens: int = 0
    """Tokens that a server or vLLM read, and wrote; 0 for other captioners."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """Tokens read that were in the cache of an earlier prompt, where the server says so."""
    cost: float = 0.0
    """By the prices of the configuration."""
    unloaded: tuple[str, ...] = ()
    """The error of each captioner that could not be loaded, while others worked."""
    shared: tuple[int, str] = (0, "")
    """Number of media with the most frequent text of this version, and the clip of one of them."""
    seconds: float = 0.0
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: the work, its expected time, and the reasons for it."""

    @property
    def shares_text(self) -> bool:
        """Whether one text is of so many clips that it may describe none: 20, and a twentieth of all."""
        return self.shared[0] >= max(20, (self.ok + self.already_done) / 20)

    @property
    def nothing_left(self) -> bool:
        """Whether all media were captioned before this run."""
        return not self.dry_run and self.already_done == self.media

    @property
    def failed_share(self) -> float:
        """Failed attempts over all attempts of this run."""
        failed = sum(self.failed.values())
        return failed / max(1, self.ok + failed)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackReport:
    """The result of `pack`."""

    samples: int
    shards: int
    nothing_left: bool
    """The folder held exactly this set already."""
    former_layout: bool
    """An earlier version packed this set, in its own form: it stays as it is."""
    buckets: Mapping[str, int]
    """Samples by bucket."""
    footage_used: Mapping[str, float]
    """Fraction of the packed footage that one epoch sees, by bucket and for `all`: a sample is as long as its
    bucket, and starts anywhere within its clip or window. Stills do not count."""
    left_out: Mapping[str, int]
    """Captioned clips that fit no bucket, by reason."""
    trimmed_to_one_frame: Sequence[str] = ()
    """Media ids of videos packed as one frame: a reviewer trimmed them below every bucket of several."""
    without_caption: int
    """Cut clips without a caption of the policy."""
    layout: str = "joined"
    tars_written: Mapping[str, int] = field(default_factory=dict)
    """Tars that were written, or would be, by what they hold: `joined`, or `media` and `captions`."""
    tars_kept: Mapping[str, int] = field(default_factory=dict)
    """Tars of the split set before that stay as they are."""
    policy: str = ""
    """The caption policy (`pack --captions`)."""
    captions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Samples by caption version and by length of the text."""
    without_caption_why: Mapping[str, int] = field(default_factory=dict)
    """`without_caption`, by reason."""
    redrawn: Mapping[str, int] = field(default_factory=dict)
    """Of a mix: clips that lack the caption drawn for them, by that caption and the one they got."""
    reviews: ReviewCounts = field(default_factory=ReviewCounts)
    """What reviews did to the samples, and the clips that left because of them."""
    bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: the work, its expected time, and the reasons for it."""
    unnoted: str = ""
    """Why the dataset's log could not record the new set; the set itself is complete."""
