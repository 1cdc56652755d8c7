"""Make the videos of a prompts file with one model: what is there is done, a bad row is reported."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from kinora.generation.checks import Checks
from kinora.generation.files import check_place
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import Prepared, prepare
from kinora.generation.rows import (
    REPORT,
    Row,
    RowError,
    RowResult,
    row_digest,
    row_file,
    row_settings,
    write_report,
)
from kinora.generation.run import batches, check_new_part, sample_chunks, write_result
from kinora.generation.sign_config import SignConfig
from kinora.safety.config import SafetyConfig
from manifests.storage import is_disk_full
from trainer.config import SampleConfig
from trainer.model_files import pixels_digest
from trainer.precision import Dtype
from trainer.sample.model import load_model

ROWS_TOGETHER = 32
"""Rows whose inputs are in memory at a time; those of one shape are sampled together."""
_SHOWN_FAILURES = 10
_ROW_ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
"""Errors that end a row and not the run; those of a GPU that is out of memory are RuntimeErrors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowOptions:
    """What all rows share."""

    model: str
    folder: str
    """Folder of the results."""
    format: str
    """Ending of the files; images are .png."""
    config: SampleConfig
    new_part_only: bool
    device: str | None
    dtype: Dtype
    offload: bool
    command: str
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    sign: SignConfig = field(default_factory=SignConfig)


class RowTask(tuple[tuple[Row, str], ...]):
    """Rows with their files, which one worker makes at a time."""


class RowWorkers(Protocol):
    """Runs tasks, in any order."""

    def map(self, tasks: Iterable[RowTask]) -> Iterator[list[RowResult | RowError]]: ...


OpenRowWorkers = Callable[[RowOptions], AbstractContextManager[RowWorkers]]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all rows."""

    folder: Path
    results: list[RowResult | RowError] = field(default_factory=list)
    num_done_before: int = 0

    @property
    def failed(self) -> list[RowError]:
        return [row for row in self.results if isinstance(row, RowError)]

    def to_json(self) -> dict[str, Any]:
        videos = [row._asdict() for row in self.results if isinstance(row, RowResult)]
        failed = [row._asdict() for row in self.failed]
        return {
            "folder": str(self.folder),
            "made": len(videos) - self.num_done_before,
            "made_before": self.num_done_before,
            "failed": failed,
            "videos": videos,
        }

    def to_text(self) -> str:
        failed = self.failed
        made = len(self.results) - len(failed) - self.num_done_before
        lines = [
            f"made {made} videos ({self.num_done_before} were there): {self.folder}, listed in "
            f"{self.folder / REPORT}"
        ]
        if failed:
            lines.append(f"{len(failed)} could not be made:")
            lines += [f"  line {row.line}: {row.error}" for row in failed[:_SHOWN_FAILURES]]
            if len(failed) > _SHOWN_FAILURES:
                lines.append(f"  and {len(failed) - _SHOWN_FAILURES} more; see {self.folder / REPORT}")
        return "\n".join(lines)


def make_rows(
    rows: Iterable[Row | RowError],
    options: RowOptions,
    open_workers: OpenRowWorkers,
    progress: Callable[[str], None],
) -> Report:
    """Make the rows whose files are not there, and write the report. A full disk raises OSError."""
    results: list[RowResult | RowError] = []
    pending: dict[str, Row] = {}
    again: list[tuple[Row, str]] = []
    settings = row_settings(options.config, pixels_digest(options.model), new_part_only=options.new_part_only)
    for row in rows:
        found = _locate(row, options, settings)
        if isinstance(found, RowError | RowResult):
            results.append(found)
        elif found[1] in pending:  # the same video is asked for twice
            again.append(found)
        else:
            pending[found[1]] = found[0]
    num_before = sum(isinstance(result, RowResult) for result in results)
    if pending:
        results += _make(pending, options, open_workers, progress)
    made = {result.out for result in results if isinstance(result, RowResult)}
    results += [_result(row, out) for row, out in again if out in made]
    results += [
        RowError(row.line, "as the line before that asks for it") for row, out in again if out not in made
    ]
    results.sort(key=lambda result: result.line)
    if results:
        write_report(Path(options.folder), results)
    return Report(Path(options.folder), results, num_before)


@contextmanager
def open_worker(options: RowOptions) -> Generator[RowWorkers]:
    """Make rows in this process."""
    yield _Alone(options)


class RowWorker:
    """A model that makes rows."""

    def __init__(self, options: RowOptions) -> None:
        self.options = options
        self.checks = Checks(options.safety, options.sign)
        self.model = load_model(
            options.model, device=options.device, dtype=options.dtype, offload=options.offload
        )

    def run(self, task: RowTask) -> list[RowResult | RowError]:
        """Make the rows of a task. Raises OSError for a full disk."""
        results: list[RowResult | RowError] = []
        places: list[tuple[Row, str]] = []
        videos: list[Prepared] = []
        records: list[str] = []
        with MediaReader() as reader:
            for row, out in task:
                try:
                    record = self.checks.check(row.request).record
                    video = prepare(self.model, row.request, self.options.config, reader)
                    if self.options.new_part_only:
                        check_new_part(video)
                except _ROW_ERRORS as error:
                    results.append(_error(row, error))
                else:
                    places.append((row, out))
                    videos.append(video)
                    records.append(record)
        for numbers in batches(self.model, videos):
            batch = [videos[n] for n in numbers]
            results += self._make([places[n] for n in numbers], batch, [records[n] for n in numbers])
        return results

    def _make(
        self, places: Sequence[tuple[Row, str]], videos: Sequence[Prepared], records: Sequence[str]
    ) -> Iterator[RowResult | RowError]:
        """Make rows of one shape together; where that fails, one by one."""
        try:
            chunks = sample_chunks(self.model, videos, new_part_only=self.options.new_part_only)
        except _ROW_ERRORS as error:
            if len(videos) == 1:
                yield _error(places[0][0], error)
                return
            for place, video, record in zip(places, videos, records, strict=True):
                yield from self._make([place], [video], [record])
            return
        for (row, out), video, record, frames in zip(places, videos, records, chunks, strict=True):
            finish = self.checks.finish(record)
            try:
                write_result(self.model, video, frames, Path(out), self.options.command, finish)
                yield _result(row, out, video.notes)
            except _ROW_ERRORS as error:
                yield _error(row, error)


class _Alone:
    """Runs tasks in this process, with a model that is loaded for the first one."""

    def __init__(self, options: RowOptions) -> None:
        self._options = options

    def map(self, tasks: Iterable[RowTask]) -> Iterator[list[RowResult | RowError]]:
        worker = RowWorker(self._options)
        yield from map(worker.run, tasks)


def _locate(
    row: Row | RowError, options: RowOptions, settings: Sequence[object]
) -> tuple[Row, str] | RowResult | RowError:
    """Return a row with its file, or its result where the file is there."""
    if isinstance(row, RowError):
        return row
    try:
        digest = row_digest(row.request, settings)
    except OSError as error:
        return RowError(row.line, f"{error.filename}: cannot be read ({error.strerror})")
    out = row_file(Path(options.folder), row.request, digest, options.format)
    return _result(row, str(out)) if out.exists() else (row, str(out))


def _make(
    pending: dict[str, Row],
    options: RowOptions,
    open_workers: OpenRowWorkers,
    progress: Callable[[str], None],
) -> list[RowResult | RowError]:
    check_place(Path(options.folder) / "x")
    pairs = [(row, out) for out, row in pending.items()]
    tasks = [RowTask(pairs[at : at + ROWS_TOGETHER]) for at in range(0, len(pairs), ROWS_TOGETHER)]
    results: list[RowResult | RowError] = []
    with open_workers(options) as workers:
        started = monotonic()
        for done in workers.map(tasks):
            results += done
            left_s = (monotonic() - started) / len(results) * (len(pairs) - len(results))
            progress(f"{len(results)} of {len(pairs)} videos, about {left_s:.0f} s left")
    return results


def _result(row: Row, out: str, notes: tuple[str, ...] = ()) -> RowResult:
    return RowResult(row.line, out, row.request.seed, row.request.prompt, notes, row.name)


def _error(row: Row, error: Exception) -> RowError:
    if isinstance(error, OSError) and is_disk_full(error):
        raise error
    return RowError(row.line, " ".join(str(error).split()) or type(error).__name__)
