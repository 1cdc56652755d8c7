"""The named cases of the corpus, its truncated and its mutated files.

A case is a function that puts one file, or what stands in its place, into an empty folder and returns its
path.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from golden_contents import BASES, SEED, contents
from golden_kinds import kinds

Case = Callable[[Path], Path]
MUTATIONS, TRUNCATIONS = 500, 20
MUTATED = (
    "h264.mp4",
    "vp9.webm",
    "mpeg4.avi",
    "mpeg2.ts",
    "photo.jpg",
    "photo.webp",
    "gif.gif",
    "photo.avif",
)
"""The bases that are mutated."""


def cases() -> dict[str, Case]:
    """Return all named cases: those of `contents` and `kinds`, what is no plain file, and odd names."""
    made = contents() | kinds()
    found: dict[str, Case] = {name: _writes(Path(name).name, make) for name, make in made.items()}
    good = BASES["h264.mp4"]
    odd = {
        "spaces": "a film with spaces.mp4",
        "quotes": 'it\'s "quoted" `so` $HOME.mp4',
        "newline": "two\nlines.mp4",
        "non-ascii": "фильм 映画 🎬 é.mp4",
        "not-utf-8": os.fsdecode(b"latin-\xe9.mp4"),
        "longest": "x" * 251 + ".mp4",
        "glob": "[a-z]*?{1}.mp4",
        "percent": "100%25 %d %s.mp4",
        "protocol": "concat:a|b.mp4",
        "dash": "-i.mp4",
        "url": "http:..host.mp4",
    }
    for name, file_name in odd.items():
        found[f"name/{name}"] = lambda root, file_name=file_name: _write(root / file_name, good())
    found |= {
        "place/folder": lambda root: _folder(root / "folder.mp4"),
        "place/pipe": lambda root: _pipe(root / "pipe.mp4"),
        "place/gone": lambda root: root / "gone.mp4",
        "place/too-long": lambda root: root / ("x" * 300 + ".mp4"),
        "place/link": lambda root: _link(_write(root / "real.mp4", good()), root / "link.mp4"),
        "place/dangling": lambda root: _link(root / "nowhere.mp4", root / "dangling.mp4"),
        "place/loop-of-one": lambda root: _link(root / "self.mp4", root / "self.mp4"),
        "place/loop-of-two": lambda root: _link(_link(root / "b.mp4", root / "a.mp4"), root / "b.mp4"),
    }
    if os.geteuid():  # root may read everything
        found["place/forbidden"] = lambda root: _forbidden(_write(root / "secret.mp4", good()))
    return found


def truncated(content: bytes, number: int) -> bytes:
    """Return `content` without its end: cut at the `number`-th of `TRUNCATIONS` places, evenly spread."""
    return content[: len(content) * (number + 1) // (TRUNCATIONS + 1)]


def mutated(contents: list[bytes], number: int) -> bytes:
    """Return one of `contents` with up to 24 bytes changed, half of the time within its first 600."""
    draw = np.random.default_rng([SEED, number])
    media = bytearray(contents[number % len(contents)])
    reach = len(media) if number % 2 else min(len(media), 600)
    for place in draw.integers(0, reach, draw.integers(1, 25)):
        media[place] = draw.integers(256)
    return bytes(media)


def make_cases(root: Path) -> dict[str, Path]:
    """Write every named case below `root`; return their paths."""
    paths = {}
    for name, case in cases().items():
        folder = root / name
        folder.mkdir(parents=True)
        paths[name] = case(folder)
    return paths


def make_truncated(root: Path) -> dict[str, Path]:
    """Write every base cut at every place."""
    root.mkdir(parents=True)
    paths = {}
    for base, make in BASES.items():
        content = make()
        for number in range(TRUNCATIONS):
            paths[f"truncated/{base}/{number:02d}"] = _write(
                root / f"{number:02d}-{base}", truncated(content, number)
            )
    return paths


def make_mutated(root: Path, count: int = MUTATIONS) -> dict[str, Path]:
    """Write the first `count` mutated files."""
    root.mkdir(parents=True)
    contents = [BASES[name]() for name in MUTATED]
    paths = {}
    for number in range(count):
        base = MUTATED[number % len(MUTATED)]
        paths[f"mutated/{number:03d}"] = _write(root / f"{number:03d}-{base}", mutated(contents, number))
    return paths


def _writes(name: str, make: Callable[[], bytes]) -> Case:
    return lambda root: _write(root / name, make())


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _link(target: Path, path: Path) -> Path:
    path.symlink_to(target)
    return path


def _forbidden(path: Path) -> Path:
    path.chmod(0)
    return path
