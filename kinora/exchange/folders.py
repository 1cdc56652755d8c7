"""The folder of an export: written under a temporary name, and renamed when it is complete."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from manifests.storage import describe_disk_full


@contextmanager
def new_folder(out: str) -> Generator[Path]:
    """Yield an empty folder that becomes `out` when the block ends; an exception deletes it.

    Raises ValueError unless `out` is new or an empty folder on a local disk.
    """
    if "://" in out.removeprefix("file://"):
        raise ValueError(f"--out {out}: an export is written to a local folder; name one, and upload it")
    target = Path(out.removeprefix("file://")).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"--out {out}: exists and is not an empty folder; name a new one")
    partial = target.with_name(f".{target.name}.{uuid4().hex[:12]}.partial")
    try:
        with describe_disk_full(target, target.parent):
            partial.mkdir(parents=True)
            yield partial
            partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
