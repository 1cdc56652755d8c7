"""What the workers tell Ray of their work: each node serves it to Prometheus (needs the extra `cluster`).

    kinora_units_total{stage}           units done, failed ones among them
    kinora_failed_total{stage, code}    units that failed
    kinora_unit_seconds{stage}          histogram of seconds a unit took, the mean of its task
    kinora_read_bytes_total{stage}      size of the sources that were analysed, or of the clips captioned

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

    def count(self, stage: str, done: TaskResult, seconds: float) -> None:
        """Count one task that ended well after `seconds`; units of it may have failed."""
        tags = {"stage": stage}
        if done.units:
            self._units.inc(done.units, tags)
            self._seconds.observe(seconds / done.units, tags)
        if done.read_bytes:
            self._bytes.inc(done.read_bytes, tags)
        for code, count in done.failed.items():
            self._failed.inc(count, tags | {"code": code})
