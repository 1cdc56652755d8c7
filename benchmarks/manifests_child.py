"""One measurement of `benchmarks.manifests`, in a process of its own.

`python -m benchmarks.manifests_child TASK DATASET STATE` runs a function of `TASKS` and prints a JSON object
of its figures and `peak_mb`. STATE is the folder of the desk's database.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from manifests.records import Verdict
from manifests.review.desk import ReviewDesk
from manifests.review.messages import DecisionRequest, QueueFilter, Saved

REVIEWER = "bench"
PAGE = 50
CLIPS = 30
"""Clips asked for one after the other, and edits saved."""


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def build(dataset: str, state: str) -> dict[str, float]:
    """Open a desk whose database is to be built."""
    begin, cpu = time.monotonic(), time.process_time()
    with ReviewDesk(dataset, state):
        return {"seconds": time.monotonic() - begin, "cpu_s": time.process_time() - cpu}


def page(dataset: str, state: str) -> dict[str, float]:
    """Open a desk and read the first page of the queue; then the first and the last page of each stratum."""
    begin = time.monotonic()
    with ReviewDesk(dataset, state) as desk:
        opened = time.monotonic()
        first = desk.queue(QueueFilter(), reviewer=REVIEWER, limit=PAGE)
        first_page_s = time.monotonic() - opened
        if len(first.items) != PAGE:
            raise RuntimeError(f"the first page has {len(first.items)} clips, not {PAGE}")
        slowest = 0.0
        for stratum in desk.strata():
            for offset in (0, -PAGE):
                asked = partial(desk.queue, QueueFilter(stratum=stratum.name), reviewer=REVIEWER)
                slowest = max(slowest, _seconds(partial(asked, offset=offset, limit=PAGE)))
        figures_s = _seconds(desk.figures)
        return {
            "open_s": opened - begin,
            "first_page_s": first_page_s,
            "slowest_page_s": slowest,
            "figures_s": figures_s,
        }


def clips(dataset: str, state: str) -> dict[str, float]:
    """Ask for one clip after the other; edit and save each."""
    with ReviewDesk(dataset, state) as desk:
        asked, saved, after = list[float](), list[float](), ""
        for number in range(CLIPS):
            begin = time.monotonic()
            card = desk.next(QueueFilter(), reviewer=REVIEWER, after=after)
            asked.append(time.monotonic() - begin)
            if card is None:
                raise RuntimeError(f"the queue ended after {number} clips")
            after = card.item.media_id
            begin = time.monotonic()
            answer = desk.decide(
                DecisionRequest(
                    review_id=uuid4().hex,
                    media_id=after,
                    reviewer=REVIEWER,
                    verdict=Verdict.EDIT,
                    saw=card.saw,
                    caption_version=card.caption_version,
                    caption_digest=card.caption_digest,
                    length="dense",
                    new_text=f"Edit {number} of a benchmark.",
                )
            )
            saved.append(time.monotonic() - begin)
            if not isinstance(answer, Saved):
                raise RuntimeError(f"edit {number} was not saved: {answer}")
        return {
            "next_clip_s": median(asked),
            "next_clip_p95_s": _p95(asked),
            "edit_s": median(saved),
            "edit_p95_s": _p95(saved),
        }


def search(dataset: str, state: str) -> dict[str, float]:
    """Search for the rarest and the most frequent of words, for two words, for a phrase and for a prefix."""
    with ReviewDesk(dataset, state) as desk:
        text = desk.queue(QueueFilter(), reviewer=REVIEWER, limit=1).items[0].text.rstrip(".").split()
        lengths = sorted(text, key=len)
        queries = {
            "frequent": lengths[0],
            "rare": lengths[-1],
            "two": f"{lengths[0]} {lengths[-1]}",
            "phrase": f'"{" ".join(text[1:4])}"',
            "prefix": f"{lengths[-1][:3]}*",
        }
        figures: dict[str, float] = {}
        for name, query in queries.items():
            asked = partial(desk.search, query, reviewer=REVIEWER, limit=PAGE)
            if not asked().items:
                raise RuntimeError(f"nothing found for {query}")
            times = [_seconds(asked) for _ in range(3)]
            figures[f"search_{name}_s"] = median(times)
        return {"search_s": max(figures.values()), **figures}


TASKS: dict[str, Callable[[str, str], dict[str, float]]] = {
    "build": build,
    "page": page,
    "clips": clips,
    "search": search,
}


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    measured = TASKS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({**measured, "peak_mb": peak_mb()}))
