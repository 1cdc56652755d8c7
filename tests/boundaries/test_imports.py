"""The import contracts hold and can fail, there are no cycles, and light modules load nothing heavy."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.layers import cycles, import_graph

ROOT = Path(__file__).parents[2]
PACKAGES = ("video", "worlds", "manifests", "captioner", "pipeline", "trainer", "kinora", "benchmarks")
HEAVY = {"torch", "ray", "transformers", "lightning", "duckdb", "pyarrow.dataset"}


def loaded_by(code: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter holds after `code`."""
    probe = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split("\n"))


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--config", str(config), "--no-cache"]
    return subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=False)


def test_the_import_graph_holds():
    result = lint(ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout


VIOLATIONS = {
    "video and manifests import nothing of ours": ("video/planted.py", "import worlds"),
    "video and manifests do not import each other": (
        "video/planted.py",
        "def f():\n    import manifests",  # a function-level import counts too
    ),
    "worlds imports only video": ("worlds/planted.py", "import manifests"),
    "captioner imports only manifests and video": ("captioner/planted.py", "import worlds"),
    "pipeline imports only captioner, manifests and video": ("pipeline/planted.py", "import lightning"),
    "pipeline does not train captioners": ("pipeline/planted.py", "import captioner.train"),
    "trainer imports only manifests and video": ("trainer/planted.py", "import ray"),
    "nobody imports kinora or benchmarks": ("trainer/planted.py", "import benchmarks"),
    "kinora loads benchmarks by name only": ("kinora/planted.py", "import benchmarks"),
    "manifests stays light": ("manifests/planted.py", "import torch"),
    "manifests serves the web in `web` and its review page alone": (
        "manifests/planted.py",
        "import starlette",
    ),
    "what servers share imports no page": ("manifests/web/planted.py", "import manifests.review.app"),
    "captioner does not import ray": ("captioner/planted.py", "import ray"),
    "vLLM's environment needs little of ours": ("captioner/vllm_engine.py", "import pyarrow"),
    "captioner imports lightning only to train": ("captioner/planted.py", "import lightning"),
    "pipeline is layered": ("pipeline/cut/planted.py", "import pipeline.select.rules"),
    "one stage never imports another": (
        "pipeline/dedup/compare_stage.py",
        "import pipeline.dedup.cluster_stage",
    ),
    "pipeline: only jobs, runtime and stages import ray": ("pipeline/cut/planted.py", "import ray"),
    "the transformer does not import the training of the VAE": (
        "trainer/dit/planted.py",
        "import trainer.vae.module",
    ),
    "sampling imports no training data": ("trainer/sample/sampler.py", "import trainer.data.shards"),
    "the command line imports nothing heavy": ("kinora/cli/main.py", "import pyarrow"),
}
"""By the name of a contract, an import that breaks it, and the file to plant it in."""
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@pytest.fixture(scope="module")
def empty_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages with all modules empty: no contract is broken."""
    root = tmp_path_factory.mktemp("empty")
    for path in (path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    result = lint(root / "pyproject.toml")
    assert result.returncode == 0, result.stdout
    return root


def broken(output: str) -> set[str]:
    """Return the names of the broken contracts in the report of lint-imports."""
    return {line.removesuffix(" BROKEN") for line in output.splitlines() if line.endswith(" BROKEN")}


@pytest.mark.parametrize("contract", [contract["name"] for contract in CONTRACTS])
def test_every_contract_is_broken_by_a_planted_import(empty_tree, contract):
    name, line = VIOLATIONS[contract]
    planted = empty_tree / name
    existed = planted.exists()
    planted.write_text(line + "\n")
    try:
        result = lint(empty_tree / "pyproject.toml")
    finally:
        planted.write_text("") if existed else planted.unlink()
    assert result.returncode == 1
    assert contract in broken(result.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_of_a_package_import_each_other_in_a_cycle(package):
    assert cycles(import_graph(package)) == []


def test_a_cycle_is_found():
    graph = {name: frozenset(names) for name, names in {"a": "b", "b": "c", "c": "b", "d": "a"}.items()}
    assert cycles(graph) == [{"b", "c"}]


@pytest.mark.parametrize(
    "code",
    [
        "import manifests",
        "import manifests.records",
        "import kinora",
        "from kinora.cli.main import main; main(['--help'])",
        "import pipeline.config, trainer.config, captioner.config, worlds.raw.config",
    ],
)
def test_light_modules_load_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_the_probe_would_see_a_heavy_module():
    assert loaded_by("import duckdb") == {"duckdb"}
