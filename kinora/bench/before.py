"""Run a benchmark on this checkout and on an older commit, in turns.

The older commit gets a worktree of its own in `.bench/before/`, kept by commit hash. It shares the installed
packages: the interpreter is the same, and PYTHONPATH puts the worktree before the installed Kinora.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from statistics import median

from rich.table import Table

from kinora.bench import cpu_time

CACHES = (".bench", ".cache")
"""Folders with fetched inputs and peers, which the worktree shares."""
_ORIGIN = """
import json, sys
from importlib.util import find_spec
found = {name: find_spec(name) for name in sys.argv[1:]}
print(json.dumps({name: spec and spec.origin for name, spec in found.items()}))
"""
_PREPARE = """
import sys
from importlib import import_module
prepare = getattr(import_module("benchmarks." + sys.argv[1]), "prepare", None)
if prepare:
    prepare()
"""


@dataclass(frozen=True, slots=True)
class Build:
    """A checkout, and how to call it in messages."""

    label: str
    root: Path

    def env(self) -> dict[str, str]:
        """Return an environment in which this checkout is what `import kinora` finds."""
        paths = [str(self.root), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def python(self, *arguments: object) -> cpu_time.Finished:
        """Run Python on this checkout, one thread a process.

        Raises ChildProcessError, with the end of its errors.
        """
        command = [sys.executable, *map(str, arguments)]
        done = cpu_time.run(command, cwd=self.root, env={**self.env(), "OMP_NUM_THREADS": "1"})
        if done.code:
            raise ChildProcessError(f"{self.label}: {' '.join(command[1:])}: {done.stderr[-1000:]}")
        return done


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Medians over the turns of each build; `cpu_s` and `wall_s` of its process are among the figures."""

    rev: str
    commit: str
    turns: int
    before: Mapping[str, float]
    now: Mapping[str, float]

    def ratios(self) -> dict[str, float | None]:
        """Return now over before for each figure of both; None where before is 0."""
        common = [name for name in self.now if name in self.before]
        return {
            name: round(self.now[name] / self.before[name], 4) if self.before[name] else None
            for name in common
        }

    def table(self) -> Table:
        """Return a row for each figure, at most 80 columns wide."""
        ratios = self.ratios()
        table = Table(f"median of {self.turns}", box=None, padding=(0, 1, 0, 0))
        for heading in (f"before {self.commit[:9]}", "now", "now/before"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name in dict.fromkeys([*self.now, *self.before]):
            ratio = ratios.get(name)
            cells = [_format(side.get(name)) for side in (self.before, self.now)]
            table.add_row(name, *cells, "" if ratio is None else f"{ratio:.3f}")
        return table


def compare(root: Path, name: str, rev: str, *, turns: int, arguments: Sequence[str] = ()) -> Comparison:
    """Run `kinora bench NAME ARGUMENTS --json` on `rev` and on the checkout `root`, each `turns` times.

    Raises ValueError for an unknown revision, ChildProcessError when a build fails.
    """
    commit = resolve(root, rev)
    builds = [Build(f"before ({commit[:9]})", add_worktree(root, commit)), Build("now", root)]
    for build in builds:
        check_imports(build)
    _prepare(builds[1], name)
    measured: dict[str, list[dict[str, float]]] = {build.label: [] for build in builds}
    for turn in range(turns):
        for build in builds if turn % 2 == 0 else builds[::-1]:
            print(f"turn {turn + 1} of {turns}: {build.label}", file=sys.stderr, flush=True)
            measured[build.label].append(measure(build, name, arguments))
    before, now = (medians(measured[build.label]) for build in builds)
    return Comparison(rev=rev, commit=commit, turns=turns, before=before, now=now)


def checkout(root: Path) -> Path:
    """Return `root`. Raises ValueError where it is not the top of a git checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root:
        raise ValueError(
            f"--before needs a git checkout of Kinora, and {root} is not one: clone the repository"
        )
    return root


def resolve(root: Path, rev: str) -> str:
    """Return the full hash of a revision."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if commit is None:
        raise ValueError(f"--before: no commit `{rev}` in {root}; `git fetch` it, or name another")
    return commit


def add_worktree(root: Path, commit: str) -> Path:
    """Return a clean worktree of `commit` below `.bench/before/`, an existing one where it is intact."""
    path = root / ".bench" / "before" / commit
    if not _is_intact(path, commit):
        rmtree(path, ignore_errors=True)
        if _git(root, "worktree", "add", "--quiet", "--detach", "--force", str(path), commit) is None:
            raise ChildProcessError(f"git could not make a worktree of {commit} in {path}")
    for name in CACHES:
        (root / name).mkdir(exist_ok=True)
        if not (path / name).exists():
            (path / name).symlink_to(root / name, target_is_directory=True)
    return path


def _is_intact(path: Path, commit: str) -> bool:
    if not (path / ".git").exists() or _git(path, "rev-parse", "HEAD") != commit:
        return False
    return _git(path, "status", "--porcelain", "--untracked-files=no") == ""


def check_imports(build: Build) -> None:
    """Raise ChildProcessError unless a build's interpreter finds each package in the build's own checkout."""
    names = sorted(path.parent.name for path in build.root.glob("*/__init__.py"))
    command = [sys.executable, "-c", _ORIGIN, "kinora", *names]
    done = subprocess.run(
        command, cwd=build.root, env=build.env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChildProcessError(f"{build.label}: Python does not start\n{_last_lines(done.stderr)}")
    for name, origin in json.loads(done.stdout).items():
        if origin is None or not Path(origin).resolve().is_relative_to(build.root.resolve()):
            raise ChildProcessError(
                f"{build.label}: `{name}` is imported from {origin}, not from {build.root}"
            )


def _prepare(build: Build, name: str) -> None:
    """Fetch inputs and install peers, so that no turn is charged for it."""
    command = [sys.executable, "-c", _PREPARE, name]
    done = subprocess.run(
        command, cwd=build.root, env=build.env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChildProcessError(f"{build.label}: `{name}` cannot be prepared\n{_last_lines(done.stderr)}")


def measure(build: Build, name: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run a benchmark by a build's own command line; return its figures, and `cpu_s` and `wall_s` of it."""
    command = [sys.executable, "-m", "kinora", "bench", name, *arguments, "--json"]
    done = cpu_time.run(command, cwd=build.root, env=build.env())
    if done.code:
        raise ChildProcessError(
            f"{build.label}: `kinora {' '.join(command[3:])}` ended with exit code {done.code}\n"
            f"{_last_lines(done.stderr)}"
        )
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    return figures | {"cpu_s": round(done.cpu_s, 3), "wall_s": round(done.wall_s, 3)}


def medians(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the turns that measured it."""
    names = dict.fromkeys(name for figures in turns for name in figures)
    return {name: median(figures[name] for figures in turns if name in figures) for name in names}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None when it fails."""
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-8:])


def _format(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
