"""Ray clusters of several processes on this machine, each with ports, a token and a folder of its own.

They are made by `ray start`, as a person makes one, and ended by their own process ids: `ray stop` would end
every Ray on the machine.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from uuid import uuid4

import psutil
from ray._private.services import get_node_ip_address

ROOT = Path(__file__).parents[2]
_READY = "This command will now block forever"
_START_S = 180.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


class OwnCluster:
    """A head node, and what is added to it. `env` is what a driver or `ray job submit` needs."""

    def __init__(self, *, cpus: int = 2, args: Sequence[str] = (), env: Mapping[str, str] | None = None):
        self.folder = Path(tempfile.mkdtemp(prefix="kr", dir="/tmp"))  # short: sockets lie below it
        self.port, self.dashboard, self.metrics = free_port(), free_port(), free_port()
        self.address = f"{get_node_ip_address()}:{self.port}"
        self.env = dict(os.environ) | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": "",  # the code is to come with the job
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": uuid4().hex * 2,
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "120",  # 30 by default: too little beside other work
        }
        self.env.pop("RAY_ADDRESS", None)
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._head = ["--head", f"--port={self.port}", "--dashboard-host=127.0.0.1"]
        self._head += [f"--dashboard-port={self.dashboard}", f"--temp-dir={self.folder}"]
        self._head += [f"--ray-client-server-port={free_port()}", f"--metrics-export-port={self.metrics}"]
        self._head += [f"--num-cpus={cpus}", *args]
        self._head_env = dict(env or {})

    def __enter__(self) -> Self:
        try:
            self._start(self._head, self._head_env, ())
        except BaseException:
            self.__exit__()
            raise
        self.env["RAY_ADDRESS"] = self.address
        return self

    def add(
        self, *args: str, env: Mapping[str, str] | None = None, under: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start another node. `under` is a command that starts it, such as `unshare -rm`."""
        return self._start([f"--address={self.address}", *args], env or {}, under)

    def run(self, *command: str, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command as a driver of this cluster, in the repository."""
        env = self.env | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def kinora(self, *args: str, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "kinora", *args, timeout_s=timeout_s)

    def __exit__(self, *_: object) -> None:
        for node in reversed(self._nodes):
            end(node.pid)
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(
        self, args: Sequence[str], env: Mapping[str, str], under: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        log = self.folder / f"node{len(self._nodes)}.log"
        small = [] if any("object-store" in arg for arg in args) else ["--object-store-memory=80000000"]
        with log.open("wb") as out:
            node = subprocess.Popen(
                [*under, *ray, *ports, *small, *args],
                env={name: value for name, value in self.env.items() if name != "RAY_ADDRESS"} | env,
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._nodes.append(node)
        deadline = time.monotonic() + _START_S
        while _READY not in log.read_text():
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no node: {log.read_text()}")
            time.sleep(0.2)
        return node


def end(pid: int) -> None:
    """Kill a process and all that it started, by their ids."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def autoscaling(kinds: Mapping[str, Mapping[str, object]], folder: Path) -> Path:
    """Write a configuration for Ray's fake provider, whose nodes are processes here."""
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    config = {
        "cluster_name": "fake",
        "max_workers": 8,
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": 10,
        "provider": {
            "type": "fake_multinode",
            "head_node_id": "f" * 56,
            "disable_node_updaters": True,  # nothing is to be installed by ssh
            "disable_launch_config_check": True,
            "foreground_node_launch": True,
        },
        "available_node_types": {"ray.head.default": head, **kinds},
        "head_node_type": "ray.head.default",
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
        "head_node": {},
        "worker_nodes": {},
    }
    path = folder / "autoscaling.json"
    path.write_text(json.dumps(config))
    return path
