"""Metrics of the workers, which each node serves to Prometheus (needs the extra `cluster`).

    kinora_units_total{stage}           finished units, including failed ones
    kinora_failed_total{stage, code}    failed units
    kinora_unit_seconds{stage}          histogram of the mean seconds per unit of a task
    kinora_read_bytes_total{stage}      size of the analysed sources, or of the captioned clips

Ray puts `ray_` before each name.
"""

from ray.util.metrics import Counter, Histogram

from pipeline.runtime.units import TaskResult

_SECONDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]


class Metrics:
    """The counters of this process."""

    def __init__(self) -> None:
        self._units = Counter("kinora_units_total", "Units done, failed ones among them", ("stage",))
        self._failed = Counter("kinora_failed_total", "Units that failed", ("stage", "code"))
        self._seconds = Histogram("kinora_unit_seconds", "Seconds a unit took", _SECONDS, ("stage",))
        self._bytes = Counter("kinora_read_bytes_total", "Bytes given to be read", ("stage",))

    def count(self, stage: str, result: TaskResult, seconds: float) -> None:
        """Count one task that returned after `seconds`; units of it may have failed."""
        tags = {"stage": stage}
        if result.units:
            self._units.inc(result.units, tags)
            self._seconds.observe(seconds / result.units, tags)
        if result.read_bytes:
            self._bytes.inc(result.read_bytes, tags)
        for code, count in result.failed.items():
            self._failed.inc(count, tags | {"code": code})
