"""The samples of removed clips: in which shard sets they are packed, and what was encoded of them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from manifests.dataset import Dataset
from manifests.shards import ShardIndex
from manifests.storage import DatasetError
from trainer.data.encoded_gc import drop

_MAX_TARS = 5
"""Tars that are named in the text; `--json` has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffectedSet:
    """A shard set that holds samples of removed clips, or that cannot be looked at."""

    shards: str
    samples: int = 0
    tars: tuple[str, ...] = ()
    """Tars that hold them."""
    unreadable: str = ""
    """Why the set cannot be looked at."""
    latents: int = 0
    """Latents that were deleted."""
    text_states: int = 0

    def describe(self, dataset: str) -> str:
        """Return what to do, as a line of text."""
        if self.unreadable:
            return f"{self.shards}: cannot be looked at ({self.unreadable}); pack it again or delete it"
        more = f" and {len(self.tars) - _MAX_TARS} more" if len(self.tars) > _MAX_TARS else ""
        encoded = f"; {self.latents} latents and {self.text_states} text states were deleted"
        encoded = encoded if self.latents or self.text_states else ""
        return (
            f"{self.shards}: holds {self.samples} samples of removed clips, in "
            f"{', '.join(self.tars[:_MAX_TARS])}{more}; pack again: `kinora pack --dataset {dataset} --out "
            f"{self.shards}`, then `kinora gc --shards {self.shards}`{encoded}"
        )


def affected_sets(dataset: Dataset, others: Iterable[str], clips: Collection[str]) -> list[AffectedSet]:
    """Return the sets with samples of `clips`, among those that were packed from a dataset and `others`."""
    packed = (commit.config.get("out", "") for commit in dataset.commits if commit.stage == "pack")
    found: list[AffectedSet] = []
    for uri in dict.fromkeys(str(each) for each in (*packed, *others) if each):
        try:
            index = ShardIndex.load(uri)
        except (OSError, ValueError) as error:
            found.append(AffectedSet(shards=uri, unreadable=str(error)))
            continue
        columns = (index.column(name) for name in ("clip_id", "shard", "sidecar"))
        own = [row for row in zip(*columns, strict=True) if row[0] in clips]
        if own:
            tars = sorted({tar for _, *tars in own for tar in tars if tar})
            found.append(AffectedSet(shards=uri, samples=len(own), tars=tuple(tars)))
    return found


def drop_encodings(affected: AffectedSet, clips: Collection[str]) -> AffectedSet:
    """Delete what is encoded of `clips` beside a shard set."""
    if affected.unreadable:
        return affected
    try:
        dropped = drop(affected.shards, clips)
    except (OSError, DatasetError) as error:
        return replace(affected, unreadable=str(error))
    return replace(affected, latents=dropped.latents.rows, text_states=dropped.texts.rows)
