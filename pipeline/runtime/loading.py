"""Load a model in an actor. An actor whose model cannot be loaded retires while others work.

Ray Data 2.60 ends a job when the constructor of an actor raises, even beside actors that work, and gives rows
to every actor whose constructor returned. So the constructor of an actor that failed to load does not return
while another has loaded: it never gets a row. Actors know of each other by notes in the attempt log.
"""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import TypeVar

import ray

from manifests.redact import redact
from pipeline.runtime.attempt_log import AttemptStore, open_attempt_store
from pipeline.runtime.context import StageContext

T = TypeVar("T")

_LOADING, _LOADED, _FAILED = "loading", "loaded", "failed"
_POLL_S, _RETIRED_POLL_S = 0.5, 2.0
_MAX_WAIT_S = 3600.0
"""Time to wait for another actor that is still loading: it may have died."""


class LoadFailed(Exception):
    """No actor of the run could load its model."""


def load_or_retire(load: Callable[[], T], context: StageContext) -> T:
    """Return `load()`; call it in the constructor of an actor.

    Actors on CPUs load one after another on each node, so that two do not fail where there is memory for one.
    If `load` raises and another actor has loaded, do not return before the end of the run.

    Raises LoadFailed if `load` raises and no other actor has loaded or is loading.
    """
    if not ray.is_initialized():  # outside Ray
        return load()
    notes = LoadNotes(context)
    own = ray.get_runtime_context().get_actor_id() or "driver"
    restarted = bool(notes.read().get(own))
    notes.write(own, _LOADING)
    try:
        with _turn(context):
            loaded = load()
    except Exception as error:
        message = f"{socket.gethostname()}: {type(error).__name__}: {error}"
        notes.write(own, f"{_FAILED} {message}")
        if restarted or not _others_loaded(notes, own):  # rows of a restarted actor wait for it
            raise LoadFailed(message) from error
        notes.wait_until_cleared(own)
        raise LoadFailed(message) from error
    notes.write(own, _LOADED)
    return loaded


class LoadNotes:
    """The state of the model of each actor of one run of a stage, by actor id."""

    def __init__(self, context: StageContext) -> None:
        self._store: AttemptStore = open_attempt_store(context.attempts_uri)
        self._prefix = f"load-{context.run_id}-"

    def read(self) -> dict[str, str]:
        """Return the newest state of each actor."""
        states: dict[str, str] = {}
        for name in self._store.names(self._prefix):
            if lines := self._store.read(name):
                states[name.removeprefix(self._prefix)] = lines[-1]
        return states

    def write(self, actor: str, state: str) -> None:
        """Record a state."""
        self._store.append(self._prefix + actor, redact(state.replace("\n", " ")))

    def failures(self) -> list[str]:
        """Return the error of each actor that failed to load."""
        return [state.removeprefix(f"{_FAILED} ") for state in self.read().values() if _has(state, _FAILED)]

    def num_loaded(self) -> int:
        """Return the number of actors that loaded."""
        return sum(_has(state, _LOADED) for state in self.read().values())

    def wait_until_cleared(self, actor: str) -> None:
        """Return once the run has ended."""
        while self._store.read(self._prefix + actor):
            time.sleep(_RETIRED_POLL_S)

    def clear(self) -> None:
        """Remove the notes, which ends the actors that retired."""
        for name in self._store.names(self._prefix):
            self._store.remove(name)


def _others_loaded(notes: LoadNotes, own: str) -> bool:
    """Return whether another actor has loaded. Waits for those that are loading."""
    deadline = time.monotonic() + _MAX_WAIT_S
    while True:
        states = [state for actor, state in notes.read().items() if actor != own]
        if any(_has(state, _LOADED) for state in states):
            return True
        if not any(_has(state, _LOADING) for state in states) or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)


def _has(state: str, word: str) -> bool:
    return state.partition(" ")[0] == word


@contextmanager
def _turn(context: StageContext) -> Iterator[None]:
    """Hold the lock of this node; actors with GPUs of their own need none."""
    if context.pool.gpus >= 1:
        yield
        return
    path = Path(gettempdir()) / f"kinora-load-{os.getuid()}"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends
        yield
