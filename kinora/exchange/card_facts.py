"""What the card of a dataset states, counted from the rows of an export and from the dataset's log."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from captioner.prompts import FOLDER, load_prompt
from kinora.exchange.export_rows import ExportRows, parse_carried
from manifests import conservation
from manifests.arrow import pc
from manifests.dataset import Dataset

_SPAN_S = (1, 2, 4, 8, 16, 32, 64)
_NAMED_SHAPES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFacts:
    """One caption version."""

    captions: int
    """OK captions of the clips of the export."""
    counting: int
    """Clips for which this version counts."""
    captioner: str
    model: str
    revision: str
    prompts: Mapping[str, str]
    """Text of each built-in prompt by its digest; empty for prompts of other folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """All that a card states."""

    commit: int
    clips: int
    videos: int
    images: int
    seconds: float
    sources: int
    licences: Mapping[str, int]
    """Sources by licence; the empty text for those without one."""
    carried: Mapping[str, int]
    """Sources by column that their list carried."""
    shapes: Mapping[str, int]
    """Clips by size, the most frequent ones."""
    durations: Mapping[str, int]
    """Videos by duration."""
    buckets: Mapping[str, Mapping[str, int]]
    """Samples of the last shard set by caption version and length; empty if none was packed."""
    bucket_names: tuple[str, ...]
    versions: Mapping[str, VersionFacts]
    without_caption: int
    reviews: Mapping[str, int]
    """Reviewed clips by verdict."""
    edited: int
    stale: int
    disagreements: int
    scores: Mapping[str, tuple[float, float, float, int]]
    """Minimum, median, maximum and count of each score that is a number."""
    select: Mapping[str, Any]
    """Configuration of the last selection; empty if there was none."""
    dropped: Mapping[str, int]
    """Clips of the whole dataset that were dropped, by reason."""
    found: int
    """Clips of the whole dataset before selection."""
    has_dedup: bool


def count_facts(dataset: Dataset, rows: ExportRows) -> CardFacts:
    """Count what a card states of the rows of an export."""
    media, clips = rows.media, rows.clips
    is_image = pc.equal(clips["kind"], "image")
    seconds_N = np.where(is_image.to_numpy(zero_copy_only=False), 0.0, media["duration_s"].to_numpy())
    uris = clips.group_by("uri").aggregate([("licence", "first"), ("carried", "first")])
    funnel = conservation.funnel(dataset)
    packs = [commit.config for commit in dataset.commits if commit.stage == "pack"]
    selects = [commit.config for commit in dataset.commits if commit.stage == "select"]
    reviews = [*rows.reviews.values()]
    counting = Counter(rows.counting)
    images = int(pc.sum(is_image).as_py() or 0)
    return CardFacts(
        commit=dataset.number,
        clips=len(rows),
        videos=len(rows) - images,
        images=images,
        seconds=float(seconds_N.sum()),
        sources=uris.num_rows,
        licences=_sorted(Counter(each or "" for each in uris["licence_first"].to_pylist())),
        carried=_sorted(
            Counter(name for each in uris["carried_first"].to_pylist() for name in parse_carried(each))
        ),
        shapes=_shapes(media),
        durations=_durations(seconds_N[seconds_N > 0]),
        buckets=packs[-1].get("packed", {}) if packs else {},
        bucket_names=tuple(packs[-1].get("buckets", ())) if packs else (),
        versions=_versions(dataset, rows, counting),
        without_caption=counting[None],
        reviews=_sorted(Counter(str(each["verdict"] or "disagreement") for each in reviews)),
        edited=sum(each["verdict"] == "edit" for each in reviews),
        stale=sum(each["stale"] for each in reviews),
        disagreements=sum(each["disagreement"] for each in reviews),
        scores=_scores(rows),
        select=selects[-1] if selects else {},
        dropped=funnel["selection"]["dropped"],
        found=funnel["clips"]["found"],
        has_dedup=any(commit.stage.startswith("dedup") for commit in dataset.commits),
    )


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shapes(media: pa.Table) -> dict[str, int]:
    """Count clips by size; the rare sizes together."""
    groups = media.group_by(["width", "height"]).aggregate([([], "count_all")]).to_pylist()
    counts = _sorted({f"{row['width']}x{row['height']}": row["count_all"] for row in groups})
    named = dict([*counts.items()][:_NAMED_SHAPES])
    others = sum(counts.values()) - sum(named.values())
    return named | ({f"{len(counts) - len(named)} other sizes": others} if others else {})


def _durations(seconds_N: np.ndarray) -> dict[str, int]:
    """Count videos by duration, in spans that double."""
    counts_N = np.bincount(np.searchsorted(_SPAN_S, seconds_N), minlength=len(_SPAN_S) + 1)
    bounds = [0, *_SPAN_S]
    names = [f"{low} to {high} s" for low, high in zip(bounds, _SPAN_S, strict=False)]
    names.append(f"over {_SPAN_S[-1]} s")
    return {name: int(count) for name, count in zip(names, counts_N, strict=True) if count}


def _versions(dataset: Dataset, rows: ExportRows, counting: Counter[str | None]) -> dict[str, VersionFacts]:
    names = ["version", "captioner", "model", "revision", "prompt_digest"]
    seen = dataset.read("captions", [*names, "outcome"], lambda part: _distinct(part, names))
    about = {row["version"]: row for row in seen.to_pylist()}
    return {
        version: VersionFacts(
            captions=count,
            counting=counting[version],
            **{name: about[version][name] for name in names[1:4]},
            prompts=_prompts(about[version]["prompt_digest"]),
        )
        for version, count in rows.count_versions().items()
    }


def _distinct(part: pa.Table, names: list[str]) -> pa.Table:
    ok = part.filter(pc.equal(part["outcome"], "ok"))
    return ok.group_by(names).aggregate([])


def _prompts(digests: str) -> dict[str, str]:
    """Return the texts of the prompts with these digests; empty texts for those of other folders."""
    known = {prompt.digest: prompt for prompt in (load_prompt(path.stem) for path in FOLDER.glob("*.md"))}
    wanted = [digest for digest in digests.split("+") if digest]
    return {digest: known[digest].text if digest in known else "" for digest in wanted}


def _scores(rows: ExportRows) -> dict[str, tuple[float, float, float, int]]:
    found: dict[str, tuple[float, float, float, int]] = {}
    for name, column in rows.score_values().items():
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            values_N = column.drop_null().to_numpy().astype(np.float64)
            values_N = values_N[np.isfinite(values_N)]
            if len(values_N):
                low, high = float(values_N.min()), float(values_N.max())
                found[name] = (low, float(np.median(values_N)), high, len(values_N))
    return found
