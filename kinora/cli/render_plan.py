"""Render a dry run's plan as a table of at most 80 columns, one row per stage."""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.planning.dry_run import StagePlan


def render_plan(plans: Sequence[StagePlan], tail: str = "") -> Group:
    """Return the table, followed by the source of its time estimates and `tail`."""
    table = Table("stage", "would run", "of", "about", "why", box=None, padding=(0, 2, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.columns[4].overflow = "fold"
    for plan in plans:
        why = "\n".join(f"{count} {reason}" for reason, count in plan.why.items())
        of = f"{plan.of} {plan.unit}"
        table.add_row(plan.stage, str(plan.units), of, _about(plan), Text(why))
    known = [plan for plan in plans if plan.units and plan.seconds is not None]
    rates = [Text(f"{plan.stage}'s rate: {plan.rate}", "dim") for plan in known]
    return Group(table, *rates, *([Text(tail)] if tail else []))


def _about(plan: StagePlan) -> str:
    if not plan.units:
        return ""
    return "no rate known yet" if plan.seconds is None else str(timedelta(seconds=ceil(plan.seconds)))
