"""Train the weights that ship: `python -m kinora.training.shipped --out DIR`, or `make weights`.

Renders worlds into shards, trains the VAE, then its decoder alone, encodes, and trains the transformer, first
on stills, then on stills and videos, each as a `kinora` command of its own, and writes both networks in
bfloat16 to `weights/`. Run it again to go on where it was stopped; docs/training-shipped.md tells what it
costs.
"""

import argparse
import csv
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trainer
from kinora.training.shipped_worlds import EVERYTHING, STILLS, Mixture, write_worlds
from trainer.model_files import DIT, VAE
from trainer.run.logs import logged_rows

CONFIGS = Path(str(trainer.__file__)).with_name("configs")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedConfig:
    """What the weights are trained on, and for how long; the recipes are trainer/configs/*_shipped.yaml."""

    out: Path
    num_worlds: int = 24_000
    num_stills: int = 12_000
    """Further worlds of one frame, which the transformer is trained on first."""
    processes: int = 2
    """Processes that render, encode and train, one thread each."""
    seed: int = 0
    vae_steps: int | None = None
    """Optimizer steps, by default those of the recipe."""
    decoder_steps: int | None = None
    """Further steps of its decoder alone."""
    still_steps: int | None = None
    """Steps of the transformer on stills, by default those of the recipe."""
    dit_steps: int | None = None
    vae: Path | None = None
    """Folder of a VAE to take instead of training one, or `shipped`."""


def train_shipped(config: ShippedConfig) -> None:
    """Run what is left of all steps. Raises ChildProcessError where a command fails."""
    out = config.out
    shards, stills = out / "shards", out / "stills"
    _write(config, shards, config.num_worlds, config.seed, EVERYTHING)
    _write(config, stills, config.num_stills, config.seed + 1, STILLS)
    if config.vae is None:
        _train(config, "vae", out / "vae", shards, config.vae_steps, [])
        kept = ["--model.keep_encoder_of", str(out / "vae")]
        _train(config, "vae_decoder", out / "vae_decoder", shards, config.decoder_steps, kept)
        _export(out / "vae_decoder", VAE, out / "weights")
    vae = str(config.vae or out / "weights")
    for root in (stills, shards):
        run_kinora("encode", "--shards", f"{root}", "--vae", vae, "--processes", str(config.processes))
    model = ["--model.vae", vae]
    _train(config, "dit_stills", out / "dit_stills", stills, config.still_steps, model)
    _train(config, "dit", out / "dit", shards, config.dit_steps, model, init_from=out / "dit_stills")
    _export(out / "dit", DIT, out / "weights")
    write_curves(
        [out / name for name in ("vae", "vae_decoder", "dit_stills", "dit")], out / "weights" / "training.csv"
    )


def _write(config: ShippedConfig, root: Path, count: int, seed: int, mixture: Mixture) -> None:
    written = write_worlds(root, count, seed=seed, processes=config.processes, progress=_say, mixture=mixture)
    _say(f"{root}: {written} worlds rendered, {count - written} were there")


def _train(
    config: ShippedConfig,
    recipe: str,
    run: Path,
    shards: Path,
    steps: int | None,
    flags: list[str],
    *,
    init_from: Path | None = None,
) -> None:
    length = [] if steps is None else ["--max_steps", str(steps)]
    words = train_words(recipe, run, shards, seed=config.seed, processes=config.processes)
    start = [] if init_from is None or "--resume" in words else ["--init_from", str(init_from)]
    run_kinora(*words, *flags, *length, *start)


def train_words(recipe: str, run: Path, shards: Path, *, seed: int, processes: int) -> list[str]:
    """Return the command that trains a network by `trainer/configs/<recipe>_shipped.yaml`.

    It goes on from the newest checkpoint of the run; a run at its last step exports again.
    """
    network = recipe.split("_")[0]
    inputs = ["--config", str(CONFIGS / f"{recipe}_shipped.yaml"), "--data.shards", str(shards)]
    seeds = ["--data.seed", str(seed), "--seed_everything", str(seed)]
    devices = ["--trainer.devices", str(processes)]
    resume = ["--resume"] if any(run.glob("checkpoints/*.ckpt")) else []
    return ["train", network, "fit", *inputs, *seeds, "--out", str(run), *devices, *resume]


def _export(run: Path, name: str, out: Path) -> None:
    """Write the network of a run with its matrices in bfloat16; the transformer trains on the latents of such
    a VAE."""
    import torch

    from trainer.checkpoints import load_dit, load_vae, save_model

    if name == VAE:
        model, about = load_vae(run)
        matrices = [each for each in model.encoder_parameters() if each.ndim > 1]
        if any(not torch.equal(each, each.bfloat16().float()) for each in matrices):
            about.pop("latents_digest", None)  # an encoder that is rounded makes latents of its own
    else:
        model, about = load_dit(run)
    rest = {key: value for key, value in about.items() if key not in ("config", "digest")}
    digest = save_model(out, name, model, rest, matrices=torch.bfloat16)
    _say(f"{out}/{name}.safetensors: digest {digest}")


def write_curves(runs: Sequence[Path], path: Path) -> None:
    """Write what the runs logged, losses and validations, to one table; an absent run has no rows."""
    names = ("train/loss", "val/psnr_db", "val/loss")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "step", *names])
        for run in runs:
            for row in logged_rows(run):
                values = [f"{float(row[name]):.5g}" if row.get(name) else "" for name in names]
                if any(values):
                    writer.writerow([run.name, row["step"], *values])


def run_kinora(*words: str) -> None:
    """Run a command of `kinora`."""
    _say(f"$ kinora {shlex.join(words)}")
    code = subprocess.run([sys.executable, "-m", "kinora", *words], check=False).returncode
    if code:
        raise ChildProcessError(f"`kinora {shlex.join(words)}` ended with exit code {code}; run this again")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(args: list[str]) -> int:
    """Parse `args` and train."""
    parser = argparse.ArgumentParser(prog="python -m kinora.training.shipped", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards and both runs")
    for name in ("num-worlds", "num-stills", "processes", "seed"):
        default = getattr(ShippedConfig(out=Path()), name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    for name in ("vae-steps", "decoder-steps", "still-steps", "dit-steps"):
        parser.add_argument(f"--{name}", type=int, help="default: those of the recipe")
    parser.add_argument("--vae", type=Path, help="folder of a VAE, or `shipped`: train the transformer alone")
    try:
        train_shipped(ShippedConfig(**vars(parser.parse_args(args))))
    except ChildProcessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
