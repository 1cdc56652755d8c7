"""`deploy/` holds what KubeRay and Docker accept, as far as that can be told without either."""

import re
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import yaml
from ray._private.runtime_env.packaging import create_package

ROOT = Path(__file__).parents[2]
# Of the custom resource definitions of KubeRay (helm-chart/kuberay-operator/crds, version v1).
CLUSTER = {
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "headServiceAnnotations",
    "rayVersion",
    "suspend",
    "workerGroupSpecs",
}
GROUP = {"groupName", "maxReplicas", "minReplicas", "rayStartParams", "replicas", "template"}
JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "clusterSelector",
    "entrypoint",
    "rayClusterSpec",
    "runtimeEnvYAML",
    "shutdownAfterJobFinishes",
    "submissionMode",
    "ttlSecondsAfterFinished",
}
DOCKER = {"ARG", "CMD", "COPY", "ENV", "FROM", "RUN", "USER", "WORKDIR"}


def resources() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all((ROOT / "deploy" / "kuberay.yaml").read_text())}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, with their lines joined."""
    lines = [line for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines() if line[:1] != "#"]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_kuberay_cluster_has_a_head_without_work_and_two_kinds_of_workers():
    cluster = resources()["RayCluster"]
    assert cluster["apiVersion"] == "ray.io/v1"
    spec = cluster["spec"]
    assert set(spec) <= CLUSTER
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == {"decode", "caption"}
    for name, group in groups.items():
        assert set(group) == GROUP
        assert group["rayStartParams"]["resources"] == f'\'"{{\\"{name}\\": 1}}"\''[1:-1]
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in [spec["headGroupSpec"], *groups.values()]:
        container = group["template"]["spec"]["containers"][0]
        assert {"name", "image", "resources"} <= set(container)
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert "nvidia.com/gpu" in groups["caption"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    pins = (ROOT / "requirements.lock").read_text().splitlines()
    assert f"ray=={spec['rayVersion']}" in pins


def test_the_kuberay_job_selects_that_cluster_and_runs_a_command_that_exists():
    job = resources()["RayJob"]
    assert set(job["spec"]) <= JOB
    assert job["spec"]["clusterSelector"]["ray.io/cluster"] == resources()["RayCluster"]["metadata"]["name"]
    words = job["spec"]["entrypoint"].split()
    assert words[:2] == ["kinora", "curate"]
    from kinora.cli import main as cli
    from kinora.commands import curate

    found, _ = cli._parse("curate", curate, words[2:])
    assert (found.ray.analyze.label, found.ray.cut.label, found.ray.expect_cpus) == ("decode", "decode", 480)


def test_the_image_is_pinned_holds_every_package_and_does_not_run_as_root():
    found = instructions()
    assert {word for word, _ in found} <= DOCKER
    assert [rest for word, rest in found if word == "USER"] == ["1000"]
    assert [word for word, _ in found].index("USER") > max(
        at for at, (word, _) in enumerate(found) if word == "RUN"
    )
    copied = [name for word, rest in found if word == "COPY" for name in rest.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    assert packages <= set(copied)
    runs = " ".join(rest for word, rest in found if word == "RUN")
    assert "requirements.lock" in runs
    assert ":latest" not in " ".join(rest for word, rest in found if word == "FROM")


def test_a_submitted_job_uploads_the_packages_and_none_of_the_data(tmp_path):
    """Ray refuses more than 100 MiB (Ray 2.60: HTTP 413)."""
    packages = ("captioner", "kinora", "manifests", "pipeline", "trainer", "video", "worlds")
    for name in packages:
        skip = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.npz")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
    for name in (".gitignore", ".rayignore", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("raw", "data", "dataset", "shards", "runs", "demo", ".bench", ".cache", ".venv"):
        (tmp_path / name / "inner").mkdir(parents=True)
        with (tmp_path / name / "inner" / "large").open("wb") as large:
            large.truncate(40 * 2**20)
    package = tmp_path.parent / f"{tmp_path.name}.zip"
    create_package(str(tmp_path), package, include_gitignore=True)
    with zipfile.ZipFile(package) as content:
        uploaded = {name for name in content.namelist() if not name.endswith("/")}
    assert package.stat().st_size < 20 * 2**20
    sources = {
        str(path.relative_to(tmp_path)) for name in packages for path in (tmp_path / name).rglob("*.py")
    }
    assert {"trainer/data/shards.py", "worlds/raw/config.py"} <= sources <= uploaded
    assert not [name for name in uploaded if name.endswith("large")]
