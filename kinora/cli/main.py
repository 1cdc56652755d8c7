"""Parse the command line, import the module of the selected command, and run it.

A command module defines either `Config` and `run(config) -> Result`, or `main(args) -> int` if it has a
parser of its own (LightningCLI). Beside `Config` it may define `POSITIONAL`, the names of fields, and
`WORDS`, the number of words of each flag that takes several or may be repeated.
"""

import errno
import json
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import zip_longest
from typing import Any, get_args, get_origin, get_type_hints

from kinora.cli.result import Exit, Result
from kinora.cli.terminal import Shown, without_controls
from kinora.cli.words import gather_words

COMMANDS = {
    "demo": "run every step, from raw video to a report page",
    "worlds render": "render raw videos of simulated worlds with ground truth",
    "worlds judge": "score a video or captions against ground truth",
    "curate": "turn raw videos into clips: detect shots, filter, cut",
    "caption": "caption the kept clips as a new caption version",
    "ask": "ask a model questions about the kept clips, as scores",
    "pack": "pack captioned clips into bucketed WebDataset shards",
    "status": "show the counts of every stage: kept, dropped, failed",
    "failures": "list failures with their causes and remedies",
    "retry": "rerun what failed",
    "explain": "show why a clip was kept or dropped",
    "review": "serve the review page of a dataset",
    "captions sql": "query a dataset with SQL, read-only",
    "captions sample": "print a random sample of captions",
    "captions diff": "compare two caption versions, or two commits",
    "captions stats": "show figures of each caption version",
    "captions card": "write a dataset card: sources, licences, captions, limits",
    "captions export": "export captions and clips in the format of another tool",
    "captions import": "import captions that you have as a caption version",
    "captions audit": "check captions against their clips: agreement and claims",
    "captions refine": "delete unsupported claims of captions, as a version",
    "captions score": "score caption versions: claims, agreement, words",
    "captions check": "verify the integrity of a dataset",
    "search": "find clips by a text, or by what another clip shows",
    "trace": "trace a clip, sample or source back and forward",
    "remove": "take sources out for good, with all that was made of them",
    "gc": "delete what no version refers to any more",
    "encode": "precompute latents and text embeddings of shards",
    "train vae": "train the video VAE (fit, validate)",
    "train dit": "train the diffusion transformer (fit, validate)",
    "train captioner": "train the embedded captioner, or fine-tune another (lora)",
    "prompts upsample": "expand short prompts into dense descriptions",
    "generate": "generate videos from prompts, images and videos",
    "serve": "serve the /v1/videos interface on your own weights",
    "playground": "serve a page to try prompts and every verb",
    "provenance": "show what a file says of its making",
    "report": "write an HTML report on a dataset or a demo run",
    "gallery": "write a page of videos of every verb",
    "reconstruct": "show videos before and after a compression network",
    "fvd": "compare two folders of videos by the Fréchet video distance",
    "bench": "run a benchmark",
}

_REMEDIES = {
    errno.EROFS: "; make it writable or name another folder",
    errno.EACCES: "; give this user access or name another one",
    errno.EPERM: "; give this user access or name another one",
    errno.ENOSPC: "; make room there and run the same command again",
    errno.EDQUOT: "; make room there and run the same command again",
    errno.ENOENT: "; check the name",
}
"""What to do about errors of the operating system that reach the command line as they are."""

_DEFAULT_ENV = {
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: sys.argv) and return its exit code."""
    for name, value in _DEFAULT_ENV.items():
        os.environ.setdefault(name, value)
    warnings.formatwarning = _format_warning
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run_command(args)
        sys.stdout.flush()  # raises BrokenPipeError here rather than at exit
        return code
    except BrokenPipeError:  # stdout was closed, as by `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (ValueError, OSError) as error:
        if os.environ.get("KINORA_DEBUG"):
            raise
        code = _usage_error(f"{_describe(error)}\n(set KINORA_DEBUG=1 for a traceback)")
        return Exit.INTEGRITY if getattr(error, "is_damage", False) else code
    except KeyboardInterrupt as stop:
        word, code = ("terminated", 143) if isinstance(stop, Terminated) else ("interrupted", 130)
        print(f"{word}; committed work is kept, rerun the command to continue", file=sys.stderr)
        return code


def _describe(error: ValueError | OSError) -> str:
    """Return the message; of an error of the operating system the file, what is wrong and the remedy."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str) or not error.strerror:
        return str(error)
    remedy = _REMEDIES.get(error.errno or 0, "")
    return f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}{remedy}"


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, so that finished work is committed."""


@contextmanager
def _sigterm_raises() -> Generator[None]:
    """Raise Terminated at SIGTERM in this block, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(*_: Any) -> None:
        raise Terminated

    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _run_command(args: list[str]) -> int:
    name, rest = _split_command(args)
    if name not in COMMANDS:
        return _overview(args)
    module = import_module("kinora.commands." + name.replace(" ", "_"))
    if hasattr(module, "main"):
        return int(module.main([_underscored(word) for word in rest]) or 0)
    return _run_module(name, module, rest)


def _split_command(args: list[str]) -> tuple[str, list[str]]:
    """Split argv into the command's name (one or two words) and its arguments."""
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
    unknown = " ".join(words) if group else words[0]
    near = get_close_matches(unknown, COMMANDS, n=1)
    hint = f"; did you mean `kinora {near[0]}`?" if near else "."
    return _usage_error(f"unknown command `{unknown}`{hint} See `kinora --help` for all commands.")


def _usage(names: list[str]) -> str:
    lines = [f"  {name:<16} {COMMANDS[name]}" for name in names]
    head = "usage: kinora COMMAND [--config FILE.yaml] [--OPTION VALUE …] [--json]"
    return "\n".join(
        [head, "", "Commands:", *lines, "", "Run `kinora COMMAND --help` for a command's options."]
    )


def _run_module(name: str, module: Any, args: list[str]) -> int:
    config, as_json = _parse(name, module, args)
    with _sigterm_raises():
        result: Result = module.run(config)
    if as_json:
        print(json.dumps(result.data, default=str))
    elif isinstance(result.text, str):
        print(without_controls(result.text))
    else:
        from rich.console import Console

        Console(highlight=False).print(Shown(result.text))
    return int(result.exit)


def _parse(name: str, module: Any, args: list[str]) -> tuple[Any, bool]:
    """Parse flags and YAML files into the command's `Config`. Exits with code 2 on invalid usage."""
    from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

    from manifests.renamed_flags import rename_args

    args = rename_args(args, module.Config)
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    summary = (module.__doc__ or "").strip().split("\n\n")[0]
    parser = ArgumentParser(prog=f"kinora {name}", description=summary, exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    positional = _positional(module)
    for field_name in positional:
        default = module.Config.__dataclass_fields__[field_name].default
        optional = {} if default is MISSING else {"nargs": "?", "default": default}
        about = _description(module.Config, field_name)
        parser.add_argument(field_name, type=str, help=about, **optional)
    parser.add_class_arguments(module.Config, as_group=False, skip=set(positional) or None)
    parser.format_help = _with_dashes(parser.format_help)  # type: ignore[method-assign]
    flags = {action.dest for action in parser._actions}
    try:
        words = getattr(module, "WORDS", {})
        args = gather_words(_normalize_args(args, module.Config), words, _nested_fields(module.Config))
        known = parser.parse_args(args)
    except (ArgumentError, TypeError, KeyError) as error:
        raise SystemExit(_usage_error(_with_suggestion(str(error), flags, name))) from None
    values = dict(vars(parser.instantiate(known)))
    as_json = values.pop("json")
    values.pop("config", None)
    return module.Config(**values), as_json


def _positional(module: Any) -> tuple[str, ...]:
    """Return the names of a command's fields that are words without a flag."""
    names = getattr(module, "POSITIONAL", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _description(config: type, field_name: str) -> str:
    """Return the docstring below a field of a command's configuration."""
    from docstring_parser import parse_from_object

    for cls in config.__mro__[:-1]:
        found = {each.arg_name: each.description for each in parse_from_object(cls).params}
        if found.get(field_name):
            return str(found[field_name])
    return f"the {field_name}"


def _normalize_args(args: list[str], config: type) -> list[str]:
    """Rewrite `--dry-run` as `--dry_run`, `-o` as `--out`, and a bare boolean flag as `--flag=true`."""
    booleans = set(_boolean_fields(config))
    normalized: list[str] = []
    for word, following in zip_longest(args, args[1:], fillvalue="--"):
        word = "--out" if word == "-o" else _underscored(word)
        if word.removeprefix("--") in booleans and following.lower() not in ("true", "false"):
            word += "=true"
        normalized.append(word)
    return normalized


def _underscored(word: str) -> str:
    """Replace dashes in a flag's name: `--dry-run=x` becomes `--dry_run=x`; other words are unchanged."""
    flag, equals, value = word.partition("=")
    if not re.match(r"--[A-Za-z]", flag):
        return word
    return "--" + flag[2:].replace("-", "_") + equals + value


def _boolean_fields(config: type, prefix: str = "") -> list[str]:
    """Return the dotted names of all bool fields of a configuration class."""
    hints = get_type_hints(config)
    names = []
    for field in fields(config):
        hint = hints[field.name]
        if hint is bool:
            names.append(prefix + field.name)
        elif isinstance(hint, type) and is_dataclass(hint):
            names += _boolean_fields(hint, f"{prefix}{field.name}.")
    return names


def _nested_fields(config: type) -> frozenset[str]:
    """Return the names of the fields that are tuples of tuples."""
    hints = {name: hint for name, hint in get_type_hints(config).items() if get_origin(hint) is tuple}
    return frozenset(name for name, hint in hints.items() if get_origin(get_args(hint)[0]) is tuple)


def _with_dashes(format_help: Any) -> Any:
    return lambda: re.sub(r"--[a-z][\w.]*", lambda match: match[0].replace("_", "-"), format_help())


def _with_suggestion(message: str, flags: set[str], name: str) -> str:
    """Return a parse error with the closest option for an unknown one."""
    unknown = re.search(r"(?:--|[Kk]ey [\"']|Option ')([\w.-]+)", message)
    if not unknown or unknown[1].replace("-", "_") in flags:
        return f"{message}\nSee `kinora {name} --help` for the options."
    near = get_close_matches(unknown[1].replace("-", "_"), sorted(flags), n=1, cutoff=0.5)
    hint = f"; did you mean `{near[0].replace('_', '-')}`?" if near else "."
    return f"unknown option `{unknown[1]}`{hint} See `kinora {name} --help` for the options."


def _format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Return a warning as a line for people, without the place in the code."""
    return f"warning: {message}\n"


def _usage_error(message: str) -> int:
    print(f"error: {without_controls(message)}", file=sys.stderr)
    return Exit.USAGE
