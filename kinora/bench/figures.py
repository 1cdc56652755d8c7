"""What a benchmark hands back, and what it ran on."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What one run measured: ours, the peers' and the limits', none of them a constant."""

    figures: Mapping[str, float]
    text: Any
    """A string or a rich renderable of at most 80 columns, for people."""


def machine() -> dict[str, Any]:
    """Describe this machine, and how busy it is."""
    return {
        "cpus": os.cpu_count(),
        "cpu": platform.processor() or platform.machine(),
        "platform": platform.platform(),
        "load_1m": os.getloadavg()[0],
    }
