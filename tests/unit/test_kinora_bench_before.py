"""A benchmark runs on this checkout and on an older commit of it, in turns."""

import subprocess
from pathlib import Path
from shutil import rmtree

import pytest
from rich.console import Console

from kinora.bench.before import (
    Build,
    Comparison,
    add_worktree,
    check_imports,
    checkout,
    compare,
    medians,
    resolve,
)

MAIN = """
import json, os, sys
from pathlib import Path
import benchmarks
assert sys.argv[1] == "bench" and sys.argv[-1] == "--json"
if sys.argv[2] != "speed":
    sys.exit("error: no benchmark `" + sys.argv[2] + "`")
log = Path(".bench/order.txt")
turns = log.read_text().split() if log.exists() else []
log.write_text(" ".join([*turns, benchmarks.WHO]))
print("a line for people")
is_own = float(Path.cwd() == Path(__file__).parents[1])
figures = benchmarks.FIGURES | {"turn": len(turns), "folder_is_own": is_own}
print(json.dumps({"bench": "speed", "figures": figures, "arguments": sys.argv[3:]}))
"""


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(root), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def write(root: Path, who: str, figures: dict[str, float]) -> None:
    for name, text in {
        "kinora/__init__.py": "",
        "kinora/__main__.py": MAIN,
        "benchmarks/__init__.py": f"WHO = {who!r}\nFIGURES = {figures!r}\n",
        "benchmarks/speed.py": "",
        ".gitignore": ".bench/\n.cache/\n",
    }.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with one commit and a change that is not committed."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q")
    write(root, "old", {"seconds": 4.0, "gone": 1.0, "zero": 0.0})
    git(root, "add", ".")
    git(root, "commit", "-qm", "old")
    write(root, "new", {"seconds": 3.0, "more": 2.0, "zero": 1.0})
    return root


def test_both_builds_run_in_turns_that_alternate_who_goes_first(root, capsys):
    both = compare(root, "speed", "HEAD", turns=3)
    assert (root / ".bench" / "order.txt").read_text() == "old new new old old new"
    assert both.commit == git(root, "rev-parse", "HEAD")
    assert (both.before["seconds"], both.now["seconds"]) == (4.0, 3.0)
    assert (both.before["turn"], both.now["turn"]) == (3, 2)
    assert both.before["folder_is_own"] == both.now["folder_is_own"] == 1.0
    assert min(both.before["cpu_s"], both.now["cpu_s"]) > 0
    assert capsys.readouterr().err.splitlines()[2] == "turn 2 of 3: now"


def test_ratios_are_now_over_before_of_the_figures_that_both_have(root):
    both = compare(root, "speed", "HEAD", turns=1)
    ratios = both.ratios()
    assert ratios["seconds"] == 0.75
    assert ratios["zero"] is None
    assert "gone" not in ratios
    assert "more" not in ratios
    assert ratios["cpu_s"] is not None


def test_the_table_shows_figures_of_either_build_in_80_columns():
    figures = {f"a_name_of_the_length_that_figures_have_{n}": 123456.789 for n in range(2)}
    both = Comparison(
        rev="main", commit="0123456789" * 4, turns=5, before={"gone": 1.0, **figures}, now=figures
    )
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(both.table())
    lines = capture.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["median", "of", "5", "before", "012345678", "now", "now/before"]
    assert lines[1].split() == [*list(figures)[:1], "123457", "123457", "1.000"]
    assert lines[-1].split() == ["gone", "1"]


def test_a_worktree_is_kept_by_commit_and_mended_where_it_is_not_intact(root):
    commit = resolve(root, "HEAD")
    path = add_worktree(root, commit)
    assert "old" in (path / "benchmarks" / "__init__.py").read_text()
    inode = path.stat().st_ino
    assert add_worktree(root, commit) == path
    assert path.stat().st_ino == inode
    (path / "benchmarks" / "__init__.py").write_text("changed")
    add_worktree(root, commit)
    assert "old" in (path / "benchmarks" / "__init__.py").read_text()
    rmtree(path)  # git still lists it
    add_worktree(root, commit)
    assert (path / ".bench").resolve() == (root / ".bench").resolve()
    check_imports(Build("before", path))


def test_a_build_whose_package_comes_from_elsewhere_is_refused(root, tmp_path):
    build = Build("before", add_worktree(root, resolve(root, "HEAD")))
    check_imports(build)
    rmtree(build.root / "kinora")
    with pytest.raises(ChildProcessError, match=r"before: `kinora` is imported from .*, not from"):
        check_imports(build)


def test_an_older_build_without_the_benchmark_is_named_with_what_it_said(root):
    with pytest.raises(
        ChildProcessError, match=r"before \(\w{9}\): .*exit code 1\nerror: no benchmark `other`"
    ):
        compare(prepared(root), "other", "HEAD", turns=1)


def prepared(root: Path) -> Path:
    """Add a benchmark that only this checkout knows."""
    (root / "benchmarks" / "other.py").write_text(
        "from pathlib import Path\ndef prepare():\n    Path('fetched').touch()\n"
    )
    return root


def test_inputs_are_fetched_before_the_first_turn(root):
    with pytest.raises(ChildProcessError):
        compare(prepared(root), "other", "HEAD", turns=1)
    assert (root / "fetched").exists()


def test_only_a_git_checkout_and_a_known_revision_are_accepted(root, tmp_path):
    assert checkout(root) == root
    with pytest.raises(ValueError, match="needs a git checkout of Kinora"):
        checkout(root / "kinora")
    with pytest.raises(ValueError, match="needs a git checkout of Kinora"):
        checkout(tmp_path)
    for rev in ("nosuch", "--all"):
        with pytest.raises(ValueError, match=f"no commit `{rev}`"):
            resolve(root, rev)


def test_a_median_is_over_the_turns_that_measured_a_figure():
    assert medians([{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": 9.0}]) == {"a": 3.0, "b": 5.0}
