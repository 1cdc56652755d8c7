"""Turn an error of one unit into a row of the failures table."""

from collections import Counter
from collections.abc import Iterable

from manifests.records import Failure
from manifests.redact import redact
from pipeline.errors import NoFrame, OwnScorerFailed, SourceChanged
from pipeline.runtime.attempt_log import Quarantined
from video.errors import VideoError


class TaskLost(Exception):
    """The task of a unit returned nothing; the unit may not be the cause."""


def failure(error: Exception, *, stage: str, unit: str, uri: str, config: str) -> Failure:
    """Return the row for `error`; an unexpected one gets the code INTERNAL and its own message."""
    quarantined = isinstance(error, Quarantined)
    code, message, remedy = _explain(error.error if quarantined else error)
    return Failure(
        stage=stage,
        unit=unit,
        uri=uri,
        code=code,
        message=redact(message),
        remedy=remedy,
        config=config,
        quarantined=quarantined,
    )


def count_by_code(failures: Iterable[Failure]) -> dict[str, int]:
    """Count failures by code, as `failed CODE`."""
    return dict(Counter(f"failed {row.code}" for row in failures))


def _explain(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, VideoError):
        return str(error.code), error.problem, error.remedy
    if isinstance(error, SourceChanged):
        return "CHANGED", str(error), "run `kinora curate` again: it analyses the file as it is now"
    if isinstance(error, NoFrame):
        return (
            "NO_FRAME",
            str(error),
            "raise analyze.scorers.budget_mb or .frames_per_s, then `kinora curate`",
        )
    if isinstance(error, OwnScorerFailed):
        return (
            "OWN_SCORER",
            str(error),
            "mend the scorer, then `kinora curate` again; `kinora retry` if its version is the same",
        )
    if isinstance(error, TaskLost):
        return "LOST", str(error), "mend what the message says of the machine, then `kinora retry`"
    remedy = "a defect of Kinora or of this machine: report it with this message, then `kinora retry`"
    return "INTERNAL", f"{type(error).__name__}: {error}", remedy
