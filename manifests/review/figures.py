"""The progress of a review, from the database of the desk."""

from manifests.review.cards import DeskFigures
from manifests.review.database import Database
from manifests.review.queue import strata

_BUCKET = "bucket:"


def desk_figures(database: Database, *, uncommitted: int, problem: str) -> DeskFigures:
    """Return the progress of the review."""
    found = strata(database)
    everything = next((each for each in found if each.name == "all"), None)
    ((disagreements, stale),) = database.read(
        "SELECT coalesce(sum(disagreement), 0), coalesce(sum(stale), 0) FROM state"
    )
    return DeskFigures(
        commit=database.get("commit"),
        media=everything.size if everything else 0,
        reviewed=everything.reviewed if everything else 0,
        verdicts=dict(
            database.read(
                "SELECT verdict, count(*) FROM state WHERE verdict <> '' GROUP BY verdict ORDER BY verdict"
            )
        ),
        disagreements=disagreements,
        stale=stale,
        reviewers=dict(
            database.read("SELECT reviewer, count(*) FROM reviewed_by GROUP BY reviewer ORDER BY reviewer")
        ),
        strata=found,
        buckets={
            each.name.removeprefix(_BUCKET): (each.size, each.reviewed)
            for each in found
            if each.name.startswith(_BUCKET)
        },
        outcomes=dict(database.read("SELECT outcome, count(*) FROM state GROUP BY outcome ORDER BY outcome")),
        uncommitted=uncommitted,
        problem=problem,
    )
