"""The part of `kinora bench loader` on `kinora encode`: two processes against an older build, and what is
encoded again after one caption changed."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.loader_sets import write_clips
from kinora.bench import cpu_time
from kinora.bench.before import Build

ENCODE_LIMIT = 0.6
VAE_CHILD = Path(__file__).with_name("loader_child.py")


def measure_encode(builds: dict[str, Build], folder: Path, num_clips: int, seed: int) -> dict[str, float]:
    """Encode a set like the demo's with each build, and again after one caption changed.

    Elapsed time is what two processes can save; it needs an idle machine.
    """
    costs: dict[str, cpu_time.Finished] = {}
    for name, build in builds.items():
        shards, vae = folder / f"encode-{name}", folder / f"vae-{name}"
        write_clips(shards, num_clips, seed)
        run(build, ["-P", str(VAE_CHILD), "vae", str(vae), str(seed)])
        costs[name] = encode(build, shards, vae, 2 if name == "now" else None)
    now = folder / "encode-now"
    first = figures_of(costs["now"])
    write_clips(now, num_clips, seed, changed_caption=True)
    second = figures_of(encode(builds["now"], now, folder / "vae-now", 2))
    figures = {
        "encode_s": costs["now"].wall_s,
        "encode_cpu_s": costs["now"].cpu_s,
        "texts_encoded": first["texts_encoded"],
        "texts_reencoded": second["texts_encoded"],
        "clips_reencoded": second["encoded"],
    }
    if "before" not in costs:
        return figures
    return figures | {
        "before_encode_s": costs["before"].wall_s,
        "encode_over_before": costs["now"].wall_s / costs["before"].wall_s,
        "encode_cpu_over_before": costs["now"].cpu_s / costs["before"].cpu_s,
        "encode_limit": ENCODE_LIMIT,
    }


def encode(build: Build, shards: Path, vae: Path, processes: int | None) -> cpu_time.Finished:
    """Run `kinora encode` of a build, which may know one process only."""
    more = [] if processes is None else ["--processes", str(processes)]
    command = ["-m", "kinora", "encode", "--shards", str(shards), "--vae", str(vae), *more, "--json"]
    return run(build, command)


def run(build: Build, arguments: list[str]) -> cpu_time.Finished:
    """Run Python on a build. Raises ChildProcessError, with the last lines of its errors."""
    done = cpu_time.run([sys.executable, *arguments], cwd=build.root, env=build.env())
    if done.code:
        raise ChildProcessError(f"{build.label}: {' '.join(arguments)}: {done.stderr[-1000:]}")
    return done


def figures_of(done: cpu_time.Finished) -> dict[str, Any]:
    return json.loads(done.stdout.splitlines()[-1])
