"""Verify that everything in a dataset's log exists and is intact, and list orphaned files.

Exits with code 4 if anything is missing or damaged. `--repair` deletes the leftovers of killed writers.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from manifests import conservation, integrity
from manifests.dataset import DamagedError, Dataset
from manifests.integrity import Findings, RepairResult
from manifests.review import checks

_MAX_PROBLEMS = 20
"""Problems printed; `--json` lists all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    quick: bool = False
    """Compare file sizes only."""
    media: bool = False
    """Also read every cut clip and compare digests."""
    repair: bool = False
    """Delete orphaned files and unfinished writes that are old enough."""
    older_than_h: float = 24.0
    """Minimum age in hours of what `--repair` deletes. Must exceed the longest time from the start of a task
    to its commit; use 0 only while no job writes to the dataset."""


def run(config: Config) -> Result:
    """Check the dataset, and repair it if requested."""
    if config.older_than_h < 0:
        raise ValueError(f"--older-than-h {config.older_than_h}: must be 0 or more")
    try:
        dataset = Dataset.open(config.dataset)
        found = integrity.verify(dataset, quick=config.quick, media=config.media)
    except DamagedError as error:
        return Result({"broken": [str(error)]}, Text(str(error), "red"), Exit.INTEGRITY)
    broken = list(found.broken)
    if not broken:
        broken += [f"inconsistent: {rule}" for rule in conservation.violations(dataset)]
        broken += [f"inconsistent: {rule}" for rule in checks.problems(dataset)]
    repaired = None
    if config.repair:
        age_s = config.older_than_h * 3600
        repaired = integrity.repair(dataset, found, older_than_s=age_s, now_s=time.time())
    data = {**_json(found), "broken": broken, "repaired": _json(repaired) if repaired else None}
    text = Group(_table(found, quick=config.quick), *_verdict(broken), *_leftovers(found, repaired, config))
    return Result(data, text, Exit.INTEGRITY if broken else Exit.DONE)


def _json(result: Findings | RepairResult) -> dict[str, Any]:
    """Return the fields under the names that `--json` has always printed."""
    data = asdict(result)
    uploads = data.pop("incomplete_uploads")
    if isinstance(uploads, list):
        uploads = [{"key": u["key"], "begun_s": u["started_s"], "upload": u["upload_id"]} for u in uploads]
    return data | {"unfinished": uploads}


def _table(found: Findings, *, quick: bool) -> Table:
    table = Table("", "count", "size", "checked", box=None, padding=(0, 3, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.add_row("commits", str(found.commits), "", "complete sequence")
    method = "sizes" if quick else "digests and rows"
    known = f", {found.unverified} by row count (written before digests)" if found.unverified else ""
    table.add_row("parts", str(found.parts), _size(found.size_bytes), f"{method}; {found.rows} rows{known}")
    table.add_row("tars", str(found.tars), _size(found.tar_bytes), "every clip in bounds")
    orphans = _size(sum(stored.size for stored in found.orphans))
    table.add_row("orphans", str(len(found.orphans)), orphans, "in no commit")
    table.add_row("unfinished", str(len(found.incomplete_uploads)), "", "in progress or abandoned")
    return table


def _verdict(broken: Sequence[str]) -> list[Text]:
    if not broken:
        return [Text("no problems found", "green")]
    rest = [f"… and {len(broken) - _MAX_PROBLEMS} more (--json)"] if len(broken) > _MAX_PROBLEMS else []
    return [Text("\n".join(["PROBLEMS:", *broken[:_MAX_PROBLEMS], *rest]), "red")]


def _leftovers(found: Findings, repaired: RepairResult | None, config: Config) -> list[Text]:
    lines = [f"not part of the dataset, ignored: {', '.join(found.foreign)}"] if found.foreign else []
    if repaired:
        lines.append(
            f"deleted {repaired.orphans} orphans ({_size(repaired.size_bytes)}) and "
            f"{repaired.incomplete_uploads} unfinished writes; "
            f"kept {repaired.left} younger than {config.older_than_h:g} h"
        )
    elif found.orphans or found.incomplete_uploads:
        lines.append("orphans and unfinished writes are harmless; `--repair` deletes old ones")
    return [Text(line) for line in lines]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
