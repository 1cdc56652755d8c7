"""The thread that has the model: it makes one job after the other."""

import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np

from kinora.generation.checks import Checks
from kinora.generation.config import to_request
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import Prepared, prepare
from kinora.generation.run import check_new_part, provenance_of, sample_chunks, write_result
from kinora.safety.frames import FramesBlocked
from kinora.serve.errors import from_value_error
from kinora.serve.jobs import Job
from kinora.serve.pictures import PictureWatch, write_jpeg
from kinora.serve.queue import JobEnded, JobQueue
from trainer.sample.model import TextToVideo

THUMBNAIL, SHEET = "thumbnail.jpg", "spritesheet.jpg"
_SAMPLED = 0.9
"""Share of a job's progress that is done when it is sampled."""
_END_S = 10.0
"""Longest wait for the running step at the end."""


class Worker:
    """Makes the videos of a queue with one model, in a thread."""

    def __init__(self, model: TextToVideo, queue: JobQueue, checks: Checks) -> None:
        self._model, self._queue, self._checks = model, queue, checks
        self._thread = Thread(target=self._run, name="videos", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Close the queue; the running job ends at its next step and waits for the next server."""
        self._queue.close()
        self._thread.join(_END_S)

    def _run(self) -> None:
        with MediaReader() as reader:
            while (job := self._queue.take()) is not None:
                try:
                    self._make(job, reader)
                except JobEnded:
                    pass
                except OSError as error:  # not even the state of the job can be stored
                    print(f"warning: {job.id}: {error}", file=sys.stderr)

    def _make(self, job: Job, reader: MediaReader) -> None:
        folder = self._queue.store.path(job.id)
        try:
            done = self._made(job, folder, reader)
        except JobEnded:
            raise
        except Exception as error:
            self._queue.report(job.id, 0)  # raises where the job was deleted, which may be the reason
            code, message = _describe(error, folder)
            self._queue.fail(job, code, message)
        else:
            self._queue.complete(done)

    def _made(self, job: Job, folder: Path, reader: MediaReader) -> Job:
        """Write the files of a job, and return it with what they are."""
        seed = job.request.seed or 0
        prepared = prepare(self._model, to_request(job.request, seed=seed, folder=folder), job.sample, reader)
        if job.new_part_only:
            check_new_part(prepared)
        [chunks] = sample_chunks(
            self._model,
            [prepared],
            new_part_only=job.new_part_only,
            on_step=lambda share: self._queue.report(job.id, _SAMPLED * share),
        )
        file = "image.png" if prepared.frames == 1 else "video.mp4"
        for name in (file, THUMBNAIL, SHEET):
            (folder / name).unlink(missing_ok=True)  # left by a server that was killed
        pictures = PictureWatch(prepared.frames)
        finish = self._checks.finish(job.safety)
        watched = pictures.watch(self._reported(job, prepared, chunks))
        written = write_result(self._model, prepared, watched, folder / file, "", finish)
        tags = provenance_of(self._model, prepared, safety=written.safety).to_tags()
        write_jpeg(pictures.thumbnail(), folder / THUMBNAIL, tags)
        write_jpeg(pictures.sheet(), folder / SHEET, tags)
        if finish.signer is not None:
            for name in (THUMBNAIL, SHEET):
                finish.signer.sign(folder / name, folder / name, tags)
        notes = tuple(dict.fromkeys((*job.notes, *prepared.notes)))
        size, fps = str(prepared.size), self._model.fps
        return replace(
            job, file=file, frames=written.frames, fps=fps, size=size, notes=notes, safety=written.safety
        )

    def _reported(self, job: Job, prepared: Prepared, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        done = 0
        for chunk_THWC in chunks:
            done += len(chunk_THWC)
            self._queue.report(job.id, _SAMPLED + (1 - _SAMPLED) * done / prepared.frames)
            yield chunk_THWC


def _describe(error: Exception, folder: Path) -> tuple[str, str]:
    """Return the code and the message of a job that failed."""
    if isinstance(error, FramesBlocked):
        return "moderation_blocked", str(error)
    if isinstance(error, ValueError):
        return "invalid_value", str(from_value_error(error, str(folder)))
    traceback.print_exception(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            "out_of_memory",
            "the video does not fit into the memory of the server; make it smaller or shorter",
        )
    if isinstance(error, OSError):
        return "storage_failed", f"the video could not be stored ({error.strerror or type(error).__name__})"
    return "server_error", f"the server failed ({type(error).__name__}); its output says more"
