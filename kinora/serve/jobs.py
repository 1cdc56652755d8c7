"""A job: one request for a video, and what became of it. Stored as JSON beside its files."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, cast

from kinora.generation.config import RequestConfig
from kinora.generation.request import Verb
from trainer.config import SampleConfig

Status = Literal["queued", "in_progress", "completed", "failed"]
JOB_ID = re.compile(r"video_[0-9a-f]{32}")
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A request for one video. Times are seconds since 1970."""

    id: str
    created_s: float
    verb: Verb
    request: RequestConfig
    """What is made; its files are names within the job's folder. The seed is always set."""
    sample: SampleConfig
    new_part_only: bool
    model: str
    """Name of the served model."""
    seconds: str
    """Length as clients see it: what they asked for, and of an extension the whole."""
    size: str
    """WIDTHxHEIGHT."""
    remixed_from: str | None = None
    """Id of the job whose video was given."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    safety: str = ""
    """What the checks of the prompt and of the frames found."""
    status: Status = "queued"
    attempts: int = 0
    """How often it was begun by a server that did not end it."""
    completed_s: float | None = None
    expires_s: float | None = None
    file: str | None = None
    """Name of the video, or of the image."""
    frames: int | None = None
    fps: float | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        return self.status in ("completed", "failed")

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored job. Raises ValueError for another format."""
        values: dict[str, Any] = json.loads(text)
        if values.pop("format", None) != _FORMAT:
            raise ValueError("written by another version of Kinora")
        for name, config in (("request", RequestConfig), ("sample", SampleConfig)):
            values[name] = config(**{key: _tuples(value) for key, value in values[name].items()})
        known = {field.name for field in fields(cls)}
        return cls(**{name: _tuples(value) for name, value in values.items() if name in known})


def to_object(job: Job, progress: float) -> dict[str, Any]:
    """Return a job as the interface shows it. The fields after the interface's own are Kinora's.

    Args:
        progress: share that is done, of a job in progress.
    """
    error = {"code": job.error_code, "message": job.error} if job.error is not None else None
    return {
        "id": job.id,
        "object": "video",
        "created_at": int(job.created_s),
        "completed_at": _whole(job.completed_s),
        "expires_at": _whole(job.expires_s),
        "model": job.model,
        "progress": {"completed": 100, "in_progress": min(99, int(100 * progress))}.get(job.status, 0),
        "prompt": job.request.prompt,
        "seconds": job.seconds,
        "size": job.size,
        "status": job.status,
        "error": error,
        "remixed_from_video_id": job.remixed_from,
        "verb": job.verb,
        "seed": str(job.request.seed),
        "frames": job.frames,
        "fps": job.fps,
        "notes": list(job.notes),
        "safety": job.safety,
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in cast(list[Any], value)) if isinstance(value, list) else value
