"""What a run logged: a resumed one has a log for each time that it went on."""

import csv
from pathlib import Path


def logged_rows(run: Path) -> list[dict[str, str]]:
    """Return the rows of all logs of a run, oldest first: texts by column; none for a run without logs."""
    logs = sorted(
        run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])
    )
    rows: list[dict[str, str]] = []
    for path in logs:
        with path.open(newline="") as file:
            rows += csv.DictReader(file)
    return rows
