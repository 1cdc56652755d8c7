"""Write a configuration as the command line that yields it."""

import shlex
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def to_command_line(command: str, config: Any) -> str:
    """Return `kinora COMMAND` with a shell-quoted flag for each field that differs from its default."""
    flags = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in _changed(config, "")]
    return " ".join(["kinora", command, *flags])


def _changed(config: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for field in fields(config):
        value = getattr(config, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if is_dataclass(value):
            yield from _changed(value, f"{prefix}{field.name}.")
        elif value != default:
            yield prefix + field.name, _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{','.join(map(str, value))}]"
    return str(value)
