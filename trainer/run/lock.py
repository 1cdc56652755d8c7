"""One training at a time in a run's folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.run.ending import is_first_rank

NAME = ".lock"


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Create a run's folder and hold its lock, on the first rank; the end of the process releases it.

    A file system without locks is used without. Raises ValueError where another process holds the lock.
    """
    if not is_first_rank():
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    path = out / NAME
    with path.open("a") as file:
        _lock(file.fileno(), out)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(file: int, out: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike those of flock, no child inherits it
    except (BlockingIOError, PermissionError) as error:
        raise ValueError(
            f"{out}: another process trains into this folder; wait for it, or name another --out"
        ) from error
    except OSError:
        pass  # no locks here, as on some network file systems
