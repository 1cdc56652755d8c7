"""Count the modules of each package, the imports between them, and their import layers.

    python benchmarks/layers.py [ROOT]

`layers` is the longest chain of imports, with the modules of a cycle counted as one; `cyclic` counts those.
Each package is counted twice: by module, and by its direct children, where a folder counts as one.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grimp

PACKAGES = ("video", "worlds", "manifests", "captioner", "pipeline", "trainer", "kinora", "benchmarks")
Graph = Mapping[str, frozenset[str]]
"""By module, the modules that it imports."""


@dataclass(frozen=True, slots=True)
class Count:
    """The size and shape of one import graph."""

    modules: int
    imports: int
    layers: int
    cyclic: int


def import_graph(package: str) -> Graph:
    """Return the imports between the modules of `package`, tests and other packages apart."""
    graph = grimp.build_graph(package, cache_dir=None)
    found = {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    parents = {module.rpartition(".")[0] for module in found}
    return {module: names for module, names in found.items() if names or module not in parents}


def by_child(graph: Graph, package: str) -> Graph:
    """Merge the modules below each direct child of `package`."""

    def child(module: str) -> str:
        return ".".join(module.split(".")[: package.count(".") + 2])

    merged: dict[str, set[str]] = {}
    for module, names in graph.items():
        merged.setdefault(child(module), set()).update(map(child, names))
    return {name: frozenset(names - {name}) for name, names in merged.items()}


def cycles(graph: Graph) -> list[frozenset[str]]:
    """Return the sets of modules that import each other, directly or not."""
    above = {module: _reachable(graph, module) for module in graph}
    groups = {
        frozenset(other for other in above[module] if module in above.get(other, ())) for module in graph
    }
    return sorted((group for group in groups if group), key=sorted)


def count(graph: Graph) -> Count:
    """Count modules, imports, layers and modules in a cycle."""
    in_cycles = cycles(graph)
    group_of = {module: group for group in in_cycles for module in group}

    @cache
    def height(node: str | frozenset[str]) -> int:
        members = {node} if isinstance(node, str) else node
        below = {name for member in members for name in graph.get(member, ())} - members
        return 1 + max((height(group_of.get(name, name)) for name in below), default=0)

    return Count(
        modules=len(graph),
        imports=sum(len(names) for names in graph.values()),
        layers=max((height(group_of.get(module, module)) for module in graph), default=0),
        cyclic=len(group_of),
    )


def _reachable(graph: Graph, module: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [*graph[module]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, ())
    return frozenset(seen)


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    sys.path.insert(0, str(root))
    print(f"{'':12} {'by module':>32}   {'by child of the package':>32}")
    titles = f"{'modules':>8}{'imports':>8}{'layers':>8}{'cyclic':>8}"
    print(f"{'package':12} {titles}   {titles}")
    for package in PACKAGES:
        graph = import_graph(package)
        counts = (count(graph), count(by_child(graph, package)))
        cells = [f"{c.modules:8}{c.imports:8}{c.layers:8}{c.cyclic:8}" for c in counts]
        print(f"{package:12} {cells[0]}   {cells[1]}")


if __name__ == "__main__":
    main()
