"""The result of a benchmark, and the machine it ran on."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Measurements of one run, including those of peers and limits; never constants."""

    figures: Mapping[str, float]
    text: Any
    """A string or a rich renderable of at most 80 columns, for people."""


def machine() -> dict[str, Any]:
    """Return the machine's processors, platform and load."""
    return {
        "cpus": os.cpu_count(),
        "cpu": platform.processor() or platform.machine(),
        "platform": platform.platform(),
        "load_1m": os.getloadavg()[0],
    }
