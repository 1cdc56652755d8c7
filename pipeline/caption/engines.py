"""Engines of vLLM as actors of Ray, in an environment of their own.

The job starts them, under names by which the actors that read clips find them. vLLM pins versions of torch
and transformers, so its environment has no Kinora: what an engine needs of it is sent along.
"""

import ast
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError
from ray.experimental.internal_kv import _internal_kv_get

from captioner.config import VllmConfig
from captioner.vllm_client import VllmCaptioner
from captioner.vllm_protocol import EngineGone, EngineInfo, EngineLost, EngineRequest, Generation
from pipeline.caption.actor import LoadCaptioner
from pipeline.config import CaptionConfig, PoolConfig, RayConfig
from pipeline.runtime.pools import capacity
from pipeline.runtime.preflight import can_autoscale

_ENGINE_MODULE = "captioner.vllm_engine"
_SENT = ("captioner", "manifests")
"""Packages that hold what it imports of ours."""
_NAME = "kinora-vllm-{}"
_MAX_RESTARTS = 16
"""Restarts of an engine in one run."""
_RETRY_S, _STOP_S = 2.0, 30.0
_CLIPS = 64
"""Clips of each engine whose frames Ray's object store is made to hold."""
_MAX_STORE_BYTES = 4 * 2**30
_PROBE = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
try:
    ray = version("ray")
except PackageNotFoundError:
    ray = ""
print(json.dumps({"python": sys.version_info[:2], "ray": ray, "vllm": find_spec("vllm") is not None}))
"""


def with_room_for_frames(ray_config: RayConfig, config: CaptionConfig) -> RayConfig:
    """Return a configuration of Ray whose object store, if it is of the default size, has room for frames."""
    if config.captioner.kind != "vllm" or ray_config.object_store_bytes != RayConfig().object_store_bytes:
        return ray_config
    vllm = _vllm(config)
    wanted = 2 * _CLIPS * vllm.engines * vllm.frames * config.max_side_px**2 * 3
    free = shutil.disk_usage("/dev/shm").free // 2 if Path("/dev/shm").is_dir() else _MAX_STORE_BYTES
    size = max(ray_config.object_store_bytes, min(wanted, _MAX_STORE_BYTES, free))
    return replace(ray_config, object_store_bytes=size)


@contextmanager
def running_engines(
    config: CaptionConfig, stage: str, pool: PoolConfig, load_captioner: LoadCaptioner
) -> Iterator[LoadCaptioner]:
    """Yield what loads the captioner of an actor; of kind `vllm`, one that asks engines, which run meanwhile.

    Args:
        pool: the actors of the stage, which read clips.

    Raises ValueError, with the remedy, if the engines cannot be started.
    """
    if config.captioner.kind != "vllm":
        yield load_captioner
        return
    vllm = _vllm(config)
    if pool.gpus:
        raise ValueError(
            f"ray.{stage}.gpus: with captioner.kind vllm these actors only read clips, and GPUs are those of "
            "the engines: leave it at 0 and set captioner.vllm.tensor_parallel_size and .engines"
        )
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needs = _needs(vllm, nodes)
    _check_interpreter(vllm, needs)
    actors = [_start(vllm, index, needs) for index in range(vllm.engines)]
    try:
        for actor in actors:
            _wait_until_ready(actor)
        store = min(node.get("object_store_memory", _MAX_STORE_BYTES) for node in nodes)
        yield partial(load_vllm, max_bytes=int(store / 2 / max(1, pool.max_size)))
    except EngineGone as gone:
        raise ValueError(str(gone)) from gone
    finally:
        for actor in actors:
            _stop(actor)


def load_vllm(config: CaptionConfig, *, max_bytes: int) -> VllmCaptioner:
    """Return a captioner that asks the engines of this job. Raises EngineGone if one is no more."""
    vllm = _vllm(config)
    engines = [RayEngine(ray.get_actor(_NAME.format(index))) for index in range(vllm.engines)]
    return VllmCaptioner(vllm, engines, max_bytes=max_bytes)


class RayEngine:
    """An `Engine` that is an actor of Ray."""

    def __init__(self, actor: Any) -> None:
        """Wait until the engine is loaded. Raises EngineGone if it cannot be."""
        self._actor = actor
        self.info: EngineInfo = _wait_until_ready(actor)

    async def answer(self, request: EngineRequest) -> list[Generation]:
        try:
            return await self._actor.answer.remote(request)
        except RayActorError as error:
            raise EngineLost(str(error)) from error

    async def answer_alone(self, request: EngineRequest) -> list[Generation]:
        while True:
            _wait_until_ready(self._actor)
            begun = False
            try:
                async for ref in self._actor.answer_alone.options(num_returns="streaming").remote(request):
                    if answers := await ref:
                        return answers
                    begun = True
            except RayActorError as error:
                if begun:
                    raise EngineLost(str(error)) from error


def _vllm(config: CaptionConfig) -> VllmConfig:
    assert config.captioner.vllm is not None, "caption_spec checks it"
    return config.captioner.vllm


def _needs(config: VllmConfig, nodes: list[dict[str, float]]) -> PoolConfig:
    """Return what Ray keeps for an engine. Raises ValueError if there is no room for all engines."""
    found = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    gpus = config.gpus if config.gpus is not None else config.tensor_parallel_size * bool(found)
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    needs = PoolConfig(cpus=float(cpus > config.engines), gpus=gpus)
    in_cluster = bool(os.environ.get("RAY_ADDRESS"))
    if in_cluster and can_autoscale(_internal_kv_get("__autoscaling_status")):
        return needs
    if (room := capacity(needs, nodes)) < config.engines:
        raise ValueError(
            f"captioner.vllm.engines is {config.engines}, each with {gpus} GPUs of one node, and Ray has "
            f"room for {room} (the largest node has {found:g} GPUs): lower engines or tensor_parallel_size, "
            "or set captioner.vllm.gpus to 0 for a build of vLLM for CPUs"
        )
    return needs


def _check_interpreter(config: VllmConfig, needs: PoolConfig) -> None:
    """Raise ValueError, with the remedy, if the environment of the engines does not fit."""
    python = config.python or sys.executable
    probe = ray.remote(probe_interpreter).options(num_cpus=0, num_gpus=needs.gpus, max_retries=1)
    found = ray.get(probe.remote(python))
    ours = {"python": [*sys.version_info[:2]], "ray": ray.__version__}
    version = ".".join(map(str, sys.version_info[:2]))
    remedy = (
        f"make an environment with `python{version} -m venv /opt/vllm` and `/opt/vllm/bin/pip install vllm "
        f"ray=={ray.__version__}` on each node that runs an engine, and name its interpreter with "
        "--captioner.vllm.python /opt/vllm/bin/python"
    )
    field = f"captioner.vllm.python: {python}"
    if error := found.get("error"):
        raise ValueError(f"{field}: {error}; {remedy}")
    if not found["vllm"]:
        raise ValueError(f"{field} has no vLLM; {remedy}")
    if wrong := [f"{name} {_spell(found[name])}" for name in ours if found[name] != ours[name]]:
        needed = " and ".join(f"{name} {_spell(value)}" for name, value in ours.items())
        raise ValueError(f"{field} has {', '.join(wrong)}, and this Ray takes {needed}; {remedy}")


def probe_interpreter(python: str) -> dict[str, Any]:
    """Return the versions of Python and Ray of an interpreter, and whether it has vLLM; or an `error`."""
    try:
        done = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=300, check=True)
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        return {"error": f"it fails: {error.stderr.strip()[-300:]}"}
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"error": f"it cannot be run: {error}"}


def _spell(version: Any) -> str:
    return ".".join(map(str, version)) if isinstance(version, list) else version or "none"


def _start(config: VllmConfig, index: int, needs: PoolConfig) -> Any:
    """Start an engine; it loads its model meanwhile."""
    secret = ("KEY", "TOKEN", "SECRET")
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("VLLM_") and not any(word in name for word in secret)
    }
    runtime_env: dict[str, Any] = {"env_vars": {"VLLM_NO_USAGE_STATS": "1", **passed}}
    if config.python:
        runtime_env["py_executable"] = config.python
    options: Mapping[str, Any] = {
        "name": _NAME.format(index),
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "max_restarts": _MAX_RESTARTS,
        "max_concurrency": 4096,
        "runtime_env": runtime_env,
    }
    return ray.remote(_host()).options(**options).remote(_packages(), pickle.dumps(config))


def _host() -> type:
    """Return the class of the actors; it is local, so that Ray sends its code, not the name of a module."""

    class EngineHost:
        def __init__(self, packages: bytes, config: bytes) -> None:
            from importlib import import_module
            from tempfile import TemporaryDirectory

            self._folder = TemporaryDirectory(prefix="kinora-")
            zipfile.ZipFile(io.BytesIO(packages)).extractall(self._folder.name)
            sys.path.insert(0, self._folder.name)
            self._lost = import_module("captioner.vllm_protocol").EngineLost
            self._engine: Any = None
            self._tried = self._error = ""
            try:
                self._engine = import_module("captioner.vllm_engine").load_engine(pickle.loads(config))
            except Exception as error:
                self._error = str(error)

        async def ready(self) -> tuple[Any, str]:
            """Return what runs, or why nothing does."""
            if not self._error and not self._tried:
                try:
                    await self._engine.try_out()
                except Exception as error:
                    self._error = str(error)
                self._tried = "tried"
            return (None, self._error) if self._error else (self._engine.info, "")

        async def answer(self, request: Any) -> Any:
            try:
                return await self._engine.answer(request)
            except self._lost:
                os._exit(1)  # Ray starts the actor again

        async def answer_alone(self, request: Any) -> AsyncIterator[Any]:
            try:
                async for answers in self._engine.answer_alone(request):
                    yield answers
            except self._lost:
                os._exit(1)

        def stop(self) -> None:
            if self._engine is not None:
                self._engine.shutdown()

    return EngineHost


def _packages() -> bytes:
    """Return a zip of the modules of ours that an engine imports, and of the packages that hold them.

    Small, so that Ray keeps it with the actor: arguments in its object store may be lost before a restart.
    """
    found: dict[str, Path] = {}
    pending = [_ENGINE_MODULE]
    while pending:
        name = pending.pop()
        spec = None if name in found or name.split(".")[0] not in _SENT else find_spec(name)
        if spec is not None and spec.origin:
            found[name] = Path(spec.origin)
            pending += [name.rpartition(".")[0] or name, *_imported(found[name])]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        for name, path in sorted(found.items()):
            folder = Path(*name.split(".")) if path.name == "__init__.py" else Path(*name.split(".")[:-1])
            out.write(path, folder / path.name)
    return content.getvalue()


def _imported(path: Path) -> Iterator[str]:
    """Yield what a module imports at its top, by name."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _wait_until_ready(actor: Any) -> EngineInfo:
    """Return what an engine runs, once it does. Raises EngineGone if it cannot."""
    while True:
        try:
            info, error = ray.get(actor.ready.remote())
        except ActorDiedError as died:
            raise EngineGone(f"captioner.vllm: the process of an engine ended: {died}") from died
        except RayActorError:  # it is being started again
            time.sleep(_RETRY_S)
            continue
        if error:
            raise EngineGone(error)
        return info


def _stop(actor: Any) -> None:
    """End an engine and its processes."""
    with suppress(RayError, TimeoutError):
        ray.get(actor.stop.remote(), timeout=_STOP_S)
    with suppress(RayError):
        ray.kill(actor)
