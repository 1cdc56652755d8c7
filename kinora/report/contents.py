"""Read what the demo report shows of a dataset and its shards."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kinora.report.embed import Embedded, data_uri, embed
from kinora.report.reading import Missing
from manifests import buckets, conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Bucket, longest_text
from manifests.shards import ShardIndex
from manifests.thumbnails import read_thumbnails

CLIPS_SHOWN = 12
"""Maximum clips per captioner."""
DROPPED_SHOWN = 8
"""Maximum dropped clips."""
CLIPS_BYTES = 6_000_000
"""Maximum size of all embedded clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownClip:
    """A playable clip and its caption."""

    media: Embedded | Missing
    short: str
    text: str
    about: str
    """Size, frame rate and duration."""
    source: str
    """Name of the source file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionerClips:
    """The clips of one captioner."""

    captioner: str
    model: str
    outcomes: Mapping[str, int]
    clips: Sequence[ShownClip]


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppedClip:
    """A dropped clip and the reason."""

    picture: str
    """Data URI of the thumbnail; empty if there is none."""
    reason: str
    detail: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Contents of a dataset."""

    sources: int
    clips: int
    kept: int
    captioned: int
    captioners: Sequence[CaptionerClips]
    dropped_clips: Sequence[DroppedClip]
    dropped: int
    failures: Sequence[Mapping[str, str]]
    faults: Sequence[str]
    """Violated conservation rules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """Samples per bucket, by aspect ratio (rows) and duration (columns)."""

    samples: int
    shards: int
    ratios: Sequence[str]
    durations: Sequence[str]
    cells: Mapping[tuple[str, str], Sequence[tuple[str, int]]]
    """(resolution, samples) of each bucket."""

    @property
    def max_cell(self) -> int:
        """Number of samples in the largest cell."""
        return max(sum(count for _, count in cell) for cell in self.cells.values())


def read_dataset(root: Path) -> Contents | Missing:
    """Read the dataset at `root`."""
    try:
        dataset = Dataset.open(root)
        view = LiveView(dataset)
        clips = {row["clip_id"]: row for row in view.clips.to_pylist()}
        media = {row["media_id"]: row for row in view.media.to_pylist()}
        selection, captions = view.selections.to_pylist(), view.captions().to_pylist()
        failures, num_sources = view.failures.to_pylist(), view.sources.num_rows
        dropped_clips = [row for row in selection if not row["kept"]]
        shown = _interleave_reasons(dropped_clips)[:DROPPED_SHOWN]
        thumbnails = read_thumbnails(dataset, [row["clip_id"] for row in shown])
        faults = conservation.violations(dataset)
    except (ValueError, OSError) as error:
        return Missing(f"Cannot read the dataset: {error}")
    return Contents(
        sources=num_sources,
        clips=len(clips),
        kept=len(selection) - len(dropped_clips),
        captioned=sum(row["outcome"] == "ok" for row in captions),
        captioners=_by_captioner(root, captions, media, clips),
        dropped_clips=[_reject(row, clips, thumbnails) for row in shown],
        dropped=len(dropped_clips),
        failures=[{**row, "file": file_name(row["uri"])} for row in failures],
        faults=faults,
    )


def read_shards(root: Path) -> Shards | Missing:
    """Read the buckets of the shard index at `root`."""
    try:
        index = ShardIndex.load(root)
    except (ValueError, OSError) as error:
        return Missing(f"Cannot read the shards: {error}")
    if not index.num_samples:
        return Missing("The shard index is empty.")
    cells: dict[tuple[str, str], list[tuple[str, int]]] = {}
    by_length = sorted(index.counts().items(), key=lambda item: _order(item[0]))
    for bucket, count in by_length:
        ratio, _, size = buckets.shard_folder(bucket, index.fps).split("/")
        name = ratio.removeprefix("ar_").replace("239-100", "2.39-1").replace("100-239", "1-2.39")
        key = name.replace("-", ":"), _duration(bucket, index.fps)
        cells.setdefault(key, []).append((size.removeprefix("res_").replace("x", "×"), count))
    return Shards(
        samples=index.num_samples,
        shards=len({*index.column("shard")}),
        ratios=sorted({ratio for ratio, _ in cells}, key=_wide_first),
        durations=list(dict.fromkeys(duration for _, duration in cells)),
        cells=cells,
    )


def file_name(uri: str) -> str:
    """Return the file name of a URI; reports must not disclose folders."""
    return PurePosixPath(uri).name


def _order(bucket: Bucket) -> tuple[int, int, int]:
    return bucket.num_frames, bucket.height * bucket.width, bucket.width


def _duration(bucket: Bucket, fps: float) -> str:
    if bucket.num_frames == 1:
        return "still"
    return f"{bucket.num_frames} frames, {bucket.num_frames / fps:.2g} s"


def _wide_first(ratio: str) -> float:
    width, height = map(float, ratio.split(":"))
    return -width / height


def _by_captioner(
    root: Path, captions: list[dict[str, Any]], media: Mapping[str, Any], clips: Mapping[str, Any]
) -> list[CaptionerClips]:
    """Group captions by captioner, and embed the first clips of each group by id."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(captions, key=lambda row: row["clip_id"]):
        groups.setdefault(row["captioner"], []).append(row)
    budget = CLIPS_BYTES
    groups_shown = []
    for captioner, rows in sorted(groups.items()):
        shown = []
        for row in [row for row in rows if row["outcome"] == "ok"][:CLIPS_SHOWN]:
            clip = _embed_clip(root, row, media[row["media_id"]], clips[row["clip_id"]])
            budget -= clip.media.size if isinstance(clip.media, Embedded) else 0
            if budget < 0:
                break
            shown.append(clip)
        outcomes = Counter(row["outcome"] for row in rows)
        models = ", ".join(sorted({row["model"] for row in rows}))
        groups_shown.append(CaptionerClips(captioner=captioner, model=models, outcomes=outcomes, clips=shown))
    return groups_shown


def _embed_clip(
    root: Path, caption: dict[str, Any], media: dict[str, Any], clip: dict[str, Any]
) -> ShownClip:
    about = f"{media['width']}×{media['height']}"
    if media["num_frames"] > 1:
        about += f", {media['duration_s']:.1f} s at {media['fps']:.4g} fps"
    embedded: Embedded | Missing
    try:
        with (root / media["path"]).open("rb") as tar:
            tar.seek(media["offset"])
            embedded = embed(tar.read(media["length"]))
    except (OSError, ValueError) as error:
        embedded = Missing(f"Cannot show this clip: {error}")
    return ShownClip(
        media=embedded,
        short=caption["short"] or "",
        text=longest_text(caption) or "",
        about=about,
        source=file_name(clip["uri"]),
    )


def _interleave_reasons(dropped_clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort dropped clips so that every reason occurs once before any occurs twice."""
    seen: Counter[str] = Counter()
    ranked = []
    for row in sorted(dropped_clips, key=lambda row: row["clip_id"]):
        ranked.append((seen[row["reason"]], row["reason"], row))
        seen[row["reason"]] += 1
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])]


def _reject(row: dict[str, Any], clips: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> DroppedClip:
    clip, thumbnail = clips[row["clip_id"]], thumbnails.get(row["clip_id"])
    return DroppedClip(
        picture=data_uri("image/jpeg", thumbnail) if thumbnail else "",
        reason=row["reason"],
        detail=row["detail"],
        source=file_name(clip["uri"]),
    )
