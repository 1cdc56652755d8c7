"""The walls: the import graph holds, can fail, and the light modules load nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("manifests", "import torch"),
        ("trainer", "import worlds"),
        ("video", "def f():\n    import manifests"),  # a function-level import counts too
        ("captioner", "import ray"),
        ("kinora", "import benchmarks"),
        ("pipeline/score", "import pipeline.analyze.task"),
        ("pipeline/analyze", "import pipeline.select.select"),
        ("pipeline/sources", "import pipeline.runtime.failures"),
        ("pipeline/analyze/signals", "import ray"),
        ("trainer/dit", "import trainer.vae.module"),
        ("pipeline/dedup", "import pipeline.planning.pending"),  # against the flow
        ("pipeline/score", "import pipeline.cut.unit"),  # from one step to another
    ],
)
def test_a_planted_violation_is_found(tmp_path, package, line):
    for path in (path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert lint(tmp_path / "pyproject.toml").returncode == 0
    (tmp_path / package / "planted.py").write_text(line + "\n")
    result = lint(tmp_path / "pyproject.toml")
    assert result.returncode == 1
    assert f"{package.replace('/', '.')}.planted" in result.stdout


def test_sampling_that_imports_training_data_is_found(tmp_path):
    for path in (path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("import trainer.data.shards" if copy.match("trainer/sample.py") else "")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    result = lint(tmp_path / "pyproject.toml")
    assert result.returncode == 1
    assert "sampling imports no training data BROKEN" in result.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import manifests",
        "import manifests.records",
        "from kinora.cli.main import main; main(['--help'])",
        "import pipeline.config, trainer.config, captioner.config, worlds.raw.config",
    ],
)
def test_light_modules_load_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_the_probe_would_see_a_heavy_module():
    assert loaded_by("import duckdb") == {"duckdb"}
