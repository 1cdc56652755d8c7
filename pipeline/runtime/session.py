"""Start Ray within limits when work first needs it, and stop it afterwards."""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import ray
from ray.data import DataContext
from ray.data._internal.execution.resource_manager import ResourceManager

from pipeline.config import RayConfig
from pipeline.runtime import preflight
from pipeline.runtime.pools import check_pools

_SHIPPED = ("captioner", "kinora", "manifests", "pipeline", "trainer", "video")
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by `ray job submit`, which ships the packages itself."""

_START_ATTEMPTS = 3
_START_TIMEOUT = "timed out during startup"
"""Part of the message of Ray 2.60 when a node does not answer within 30 s, a limit that cannot be set."""
_LIMITS_EVERY_S = 0.1
"""Interval at which Ray Data updates its resource limits. Until the first update it runs one task at a time;
the default is a second (Ray 2.60)."""


class RayNotStarted(ValueError):
    """Ray did not start, or cannot be reached. The message names the cause and the remedy."""


class RaySession:
    """A context that starts Ray when `cpus` is first read.

    Uses the Ray that this process is connected to, else the cluster of RAY_ADDRESS, else a local Ray within
    the limits of the configuration, which it stops at the end.
    """

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._started = False
        self._checked: set[str] = set()
        self.start_s = 0.0
        """Seconds that starting Ray took."""

    def __enter__(self) -> Self:
        return self

    @property
    def cpus(self) -> int:
        """CPUs to size tasks for. Starts Ray if necessary."""
        if not ray.is_initialized():
            begin = time.monotonic()
            with _keep_sigterm_handler():
                _start_with_retries(self._config)
            self._started, self.start_s = True, time.monotonic() - begin
        context = DataContext.get_current()
        context.execution_no_progress_timeout_s = self._config.no_progress_timeout_s or -1
        ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = _LIMITS_EVERY_S  # pyright: ignore[reportAttributeAccessIssue]
        # Ray 2.60 deprecates these without another way to limit retries and restarts
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        if not self._config.verbose:
            context.enable_progress_bars = context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors are raised
        return max(1, self._config.expect_cpus or int(ray.cluster_resources().get("CPU", 1)))

    def check(
        self,
        stages: Sequence[str],
        shared_uris: Sequence[str],
        files: Sequence[str] = (),
        modules: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Raise PoolsUnfit or ClusterUnfit if the pools or the nodes cannot run `stages`.

        Probes the nodes of a cluster (`preflight.check_nodes`). Skips stages that were checked before.
        """
        _ = self.cpus
        new = [stage for stage in stages if stage not in self._checked]
        nodes = [node for node in ray.nodes() if node["Alive"]]
        if new and (os.environ.get("RAY_ADDRESS") or len(nodes) > 1):
            preflight.check_nodes(new, self._config, shared_uris, files, modules)
        elif new:
            check_pools(new, self._config, [node["Resources"] for node in nodes])
        self._checked |= {*new}

    def __exit__(self, _: type[BaseException] | None, __: object, ___: TracebackType | None) -> None:
        if self._started:
            ray.shutdown()


@contextmanager
def _keep_sigterm_handler() -> Generator[None]:
    """Install the handler of SIGTERM again: starting Ray 2.60 replaces it by one that aborts the process."""
    former = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _start_with_retries(config: RayConfig) -> None:
    """Start Ray; try again if a busy machine did not bring it up in time. Raises RayNotStarted."""
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            _start(config)
            return
        except Exception as error:
            ray.shutdown()  # ends what did start
            if _START_TIMEOUT in str(error) and attempt < _START_ATTEMPTS:
                continue
            raise RayNotStarted(_not_started(error, attempt)) from error


def _not_started(error: Exception, attempts: int) -> str:
    cause = f"{type(error).__name__}: {error}"
    if address := os.environ.get("RAY_ADDRESS"):
        return f"the Ray cluster at RAY_ADDRESS={address} cannot be used ({cause}): check `ray status` there"
    return (
        f"Ray did not start on this machine in {attempts} attempts ({cause}). If the machine is overloaded, "
        "run again when it is idle, or give Ray less of it (--ray.num-cpus, --ray.object-store-bytes)"
    )


def _start(config: RayConfig) -> None:
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # tracebacks of actors that are started again, before the one message that a stage ends with
    os.environ.setdefault("RAY_enable_output_error_log_if_still_retry", "1" if config.verbose else "0")
    level = logging.INFO if config.verbose else logging.ERROR
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=config.verbose, logging_level=level, runtime_env=_runtime_env(config))
        return
    ray.init(
        address="local",  # not a Ray that another process started
        num_cpus=config.num_cpus or os.cpu_count(),
        object_store_memory=config.object_store_bytes,
        include_dashboard=False,
        log_to_driver=config.verbose,
        logging_level=level,
    )


def _runtime_env(config: RayConfig) -> dict[str, Any] | None:
    """Return the runtime environment that ships our packages; None if the workers have them."""
    if not config.ship_packages or os.environ.get(_SUBMITTED):
        return None
    found = [find_spec(name) for name in _SHIPPED]
    folders = [Path(spec.origin).parent for spec in found if spec and spec.origin]
    return {"py_modules": [str(folder) for folder in folders]}
