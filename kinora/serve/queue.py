"""The order in which jobs are made, what clients see of them, and what becomes of each. Thread-safe."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import Any

from kinora.serve.errors import ApiError
from kinora.serve.jobs import JOB_ID, Job, to_object
from kinora.serve.store import JobStore

MAX_ATTEMPTS = 3
"""A job that was begun so often by servers that did not live to end it is not begun again."""
_LOOK_S = 60.0
"""How often expired jobs are looked for."""


class JobEnded(Exception):
    """The job was deleted, or the server ends."""


class JobQueue:
    """All jobs of a server."""

    def __init__(
        self,
        store: JobStore,
        *,
        max_queue: int,
        keep_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take up the jobs of the store; those that were begun wait again, in their order."""
        self.store, self._max_queue, self._keep_s, self._clock = store, max_queue, keep_s, clock
        self._changed = Condition()
        self._jobs = {job.id: job for job in store.load()}
        self._waiting: deque[str] = deque()
        self._running: str | None = None
        self._progress = 0.0
        self._closed = False
        for job in [*self._jobs.values()]:
            if job.status == "in_progress" and job.attempts >= MAX_ATTEMPTS:
                text = (
                    f"the server ended {job.attempts} times while it made this video; it is not tried again"
                )
                self._put(replace(job, status="failed", error_code="server_error", error=text))
            elif not job.is_done:
                self._put(replace(job, status="queued"))
                self._waiting.append(job.id)
        self._remove_expired()

    def check_room(self) -> None:
        """Raise ApiError where the queue is full."""
        with self._changed:
            self._check_room()

    def add(self, job: Job) -> dict[str, Any]:
        """Store a job whose files are in its new folder, and return it as clients see it.

        Raises ApiError where the queue is full.
        """
        with self._changed:
            self._check_room()
            self.store.add(job)
            self._jobs[job.id] = job
            self._waiting.append(job.id)
            self._changed.notify_all()
            return to_object(job, 0)

    def get(self, job_id: str) -> Job:
        """Return a job. Raises ApiError (404) for an id that is none, whatever its form."""
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            shown = job_id if JOB_ID.fullmatch(job_id) else "this id"
            raise ApiError(
                f"{shown}: there is no such video; it was deleted, has expired, or never was",
                param="video_id",
                code="not_found",
                status=404,
            )
        return job

    def file(self, job: Job) -> Path:
        """Return the video of a finished job. Raises ApiError for one that has none."""
        if job.status == "failed":
            raise ApiError(
                f"{job.id}: failed: {job.error}", param="video_id", code=job.error_code or "server_error"
            )
        if job.file is None:
            text = f"{job.id}: is {job.status}; its video is there when it is completed"
            raise ApiError(text, param="video_id", code="video_not_ready")
        return self.store.path(job.id) / job.file

    def show(self, job_id: str) -> dict[str, Any]:
        """Return a job as clients see it. Raises as `get` does."""
        job = self.get(job_id)
        with self._changed:
            return to_object(job, self._progress if job_id == self._running else 0)

    def page(self, *, after: str | None, limit: int, newest_first: bool) -> tuple[list[dict[str, Any]], bool]:
        """Return jobs that follow `after`, and whether there are more. Raises as `get` does."""
        with self._changed:
            jobs = [*self._jobs][:: -1 if newest_first else 1]
            if after is not None:
                jobs = jobs[jobs.index(self.get(after).id) + 1 :]
            return [self.show(job_id) for job_id in jobs[:limit]], len(jobs) > limit

    def delete(self, job_id: str) -> None:
        """Delete a job and its files; one in progress ends at its next step. Raises as `get` does."""
        self.get(job_id)
        with self._changed:
            if self._jobs.pop(job_id, None) is None:
                return
            if job_id in self._waiting:
                self._waiting.remove(job_id)
            self.store.delete(job_id)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Wait for the next job and begin it; None when the queue is closed."""
        with self._changed:
            while not self._closed and not self._waiting:
                self._remove_expired()
                self._changed.wait(_LOOK_S)
            if self._closed:
                return None
            job = self._jobs[self._waiting.popleft()]
            job = replace(job, status="in_progress", attempts=job.attempts + 1)
            self._running, self._progress = job.id, 0.0
            self._put(job)
            return job

    def report(self, job_id: str, share: float) -> None:
        """Note how much of the running job is done. Raises JobEnded where it is not to be ended."""
        with self._changed:
            if self._closed or job_id not in self._jobs:
                raise JobEnded
            self._progress = share

    def complete(self, job: Job) -> None:
        """Record a job whose files are there. Raises JobEnded where it was deleted meanwhile."""
        now = self._clock()
        self._finish(replace(job, status="completed", completed_s=now, expires_s=now + self._keep_s))

    def fail(self, job: Job, code: str, message: str) -> None:
        """Record why a job could not be made. Raises JobEnded where it was deleted meanwhile."""
        now = self._clock()
        failed = replace(job, status="failed", error_code=code, error=message, completed_s=now)
        self._finish(replace(failed, expires_s=now + self._keep_s))

    def close(self) -> None:
        """End `take` and the running job, which waits again for the next server."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            job = self._jobs.get(self._running or "")
            if job is not None and not job.is_done:
                self._put(replace(job, status="queued", attempts=job.attempts - 1))
            self._changed.notify_all()

    def _finish(self, job: Job) -> None:
        with self._changed:
            self._running = None
            if self._closed or job.id not in self._jobs:
                raise JobEnded
            self._put(job)

    def _put(self, job: Job) -> None:
        self._jobs[job.id] = job
        self.store.save(job)

    def _check_room(self) -> None:
        if self._closed:
            raise ApiError("the server is ending; send it again later", code="server_ending", status=503)
        if len(self._waiting) >= self._max_queue:
            raise ApiError(
                f"{len(self._waiting)} videos are waiting, which is the most; send it again later",
                code="queue_full",
                status=429,
                headers={"retry-after": "5"},
            )

    def _remove_expired(self) -> None:
        now = self._clock()
        for job in [*self._jobs.values()]:
            if job.expires_s is not None and job.expires_s < now:
                del self._jobs[job.id]
                self.store.delete(job.id)
