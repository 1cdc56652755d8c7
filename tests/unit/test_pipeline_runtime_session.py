"""A Ray that does not start is tried again, and then explained."""

import pytest
import ray

from pipeline.config import RayConfig
from pipeline.runtime.session import RayNotStarted, RaySession

TIMEOUT = "The current node timed out during startup. This could happen because some of the raylet failed"


def fail_to_start(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[None]:
    attempts: list[None] = []

    def init(**_: object) -> None:
        attempts.append(None)
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return attempts


def test_a_busy_machine_gets_three_attempts_and_an_error_with_the_remedy(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    attempts = fail_to_start(monkeypatch, Exception(TIMEOUT))
    with pytest.raises(RayNotStarted, match=r"in 3 attempts .*timed out.*overloaded.*--ray\.num-cpus"):
        _ = RaySession(RayConfig()).cpus
    assert len(attempts) == 3


def test_any_other_error_is_named_at_once(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    attempts = fail_to_start(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(RayNotStarted, match="No space left on device"):
        _ = RaySession(RayConfig()).cpus
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(RayNotStarted, match=r"RAY_ADDRESS=10\.0\.0\.1:6379 cannot be used \(OSError"):
        _ = RaySession(RayConfig()).cpus
    assert len(attempts) == 2
