"""Does a dataset add up: is all that its log names there and whole, and what lies there beside it?

Exit code 4 when something is missing or damaged. `--repair` throws away what writers left that were killed.
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
from manifests.integrity import Findings, Repaired

_SHOWN = 20
"""How many problems are printed; `--json` has them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    quick: bool = False
    """Compare sizes alone; read no part."""
    media: bool = False
    """Read the bytes of all cut clips too, and compare their digests."""
    repair: bool = False
    """Throw away files that no commit names and writes that never ended, once they are old enough."""
    older_than_h: float = 24.0
    """Hours after which what no commit names counts as left behind. Must exceed the longest time that a
    writer takes from the start of a task to its commit; 0 only when no writer is at work."""


def run(config: Config) -> Result:
    """Look, repair if asked to, and say what adds up."""
    if config.older_than_h < 0:
        raise ValueError(f"--older-than-h {config.older_than_h}: name 0 or more hours")
    try:
        dataset = Dataset.open(config.dataset)
        found = integrity.look(dataset, quick=config.quick, media=config.media)
    except DamagedError as error:
        return Result({"broken": [str(error)]}, Text(str(error), "red"), Exit.INTEGRITY)
    broken = list(found.broken)
    if not broken:
        broken += [f"does not add up: {rule}" for rule in conservation.check(dataset)]
    repaired = None
    if config.repair:
        age_s = config.older_than_h * 3600
        repaired = integrity.repair(dataset, found, older_than_s=age_s, now_s=time.time())
    data: dict[str, Any] = {**asdict(found), "broken": broken}
    data["repaired"] = asdict(repaired) if repaired else None
    text = Group(_table(found, quick=config.quick), *_verdict(broken), *_rubbish(found, repaired, config))
    return Result(data, text, Exit.INTEGRITY if broken else Exit.DONE)


def _table(found: Findings, *, quick: bool) -> Table:
    table = Table("", "there", "size", "checked", box=None, padding=(0, 3, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.add_row("commits", str(found.commits), "", "all there, in a row")
    how = "sizes" if quick else "digests and rows"
    known = f", {found.unverified} by rows alone (older than digests)" if found.unverified else ""
    table.add_row("parts", str(found.parts), _size(found.size_bytes), f"{how}; {found.rows} rows{known}")
    table.add_row("tars", str(found.tars), _size(found.tar_bytes), "every clip lies inside")
    orphans = _size(sum(stored.size for stored in found.orphans))
    table.add_row("orphans", str(len(found.orphans)), orphans, "named by no commit")
    table.add_row("unfinished", str(len(found.unfinished)), "", "writes under way, or left behind")
    return table


def _verdict(broken: Sequence[str]) -> list[Text]:
    if not broken:
        return [Text("everything adds up", "green")]
    rest = [f"… and {len(broken) - _SHOWN} more (--json)"] if len(broken) > _SHOWN else []
    return [Text("\n".join(["BROKEN:", *broken[:_SHOWN], *rest]), "red")]


def _rubbish(found: Findings, repaired: Repaired | None, config: Config) -> list[Text]:
    lines = [f"not Kinora's, left alone: {', '.join(found.foreign)}"] if found.foreign else []
    if repaired:
        lines.append(
            f"thrown away: {repaired.orphans} orphans ({_size(repaired.size_bytes)}), {repaired.unfinished} "
            f"unfinished writes; {repaired.left} are younger than {config.older_than_h:g} h and stay"
        )
    elif found.orphans or found.unfinished:
        lines.append("what no commit names does no harm; `--repair` throws it away once it is old")
    return [Text(line) for line in lines]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
