"""Data-Juicer at the same work as `kinora curate`: scene split with encoding, duration, aspect, motion.

It lives in an environment of its own below .bench, made when it is first needed. What counts is the time
that it logs for its operators: neither its start nor the export. Its default executor is run, not that on
Ray: the scene split, nearly all of its time, is the same function in both.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOME = Path(".bench/data_juicer")
PACKAGES = (
    "py-data-juicer==1.6.1",
    "aiohttp",
    "av==13.1.0",
    "boto3",
    "ffmpeg-python",
    "imageio-ffmpeg",
    "opencv-contrib-python-headless",
    "ray[default]>=2.51.0",
    "s3fs",
    "scenedetect",
)
"""Itself, and what it imports for these operators; imageio-ffmpeg brings the `ffmpeg` that it calls."""
_DONE = re.compile(r"\] OP \[(\w+)\] Done in ([\d.]+)s\. Left (\d+) samples")
_OPERATORS = (
    "video_split_by_scene_mapper",
    "video_duration_filter",
    "video_aspect_ratio_filter",
    "video_motion_score_filter",
)


def installed(home: Path = HOME) -> Path:
    """Return the folder of its programs; make the environment if there is none."""
    programs = (home / "bin").absolute()
    if not (programs / "ffmpeg").exists():
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(programs / "python"), "-m", "pip", "install", "-q", *PACKAGES])
        where = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
        (programs / "ffmpeg").symlink_to(_run([str(programs / "python"), "-c", where]).strip())
    return programs


def seconds(paths: Sequence[str], folder: Path, workers: int) -> dict[str, float]:
    """Return seconds by operator. RuntimeError where it did not do the whole work."""
    programs = installed()
    listed, config = folder / "in.jsonl", folder / "config.json"  # JSON is YAML
    rows = [{"text": "<__dj__video>", "videos": [str(Path(path).absolute())]} for path in paths]
    listed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "clips").mkdir(exist_ok=True)
    process = [
        {"video_split_by_scene_mapper": {"save_dir": str(folder / "clips")}},
        {"video_duration_filter": {"min_duration": 0.0, "video_backend": "av"}},
        {"video_aspect_ratio_filter": {"min_ratio": "1/10", "max_ratio": "10/1"}},
        {"video_motion_score_filter": {"min_score": 0.0}},
    ]
    content = {
        "project_name": "peer",
        "dataset_path": str(listed),
        "export_path": str(folder / "out" / "out.jsonl"),
        "np": workers,
        "open_monitor": False,
        "process": process,
    }
    config.write_text(json.dumps(content))
    homes = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "DATA_JUICER_CACHE_HOME": str(folder)}
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    log = _run([str(programs / "dj-process"), "--config", str(config)], os.environ | homes | {"PATH": path})
    return operators(log, len(paths))


def operators(log: str, files: int) -> dict[str, float]:
    """Return the seconds that a log tells of each operator. RuntimeError where one lost files."""
    done = {name: (float(taken), int(left)) for name, taken, left in _DONE.findall(log)}
    short = [name for name in _OPERATORS if done.get(name, (0, 0))[1] != files]
    if short:
        raise RuntimeError(f"Data-Juicer did not do {', '.join(short)} on {files} files:\n{log[-2000:]}")
    return {name: done[name][0] for name in _OPERATORS}


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr
