"""The audit log: one line of JSON for each request that changes something or was refused."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

FILE = "audit.jsonl"
MAX_BYTES = 64 * 2**20
"""Size from which the log is renamed to `audit.1.jsonl` and begun anew."""


class AuditLog:
    """Appends to the log in the state folder. Texts of captions are not in it: the reviews hold them."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / FILE
        self._lock = Lock()

    def write(self, **fields: str | int) -> None:
        """Append one entry with the present time."""
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds")} | fields
        line = (json.dumps(entry, ensure_ascii=True) + "\n").encode()
        with self._lock:
            if self.path.exists() and self.path.stat().st_size + len(line) > MAX_BYTES:
                self.path.replace(self.path.with_name("audit.1.jsonl"))
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
