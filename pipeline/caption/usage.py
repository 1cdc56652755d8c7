"""Tokens and cost of a captioner that counts them: for commits, and across restarts of its actor."""

from collections import Counter
from typing import Any

from pipeline.runtime.attempt_log import open_attempt_store
from pipeline.runtime.context import StageContext

COST = "cost in millionths"
_NAME = "cost"


class UsageLog:
    """What a captioner used since the last piece; the cost of the whole run, from the log of attempts."""

    def __init__(self, context: StageContext, captioner: object) -> None:
        """Follow the `usage` of a captioner that has one; add to it what earlier actors of the run noted."""
        self._store = open_attempt_store(context.attempts_uri)
        self._usage: Any = getattr(captioner, "usage", None)
        self._noted, self._counted = 0.0, Counter[str]()
        if self._usage is not None:
            self._noted = sum(float(line) for line in self._store.read(_NAME) if line.strip())
            self._usage.cost += self._noted
            self._counted = Counter({COST: round(self._noted * 1e6)})
            self.note()

    def note(self) -> None:
        """Log the cost since the last note, for an actor that takes over."""
        if self._usage is not None and self._usage.cost > self._noted:
            self._store.append(_NAME, repr(self._usage.cost - self._noted))
            self._noted = self._usage.cost

    def counts(self) -> dict[str, int]:
        """Return tokens and cost since the last call, as counts of a task."""
        if self._usage is None:
            return {}
        now = Counter(
            {
                "input tokens": self._usage.input_tokens,
                "cached tokens": self._usage.cached_tokens,
                "output tokens": self._usage.output_tokens,
                COST: round(self._usage.cost * 1e6),
            }
        )
        since = now - self._counted
        self._counted = now
        return dict(since)
