"""The same jobs on clusters whose nodes are processes here: submitted, probed, autoscaled, measured."""

import json
import runpy
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml

from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from video.encode import mp4_bytes

CLUSTERS = runpy.run_path(str(Path(__file__).parent / "clusters.py"))
ROOT, OwnCluster, autoscaling = (CLUSTERS[name] for name in ("ROOT", "OwnCluster", "autoscaling"))

pytestmark = pytest.mark.slow


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for seed in range(6):
        frames_THWC = np.full((24, 48, 64, 3), 25 * seed + 30, np.uint8)
        for index in range(24):
            frames_THWC[index, 10:30, index : 20 + index] = 250
        (folder / f"{seed}.mp4").write_bytes(mp4_bytes(frames_THWC, 12))
    (folder / "broken.mp4").write_text("no video")
    return folder


def test_a_submitted_job_brings_its_code_and_its_metrics_are_on_the_prometheus_endpoint(raw, tmp_path):
    uri = str(tmp_path / "d")
    with OwnCluster() as cluster:
        kinora = ["kinora", "curate", "--source", str(raw), "--dataset", uri, "--max-failed", "0.5"]
        submit = ["ray", "job", "submit", "--address", f"http://127.0.0.1:{cluster.dashboard}"]
        done = cluster.run(*submit, "--working-dir", ".", "--", *kinora)
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "6 analyzed" in done.stdout
        assert conservation.violations(Dataset.open(uri)) == []
        host = cluster.address.partition(":")[0]
        wanted = ("units_total", "failed_total", "unit_seconds_count", "read_bytes_total")
        text, deadline = "", time.monotonic() + 30
        while not all(f"ray_kinora_{name}" in text for name in wanted) and time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://{host}:{cluster.metrics}/metrics") as page:
                text = page.read().decode()
            time.sleep(1)
    lines = [line for line in text.splitlines() if line.startswith("ray_kinora_")]
    assert all(any(line.startswith(f"ray_kinora_{name}") for line in lines) for name in wanted)
    assert any('code="NOT_MEDIA"' in line and 'stage="analyze"' in line for line in lines)
    assert any('stage="cut"' in line for line in lines)


def test_a_node_that_lacks_a_package_or_a_folder_is_named_before_the_run(raw, tmp_path):
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "scenedetect.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'scenedetect'\", name='scenedetect')\n"
    )
    arguments = ["curate", "--source", str(raw), "--max-failed", "0.5", "--dataset"]
    with OwnCluster(cpus=0) as cluster:
        none = cluster.kinora(*arguments, str(tmp_path / "d0"))
        assert none.returncode == 2, none.stderr
        assert "no node of this cluster fits: `analyze` takes {'CPU': 1.0}" in none.stderr
        cluster.add("--num-cpus=1", env={"PYTHONPATH": str(tmp_path / "shim")})
        lacking = cluster.kinora(*arguments, str(tmp_path / "d1"), "--analyze.detector", "adaptive")
        assert lacking.returncode == 2, lacking.stdout + lacking.stderr
        assert "lacks `scenedetect`" in lacking.stderr
        assert "pip install 'kinora[curate]'" in lacking.stderr
        assert Dataset.open(tmp_path / "d1").records("sources") == []
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces here: a node that does not see a folder cannot be made")
    hide = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    with OwnCluster(cpus=0) as cluster:
        cluster.add("--num-cpus=1", under=["unshare", "-rm", "sh", "-c", hide, "sh"])
        blind = cluster.kinora(*arguments, str(tmp_path / "d2"))
    assert blind.returncode == 2, blind.stdout + blind.stderr
    assert "does not see" in blind.stderr
    assert "s3://bucket/prefix" in blind.stderr


def test_pending_work_makes_the_autoscaler_start_the_node_types_of_the_cluster_file(raw, tmp_path):
    cluster_file = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    kinds = {
        name: {
            "resources": kind["resources"] | {"CPU": 1},
            "node_config": {},
            "min_workers": kind["min_workers"],
            "max_workers": 2,
        }
        for name, kind in cluster_file["available_node_types"].items()
        if name != cluster_file["head_node_type"]
    }
    scaling = autoscaling(kinds, tmp_path)
    uri = str(tmp_path / "d")
    fake = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    fake |= {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": "f" * 56}
    cluster = OwnCluster(cpus=0, args=[f"--autoscaling-config={scaling}"], env=fake)
    config = json.loads(scaling.read_text())
    config["provider"]["gcs_address"] = cluster.address
    scaling.write_text(json.dumps(config))
    with cluster:
        decode = ["--ray.analyze.label", "decode", "--ray.cut.label", "decode", "--ray.expect-cpus", "2"]
        where = ["--source", str(raw), "--dataset", uri, "--max-failed", "0.5"]
        done = cluster.kinora("curate", *where, *decode)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr
        gpu = ["--ray.caption.label", "caption", "--ray.caption.gpus", "1", "--captioner.kind", "facts"]
        said = cluster.kinora("caption", "--dataset", uri, *gpu)
        print(said.stdout, said.stderr)
        assert said.returncode == 0, said.stdout + said.stderr
        listed = cluster.run(sys.executable, "-c", _NODES)
        labels = json.loads(listed.stdout.splitlines()[-1])
    assert {"decode", "caption"} <= {*labels}
    assert conservation.violations(Dataset.open(uri)) == []
    assert LiveView(Dataset.open(uri)).media.num_rows == 6


_NODES = """
import json, os, ray
ray.init(logging_level="ERROR")
print(json.dumps([name for node in ray.nodes() for name in node["Resources"]]))
"""
