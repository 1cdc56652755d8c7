"""List the sources of a run: without those that were removed from the dataset, all of them or a trial."""

from manifests.dataset import Dataset
from manifests.tombstones import Tombstones
from pipeline.config import ListConfig
from pipeline.errors import NothingToDo
from pipeline.sources.left_out import REMOVED, TRIAL, LeftOutCounter
from pipeline.sources.listing import Listing, list_sources
from pipeline.sources.trial import draw


def list_for_run(
    source: str, config: ListConfig, dataset: Dataset | None, *, limit: int = 0, sample: float = 1.0
) -> Listing:
    """Return the sources at `source` that a run takes, and count the others.

    Args:
        dataset: whose removals are respected; None if there is none yet.
        limit, sample: the trial (`pipeline.sources.trial.draw`).

    Raises:
        NothingToDo: there is no source, or none is left.
        ValueError: `limit` or `sample` is out of its range.
    """
    if limit < 0 or not 0 < sample <= 1:
        raise ValueError(
            f"--limit {limit} --sample {sample:g}: a limit is at least 0 (no limit), a sample "
            "above 0 and at most 1"
        )
    listing = list_sources(source, config)
    tombstones, counter = Tombstones.of(dataset), LeftOutCounter()
    present = [each for each in listing.sources if not tombstones.hold(each)]
    removed = len(listing.sources) - len(present)
    drawn = draw(present, limit=limit, sample=sample)
    counter.add(REMOVED, source, removed)
    counter.add(TRIAL, source, len(present) - len(drawn))
    if not drawn:
        why = (
            f"all {removed} files were removed"
            if removed and not present
            else (f"the sample {sample:g} holds none of {len(present)} files; take a larger one")
        )
        raise NothingToDo(f"{source}: {why}")
    return Listing(sources=drawn, left_out=(*counter.results(), *listing.left_out))
