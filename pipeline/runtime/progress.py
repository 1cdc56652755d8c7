"""Show progress on stderr: a bar on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Called by a job with the units done since the last call; `total` is given once, at the start."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...


def no_progress(stage: str, done: int, total: int | None = None) -> None:
    """Show nothing."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield the progress display for stderr."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(bars)


class _Rate(ProgressColumn):
    """Units a second since the stage began."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / task.elapsed:.3g}/s" if task.elapsed and task.completed else "")


class _Bars:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], advance=done)  # type: ignore[arg-type]


class _Lines:
    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int | None] = {}
        self._printed_s = time.monotonic()
        self._started_s: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        if total is not None:
            self._total[stage] = total
        started_s = self._started_s.setdefault(stage, time.monotonic())
        self._done[stage] = self._done.get(stage, 0) + done
        last = self._done[stage] == self._total.get(stage)
        if last or time.monotonic() - self._printed_s >= _LINE_EVERY_S:
            self._printed_s = time.monotonic()
            total, seconds = self._total.get(stage), time.monotonic() - started_s
            print(format_line(stage, self._done[stage], total, seconds), file=sys.stderr)


def format_line(stage: str, done: int, total: int | None, seconds: float) -> str:
    """Format the progress of a stage after `seconds`, with its rate and the time left."""
    text = f"{stage}: {done} of {'?' if total is None else total}"
    if not done or seconds <= 0:
        return text
    rate = done / seconds
    left = (
        ""
        if total is None or done >= total
        else f", about {timedelta(seconds=ceil((total - done) / rate))} left"
    )
    return f"{text}, {rate:.3g} a second{left}"
