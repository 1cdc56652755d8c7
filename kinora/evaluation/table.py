"""The table of an evaluation, for a terminal of 80 columns and in Markdown."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from kinora.evaluation.figures import Figure

HEADINGS = ("row", "figure", "value", "bound", "goal", "chance", "ceiling", "n", "met")


def terminal_table(figures: Mapping[str, Sequence[Figure]], failed: Mapping[str, str]) -> Table:
    """Return a table of at most 80 columns.

    Args:
        figures: of each row that ran.
        failed: why each of the other rows did not.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in HEADINGS:
        right = heading not in ("row", "figure", "met")
        table.add_column(
            heading, justify="right" if right else "left", no_wrap=heading != "figure", overflow="fold"
        )
    for cells in _rows(figures):
        table.add_row(*cells)
    for row, why in failed.items():
        table.add_row(row, f"did not run: {why}")
    return table


def markdown_table(figures: Mapping[str, Sequence[Figure]], failed: Mapping[str, str]) -> str:
    """Return the same as a Markdown table."""
    lines = [HEADINGS, ("---", "---", *["---:"] * 6, "---"), *_rows(figures)]
    lines += [(row, f"did not run: {why}", *[""] * 7) for row, why in failed.items()]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"


def _rows(figures: Mapping[str, Sequence[Figure]]) -> list[tuple[str, ...]]:
    rows = []
    for row, own in figures.items():
        for index, figure in enumerate(own):
            rows.append((row if index == 0 else "", *_cells(figure)))
    return rows


def _cells(figure: Figure) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.{figure.digits}f}"

    goal = "" if figure.goal is None else f"{figure.sign} {figure.goal:g}"
    met = {None: "", True: "yes", False: "no"}[figure.met]
    values = [number(v) for v in (figure.value, figure.bound)]
    return (
        figure.name,
        *values,
        goal,
        number(figure.chance),
        number(figure.ceiling),
        str(figure.n),
        met,
    )
