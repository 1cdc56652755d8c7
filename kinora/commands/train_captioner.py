"""Train the captioner that ships here on simulated worlds, or measure how true its captions are.

fit: train, and export an ordinary transformers model folder. validate: caption worlds that were never
trained on, from real MP4 files, and judge every claim.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from captioner.embedded import FRAMES, RATE_HZ, load_embedded
from captioner.train.config import TrainConfig
from captioner.train.fit import fit
from kinora.cli.result import Exit
from kinora.training.caption_score import ScoreConfig, score_captioner
from kinora.training.caption_worlds import LOOK_CLASSES, draw_worlds, every_sentence
from manifests.renamed_flags import rename_args

CONFIGS = {"fit": TrainConfig, "validate": ScoreConfig}


def main(args: Sequence[str]) -> int:
    """Run `fit` or `validate`."""
    try:
        parser = build_parser()
        named = rename_args(args, CONFIGS.get(args[0], {}) if args else {})
        chosen = parser.instantiate(parser.parse_args(named))
    except ArgumentError as error:
        print(f"error: {error}\n`kinora train captioner --help` tells the fields", file=sys.stderr)
        return Exit.USAGE
    if chosen.subcommand == "validate":
        found = score_captioner(
            load_embedded(weights=chosen.validate.weights), _build(ScoreConfig, chosen.validate)
        )
        print(json.dumps(found, indent=None if chosen.validate.json else 2))
        return Exit.DONE
    config = _build(TrainConfig, chosen.fit)
    if config.look_classes != LOOK_CLASSES or config.model.frames != FRAMES:
        raise ValueError(
            f"set look_classes to {list(LOOK_CLASSES)} and model.frames to {FRAMES}, as worlds and the "
            f"captioner have them; the file has {list(config.look_classes)} and {config.model.frames}"
        )
    draw = partial(draw_worlds, config.seed, RATE_HZ, FRAMES)
    folder = fit(config, draw, every_sentence(), resume=chosen.fit.resume)
    print(f"exported to {folder}; measure it by `kinora train captioner validate --weights {folder}`")
    return Exit.DONE


def build_parser() -> ArgumentParser:
    """Return the parser of `kinora train captioner`."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    fitting = ArgumentParser(exit_on_error=False)
    fitting.add_argument("--config", action="config", help="YAML file with any of the fields below")
    fitting.add_argument(
        "--resume", type=str | None, default=None, help="checkpoint of a run that was stopped"
    )
    fitting.add_class_arguments(TrainConfig, as_group=False)
    judging = ArgumentParser(exit_on_error=False)
    judging.add_argument("--config", action="config", help="YAML file with any of the fields below")
    judging.add_argument(
        "--weights", type=str, default="", help="model folder; the shipped weights when left out"
    )
    judging.add_argument("--json", action="store_true", help="print one line of JSON")
    judging.add_class_arguments(ScoreConfig, as_group=False)
    parser = ArgumentParser(prog="kinora train captioner", description=__doc__, exit_on_error=False)
    commands = parser.add_subcommands()
    commands.add_subcommand("fit", fitting)
    commands.add_subcommand("validate", judging)
    return parser


def _build(kind, values):
    return kind(**{name: getattr(values, name) for name in kind.__dataclass_fields__})
