"""Run Data-Juicer on the work of `kinora curate`: scene split with encoding, duration, aspect, motion.

It is installed into `.bench/data_juicer` on first use. Only the time that it logs for its operators counts,
not its start or export. It runs its default executor, not the one on Ray: the scene split, nearly all of its
time, is the same function in both.
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
"""Data-Juicer, what it imports for these operators, and imageio-ffmpeg for the `ffmpeg` that it calls."""
_DONE = re.compile(r"\] OP \[(\w+)\] Done in ([\d.]+)s\. Left (\d+) samples")
_OPERATORS = (
    "video_split_by_scene_mapper",
    "video_duration_filter",
    "video_aspect_ratio_filter",
    "video_motion_score_filter",
)


def installed(home: Path = HOME) -> Path:
    """Return the environment's `bin` folder; create the environment if missing."""
    bin_dir = (home / "bin").absolute()
    if not (bin_dir / "ffmpeg").exists():
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(bin_dir / "python"), "-m", "pip", "install", "-q", *PACKAGES])
        code = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
        (bin_dir / "ffmpeg").symlink_to(_run([str(bin_dir / "python"), "-c", code]).strip())
    return bin_dir


def seconds(paths: Sequence[str], folder: Path, workers: int) -> dict[str, float]:
    """Run it on `paths`; return seconds by operator. Raises RuntimeError if an operator skipped files."""
    bin_dir = installed()
    dataset, config = folder / "in.jsonl", folder / "config.json"  # JSON is YAML
    rows = [{"text": "<__dj__video>", "videos": [str(Path(path).absolute())]} for path in paths]
    dataset.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "clips").mkdir(exist_ok=True)
    process = [
        {"video_split_by_scene_mapper": {"save_dir": str(folder / "clips")}},
        {"video_duration_filter": {"min_duration": 0.0, "video_backend": "av"}},
        {"video_aspect_ratio_filter": {"min_ratio": "1/10", "max_ratio": "10/1"}},
        {"video_motion_score_filter": {"min_score": 0.0}},
    ]
    content = {
        "project_name": "peer",
        "dataset_path": str(dataset),
        "export_path": str(folder / "out" / "out.jsonl"),
        "np": workers,
        "open_monitor": False,
        "process": process,
    }
    config.write_text(json.dumps(content))
    caches = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "DATA_JUICER_CACHE_HOME": str(folder)}
    path = f"{bin_dir}{os.pathsep}{os.environ.get('PATH', '')}"
    log = _run([str(bin_dir / "dj-process"), "--config", str(config)], os.environ | caches | {"PATH": path})
    return operators(log, len(paths))


def operators(log: str, files: int) -> dict[str, float]:
    """Parse the seconds of each operator from a log. Raises RuntimeError if an operator skipped files."""
    done = {name: (float(taken), int(left)) for name, taken, left in _DONE.findall(log)}
    skipped = [name for name in _OPERATORS if done.get(name, (0, 0))[1] != files]
    if skipped:
        raise RuntimeError(f"Data-Juicer did not do {', '.join(skipped)} on {files} files:\n{log[-2000:]}")
    return {name: done[name][0] for name in _OPERATORS}


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr
