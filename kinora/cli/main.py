"""The command line: picks a command from argv, imports that one module, and runs it.

A command module holds either `Config` and `run(config) -> Result`, with an optional `POSITIONAL` field
name, or `main(args) -> int` where another parser (LightningCLI) takes over.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import zip_longest
from typing import Any, get_type_hints

from kinora.cli.result import Exit, Result

COMMANDS = {
    "demo": "the whole journey, raw clips to generated video, on one page",
    "worlds render": "make raw videos of simulated worlds, with their truth",
    "worlds judge": "measure a video, or a caption, against what it should show",
    "curate": "raw videos to clips: probe, shots, analysis, selection, cut",
    "caption": "write a new version of the captions; nothing is cut again",
    "pack": "clips to WebDataset shards, by aspect ratio and duration",
    "status": "the funnel: what came in, what was kept, dropped and failed",
    "failures": "what failed, why, and what to do about it",
    "retry": "run only what failed, again",
    "explain": "why a clip was kept or dropped",
    "captions sample": "print captions that a person can read",
    "captions check": "does a dataset add up: parts, digests, rows, orphans",
    "encode": "pre-compute latents and text states beside the shards",
    "train vae": "train the video compression network (fit, validate)",
    "train dit": "train the diffusion transformer (fit, validate)",
    "train captioner": "train the captioner that ships here (fit, validate)",
    "generate": "a prompt in, a video out",
    "report": "one page on a dataset, or on a finished demo run",
    "bench": "measure one thing against a limit or a peer",
}

_QUIET = {
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _command(args)
        sys.stdout.flush()  # here, where a reader that left is no error
        return code
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (ValueError, OSError) as error:
        if os.environ.get("KINORA_DEBUG"):
            raise
        return _refuse(f"{error}\n(KINORA_DEBUG=1 shows where this was raised)")
    except KeyboardInterrupt:
        print("stopped; what was committed is kept, run the same command to go on", file=sys.stderr)
        return 130


def _command(args: list[str]) -> int:
    name, rest = _split(args)
    if name not in COMMANDS:
        return _overview(args)
    module = import_module("kinora.commands." + name.replace(" ", "_"))
    if hasattr(module, "main"):
        return int(module.main([_underscored(word) for word in rest]) or 0)
    return _run(name, module, rest)


def _split(args: list[str]) -> tuple[str, list[str]]:
    """Split argv into the command's name (one or two words) and its own arguments."""
    for words in (2, 1):
        if " ".join(args[:words]) in COMMANDS:
            return " ".join(args[:words]), args[words:]
    return "", args


def _overview(args: list[str]) -> int:
    if args and args[0] in ("--version", "-V"):
        from importlib.metadata import version

        print(f"kinora {version('kinora')}")
        return Exit.DONE
    words = [word for word in args[:2] if not word.startswith("-")]
    group = [name for name in COMMANDS if words and name.startswith(words[0] + " ")]
    if not words or (group and len(words) == 1):
        print(_usage(group or list(COMMANDS)))
        return Exit.DONE if {"--help", "-h"} & {*args} else Exit.USAGE
    asked = " ".join(words) if group else words[0]
    near = get_close_matches(asked, COMMANDS, n=1)
    hint = f"; did you mean `kinora {near[0]}`?" if near else ""
    return _refuse(f"no command `{asked}`{hint} `kinora --help` lists them")


def _usage(names: list[str]) -> str:
    lines = [f"  {name:<16} {COMMANDS[name]}" for name in names]
    head = "usage: kinora COMMAND [--config FILE.yaml] [--FIELD VALUE …] [--json]"
    return "\n".join([head, "", *lines, "", "`kinora COMMAND --help` tells a command's fields."])


def _run(name: str, module: Any, args: list[str]) -> int:
    config, as_json = _parse(name, module, args)
    result: Result = module.run(config)
    if as_json:
        print(json.dumps(result.data, default=str))
    elif isinstance(result.text, str):
        print(result.text)
    else:
        from rich.console import Console

        Console(highlight=False).print(result.text)
    return int(result.exit)


def _parse(name: str, module: Any, args: list[str]) -> tuple[Any, bool]:
    """Build the command's configuration from its flags and files. Exits with 2 on bad usage."""
    from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

    from manifests.renamed_flags import rename_args

    args = rename_args(args, module.Config)
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    summary = (module.__doc__ or "").strip().split("\n\n")[0]
    parser = ArgumentParser(prog=f"kinora {name}", description=summary, exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the fields below")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    positional = getattr(module, "POSITIONAL", None)
    if positional:
        parser.add_argument(positional, type=str, help=f"the {positional}")
    parser.add_class_arguments(module.Config, as_group=False, skip={positional} if positional else None)
    parser.format_help = _with_dashes(parser.format_help)  # type: ignore[method-assign]
    flags = {action.dest for action in parser._actions}
    try:
        known = parser.parse_args(_normalise(args, module.Config))
    except (ArgumentError, TypeError, KeyError) as error:
        raise SystemExit(_refuse(_explain(str(error), flags, name))) from None
    values = dict(vars(parser.instantiate_classes(known)))
    as_json = values.pop("json")
    values.pop("config", None)
    return module.Config(**values), as_json


def _normalise(args: list[str], config: type) -> list[str]:
    """Take `--dry-run` for the field `dry_run`, `-o` for `out`, and a bare yes/no flag for yes."""
    yes_no = set(_yes_no(config))
    out: list[str] = []
    for word, following in zip_longest(args, args[1:], fillvalue="--"):
        word = "--out" if word == "-o" else _underscored(word)
        if word.removeprefix("--") in yes_no and following.lower() not in ("true", "false"):
            word += "=true"
        out.append(word)
    return out


def _underscored(word: str) -> str:
    """Write a flag's name as a field's: `--dry-run=x` becomes `--dry_run=x`; other words stay."""
    flag, equals, value = word.partition("=")
    if not re.match(r"--[A-Za-z]", flag):
        return word
    return "--" + flag[2:].replace("-", "_") + equals + value


def _yes_no(config: type, prefix: str = "") -> list[str]:
    """Return the dotted names of all bool fields of a configuration."""
    hints = get_type_hints(config)
    names = []
    for field in fields(config):
        hint = hints[field.name]
        if hint is bool:
            names.append(prefix + field.name)
        elif isinstance(hint, type) and is_dataclass(hint):
            names += _yes_no(hint, f"{prefix}{field.name}.")
    return names


def _with_dashes(format_help: Any) -> Any:
    return lambda: re.sub(r"--[a-z][\w.]*", lambda found: found[0].replace("_", "-"), format_help())


def _explain(message: str, flags: set[str], name: str) -> str:
    """Add the nearest right key to a message about a wrong one."""
    wrong = re.search(r"(?:--|[Kk]ey [\"']|Option ')([\w.-]+)", message)
    if not wrong or wrong[1].replace("-", "_") in flags:
        return f"{message}\n`kinora {name} --help` tells the fields"
    near = get_close_matches(wrong[1].replace("-", "_"), sorted(flags), n=1, cutoff=0.5)
    hint = f"; did you mean `{near[0].replace('_', '-')}`?" if near else ""
    return f"no field `{wrong[1]}`{hint} `kinora {name} --help` tells the fields"


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return Exit.USAGE
