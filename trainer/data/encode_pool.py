"""The processes of `kinora encode` on this machine. Networks are imported in the processes that use them."""

import multiprocessing
import os
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

from trainer.config import EncodeConfig
from trainer.data.encode_tasks import Report, Task, Workers

_worker: Any = None
"""The `Worker` of a process of the pool."""


@contextmanager
def open_workers(config: EncodeConfig) -> Generator[Workers]:
    """Return `config.processes` processes, started by their first tasks; one is this process itself."""
    if config.processes == 1:
        yield _ThisProcess(config)
        return
    context = multiprocessing.get_context("spawn")
    numbers = context.SimpleQueue()
    for number in range(config.processes):
        numbers.put(number)
    pool = ProcessPoolExecutor(
        config.processes, mp_context=context, initializer=_start, initargs=(config, numbers)
    )
    try:
        yield _Pool(pool, config.processes)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _ThisProcess:
    """Runs tasks one after another. Imports the networks with the first one."""

    count = 1

    def __init__(self, config: EncodeConfig) -> None:
        self._config = config

    def start(self) -> None:
        """Do nothing: this process runs."""

    def map(self, tasks: Iterable[Task]) -> Iterator[Report]:
        for task in tasks:
            yield self._worker.run(task)

    @cached_property
    def _worker(self) -> Any:
        from trainer.data.encode_worker import Worker
        from trainer.precision import best_device

        return Worker(self._config, str(best_device()))


class _Pool:
    """Runs tasks in processes, two for each process at a time."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool, self.count = pool, count

    def start(self) -> None:
        self._pool.submit(_nothing)  # the first task starts all processes

    def map(self, tasks: Iterable[Task]) -> Iterator[Report]:
        pending: set[Future[Report]] = set()
        tasks = iter(tasks)
        try:
            while True:
                more = islice(tasks, 2 * self.count - len(pending))
                pending |= {self._pool.submit(_run, task) for task in more}
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise OSError(
                "a process of `kinora encode` was killed, or died for lack of memory; what it had written "
                "stands. Run the same command again, with fewer --processes or a smaller --batch-mb"
            ) from error


def _start(config: EncodeConfig, numbers: Any) -> None:
    """Load the worker of a process, on a device of its own, and end with the process that started it."""
    global _worker
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    import torch

    from trainer.data.encode_worker import Worker

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // config.processes))
    number, gpus = numbers.get(), torch.cuda.device_count()
    _worker = Worker(config, f"cuda:{number % gpus}" if gpus else "cpu")


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _nothing() -> None:
    pass


def _run(task: Task) -> Report:
    return _worker.run(task)
