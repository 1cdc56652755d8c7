"""Curate and caption on a cluster while its processes are killed; a program of its own.

    python tests/ray/chaos.py --folder DIR --seed 0 --kills 8

Nodes are processes made by `ray.cluster_utils.Cluster`: a head that does no work and two that do. At moments
drawn from the seed one of these is killed by SIGKILL, until there were so many kills:

- worker: a Ray worker, with the sandbox below it
- node: a working node, all of its processes; another takes its place
- store: the raylet of the working node that holds most objects, and so its object store; workers are left
- head: the head node, with the control store, the cluster's state and the blocks that the driver put there
- driver: the `kinora` command itself

After the death of the driver, or of the head, which takes the driver along, the same command is run again.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil

from video.encode import VideoWriter

ROOT = Path(__file__).parents[2]
KINDS = ("worker", "driver", "node", "worker", "store", "head")
_PAUSE_S = (2.5, 6.0)
_LIMIT_S = 1800.0


def write_raw(folder: Path, videos: int = 36) -> None:
    """Write videos of three or four shots, one that is black throughout, and two broken files."""
    folder.mkdir()
    colors = ((200, 60, 60), (40, 160, 60), (60, 60, 220), (230, 220, 40))
    for seed in range(videos):
        with VideoWriter(folder / f"{seed:02}.mp4", height=240, width=320, fps=24) as out:
            for index in range(186 if seed % 2 else 180):  # a shot that is too short is a gap
                shot, step = divmod(index, 60)
                rgb_HWC = np.full((240, 320, 3), colors[(shot + seed) % 4], np.uint8)
                rgb_HWC[40:120, step + seed : 60 + step + seed] = (5 * seed, 250, 250)
                out.write(rgb_HWC if seed else rgb_HWC // 64, index)
    (folder / "text.mp4").write_text("no video")
    (folder / "half.mp4").write_bytes((folder / "01.mp4").read_bytes()[:3000])


def commands(raw: Path, dataset: Path) -> list[list[str]]:
    """Return the commands of a whole run, in order. Each is run until it ends by itself."""
    kinora = [sys.executable, "-m", "kinora"]
    often = ["--ray.commit-every-s", "0.5", "--max-failed", "1"]
    small = ["--batch-clips", "4", "--max-frames", "4", "--max-side-px", "160"]
    facts = ["--captioner.kind", "facts", "--actors", "2", *small]
    return [
        [*kinora, "curate", "--source", str(raw), "--dataset", str(dataset), *often],
        [*kinora, "caption", "--dataset", str(dataset), *facts, *often],
    ]


class Chaos:
    """A cluster, the driver that runs on it, and the kills."""

    def __init__(self, seed: int) -> None:
        self._random, self._kills_left = random.Random(seed), 0
        self.killed: list[str] = []
        self._next: list[str] = []
        self._cluster = None
        self._begin = time.monotonic()

    def run(self, command: list[str], kills: int) -> None:
        """Run a command to its end, however often it has to be started again."""
        self._kills_left = kills
        while True:
            driver = self._driver(command)
            while driver.poll() is None:
                if not self._kills_left:
                    driver.wait(timeout=_LIMIT_S)
                elif self._sleep(driver, self._random.uniform(*_PAUSE_S)):
                    self._kill(driver)
            said = (driver.stdout.read() if driver.stdout else "").strip().replace("\n", " | ")
            self.say(f"driver ended with {driver.returncode}: {said[-400:]}")
            if driver.returncode == 0:
                return
            if time.monotonic() - self._begin > _LIMIT_S:
                raise SystemExit("the run does not come to an end")

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begin:7.1f} s  {text}", flush=True)

    def close(self) -> None:
        if self._cluster:
            self._cluster.shutdown()
            self._cluster = None

    def _driver(self, command: list[str]) -> subprocess.Popen[str]:
        if self._cluster is None:
            self._cluster = start_cluster()
            self.say(f"cluster at {self._cluster.address}")
        while len(self._cluster.worker_nodes) < 2:
            self._cluster.add_node(num_cpus=1)
        env = os.environ | {"RAY_ADDRESS": self._cluster.address, "PYTHONPATH": str(ROOT)}
        self.say("driver: " + " ".join(command[1:6]))
        return subprocess.Popen(
            command, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def _sleep(self, driver: subprocess.Popen[str], seconds: float) -> bool:
        """Wait; return whether the driver is still at work."""
        try:
            driver.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _kill(self, driver: subprocess.Popen[str]) -> None:
        if not self._next:
            self._next = self._random.sample(KINDS, len(KINDS))
        kind = self._next[-1]
        what = getattr(self, f"_kill_{kind}")(driver)
        if what:
            self._next.pop()
            self.killed.append(kind)
            self._kills_left -= 1
            self.say(f"kill {len(self.killed)}: {kind}: {what}")

    def _kill_worker(self, driver: subprocess.Popen[str]) -> str:
        found = [process for node in self._cluster.worker_nodes for process in workers(node)]
        return kill(self._random.choice(sorted(found, key=lambda p: p.pid))) if found else ""

    def _kill_driver(self, driver: subprocess.Popen[str]) -> str:
        driver.kill()
        return f"pid {driver.pid}"

    def _kill_node(self, driver: subprocess.Popen[str]) -> str:
        node = self._random.choice(sorted(self._cluster.worker_nodes, key=lambda n: n.node_id))
        for process in workers(node):
            kill(process)
        self._cluster.remove_node(node, allow_graceful=False)
        self._cluster.add_node(num_cpus=1, wait=False)
        return f"node {node.node_id[:8]}, replaced"

    def _kill_store(self, driver: subprocess.Popen[str]) -> str:
        """Kill the raylet, whose memory the objects lie in, of the node with most of them."""
        nodes = sorted(self._cluster.worker_nodes, key=lambda node: raylet(node).memory_info().shared)
        process = raylet(nodes[-1])
        shared = process.memory_info().shared
        kill(process)
        self._cluster.remove_node(nodes[-1], allow_graceful=False)
        self._cluster.add_node(num_cpus=1, wait=False)
        return f"raylet of node {nodes[-1].node_id[:8]} with {shared >> 20} MiB shared, replaced"

    def _kill_head(self, driver: subprocess.Popen[str]) -> str:
        head = self._cluster.head_node.node_id
        family = [process for node in self._cluster.list_all_nodes() for process in workers(node)]
        for node in [self._cluster.head_node, *self._cluster.worker_nodes]:
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        for process in family:
            kill(process)
        self._cluster.head_node, self._cluster.worker_nodes = None, set()
        self._cluster = None
        driver.wait(timeout=_LIMIT_S)
        return f"head {head[:8]}, and with it the cluster"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


def start_cluster():
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 0,
        "gcs_server_port": free_port(),
        "include_dashboard": False,
        "dashboard_agent_listen_port": 0,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    return cluster


def raylet(node) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def workers(node) -> list[psutil.Process]:
    """Return the Ray workers of a node; those that are there but idle too."""
    try:
        return [child for child in raylet(node).children() if _is_worker(" ".join(child.cmdline()))]
    except (psutil.NoSuchProcess, KeyError):
        return []


def _is_worker(command: str) -> bool:
    return "ray::" in command and "Agent" not in command


def kill(process: psutil.Process) -> str:
    try:
        name = " ".join(process.cmdline())[:40]
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return ""
    return f"pid {process.pid} {name}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=8)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    raw, dataset = options.folder / "raw", options.folder / f"dataset-{options.seed}-{options.kills}"
    if not raw.exists():
        write_raw(raw)
    os.environ |= {
        "RAY_TMPDIR": tempfile.mkdtemp(prefix="kr", dir="/tmp"),  # and no other Ray here learns of this one
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": uuid4().hex * 2,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "8",  # how long a driver waits for a head; else a minute
    }
    chaos = Chaos(options.seed)
    try:
        curate, caption = commands(raw, dataset)
        chaos.run(curate, options.kills // 2)
        chaos.run(caption, options.kills - options.kills // 2)
    finally:
        chaos.close()
    chaos.say(f"done after {len(chaos.killed)} kills")


if __name__ == "__main__":
    main()
