"""Write a file so that its name never stands for half of it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path | str) -> Generator[Path]:
    """Yield a path to write to, which takes the place of `path` when the block ends without an error.

    A link stays one: what it names is replaced. A device or a pipe, such as `/dev/null` or `/dev/stdout`, is
    yielded itself. Missing folders are made. Raises OSError where the file cannot be written; `path` then
    holds what it held.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        yield path
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name[:40]}.{uuid4().hex[:12]}.partial")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        if error.filename == str(partial):
            error.filename = str(path)  # the name that its user knows
        raise
    finally:
        partial.unlink(missing_ok=True)
