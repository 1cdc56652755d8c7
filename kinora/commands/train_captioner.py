"""Train the embedded captioner or scorer on simulated worlds, score them; fine-tune any other model.

fit: train, and export a standard transformers model folder. validate: caption held-out worlds from MP4
files, and score every claim against ground truth. lora: fine-tune a vision-language model of transformers by
low-rank adapters on the captions of a dataset or of worlds, and export it with the adapters merged. scorer:
train the embedded scorer, a small open_clip model, and measure how well it finds clips by their captions.
"""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from captioner.embedded import FPS, load_embedded
from captioner.embedded_scorer import EmbeddedScorer
from captioner.train.config import LoraConfig, ScorerConfig, TrainConfig
from captioner.train.lora import tune
from kinora.cli.result import Exit
from kinora.training.caption_score import ScoreConfig, score_captioner
from kinora.training.caption_worlds import NUM_CELL_CLASSES, sample_examples, vocabulary_texts
from kinora.training.captioner_run import train_captioner
from kinora.training.tuning_examples import TuneData, tuning_examples
from manifests.renamed_flags import rename_args
from trainer.run.ending import run_to_exit_code, say

CONFIGS = {"fit": TrainConfig, "validate": ScoreConfig, "lora": LoraConfig, "scorer": ScorerConfig}
_TUNE_LOG_STEPS, _SCORER_LOG_STEPS = 10, 50
"""Steps between lines that say the loss."""


def main(args: Sequence[str]) -> int:
    """Run `fit`, `validate`, `lora` or `scorer`."""
    try:
        parser = build_parser()
        named = rename_args(_with_newest(args), CONFIGS.get(args[0], {}) if args else {})
        parsed = parser.instantiate(parser.parse_args(named))
    except ArgumentError as error:
        print(f"error: {error}\nSee `kinora train captioner --help` for the options.", file=sys.stderr)
        return Exit.USAGE
    if parsed.subcommand == "validate":
        scores = score_captioner(
            load_embedded(weights=parsed.validate.weights), _from_namespace(ScoreConfig, parsed.validate)
        )
        print(json.dumps(scores, indent=None if parsed.validate.json else 2))
        return Exit.DONE
    if parsed.subcommand == "lora":
        return _tune(_from_namespace(LoraConfig, parsed.lora), parsed.lora.data)
    if parsed.subcommand == "scorer":
        return _train_scorer(_from_namespace(ScorerConfig, parsed.scorer))
    config = _from_namespace(TrainConfig, parsed.fit)
    if config.num_cell_classes != NUM_CELL_CLASSES:
        raise ValueError(
            f"num_cell_classes must be {list(NUM_CELL_CLASSES)}; got {list(config.num_cell_classes)}"
        )
    sample = partial(sample_examples, config.seed, FPS, config.model.frames)

    def run() -> None:
        folder = train_captioner(
            config, sample, vocabulary_texts(), resume=parsed.fit.resume, init_from=parsed.fit.init_from
        )
        say(f"exported to {folder}; score it with `kinora train captioner validate --weights {folder}`")

    words = ["kinora", "train", "captioner", *args, *(() if parsed.fit.resume else ("--resume",))]
    return run_to_exit_code(run, shlex.join(words))


def _tune(config: LoraConfig, data: TuneData) -> int:
    report = _step_reporter(config.steps, _TUNE_LOG_STEPS)
    folder = tune(config, tuning_examples(data, config.batch_size, config.seed), report)
    say(f"exported to {folder}; caption with --captioner.kind vlm --captioner.vlm.model {folder}")
    return Exit.DONE


def _train_scorer(config: ScorerConfig) -> int:
    from captioner.train.scorer import train_scorer  # imported here because it loads open_clip
    from kinora.training.scorer_worlds import measure_recall, render_pool, sample_pairs

    def rendered(done: int) -> None:
        if done % 5000 == 0 or done == config.worlds:
            say(f"{done} of {config.worlds} worlds rendered")

    report = _step_reporter(config.steps, _SCORER_LOG_STEPS)
    pool = render_pool(config, rendered)
    folder = train_scorer(config, partial(sample_pairs, config, pool), vocabulary_texts(), report)
    say(f"exported to {folder}")
    print(json.dumps(measure_recall(EmbeddedScorer(folder)), indent=2))
    return Exit.DONE


def _step_reporter(steps: int, every: int) -> Callable[[int, float], None]:
    """Return a function that says the loss of every so many steps, and of the last one."""

    def report(step: int, loss: float) -> None:
        if (step + 1) % every == 0 or step + 1 == steps:
            say(f"step {step + 1} of {steps}: loss {loss:.4f}")

    return report


def build_parser() -> ArgumentParser:
    """Return the parser of `kinora train captioner`."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    fit_parser = ArgumentParser(exit_on_error=False)
    fit_parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    fit_parser.add_argument(
        "--resume",
        type=str,
        default="",
        help="go on from the newest checkpoint in --out, or from the checkpoint that is named",
    )
    fit_parser.add_argument(
        "--init_from", type=str, default="", help="folder of a run whose weights a new run starts from"
    )
    fit_parser.add_class_arguments(TrainConfig, as_group=False)
    validate_parser = ArgumentParser(exit_on_error=False)
    validate_parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    validate_parser.add_argument(
        "--weights", type=str, default="", help="model folder; default: the shipped weights"
    )
    validate_parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    validate_parser.add_class_arguments(ScoreConfig, as_group=False)
    lora_parser = ArgumentParser(exit_on_error=False)
    lora_parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    lora_parser.add_class_arguments(LoraConfig, as_group=False)
    lora_parser.add_class_arguments(TuneData, "data")
    scorer_parser = ArgumentParser(exit_on_error=False)
    scorer_parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    scorer_parser.add_class_arguments(ScorerConfig, as_group=False)
    parser = ArgumentParser(prog="kinora train captioner", description=__doc__, exit_on_error=False)
    commands = parser.add_subcommands()
    commands.add_subcommand("fit", fit_parser)
    commands.add_subcommand("validate", validate_parser)
    commands.add_subcommand("lora", lora_parser)
    commands.add_subcommand("scorer", scorer_parser)
    return parser


def _with_newest(args: Sequence[str]) -> list[str]:
    """Give a bare `--resume` its value."""
    words: list[str] = []
    for word, following in zip_longest(args, args[1:], fillvalue="--"):
        words.append("--resume=newest" if word == "--resume" and following.startswith("--") else word)
    return words


def _from_namespace(config_class, values):
    names = config_class.__dataclass_fields__
    return config_class(**{name: getattr(values, name) for name in names})
