"""Write the table of expected outcomes anew: `python tests/golden/regenerate.py`. Look at the difference
before you keep it: each changed line is a file that now reads differently.

The table holds the named cases, the truncated files, and every codec in every container. Mutated files are
not in it: of those the tests only ask that they end well.
"""

import json
import tempfile
from collections import Counter
from pathlib import Path

import golden_formats
import golden_run
from golden_cases import make_cases, make_mutated, make_truncated

TABLE = Path(__file__).with_name("expected.json")


def make_formats(root: Path, counts: Counter[str], quick: bool = False) -> dict[str, Path]:
    """Write every codec in every container."""
    root.mkdir(parents=True)
    paths = {}
    for name, content in golden_formats.files(counts, quick):
        paths[f"format/{name}"] = root / name
        paths[f"format/{name}"].write_bytes(content)
    return paths


def main() -> None:
    """Make the corpus, read it, print how many files had which outcome, and write the table."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kinds = {
            "named": make_cases(root / "named"),
            "truncated": make_truncated(root / "truncated"),
            "format": make_formats(root / "format", counts),
            "mutated": make_mutated(root / "mutated"),
        }
        table = {}
        for kind, paths in kinds.items():
            results = dict(zip(paths, golden_run.run(paths.values()), strict=True))
            print(f"{kind}: {len(paths)}", dict(golden_run.count(results.values()).most_common()))
            bad = {n: r.problem for n, r in results.items() if r.outcome.startswith(("ESC", "CRA", "HANG"))}
            print(*bad.items(), sep="\n")
            if kind != "mutated":
                table |= {name: result.row for name, result in results.items()}
    print("codecs in containers:", dict(counts), "encoders refused:", *golden_formats.encoders()[1])
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
