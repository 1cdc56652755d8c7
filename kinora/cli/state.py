"""Where commands keep what they derive from a dataset, on this machine."""

import os
from pathlib import Path

from manifests.digest import digest_parts


def state_dir(command: str, uri: str) -> Path:
    """Return the folder of a command for one dataset, below ~/.local/state/kinora."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "kinora" / command / digest_parts(command, uri)[:16]
