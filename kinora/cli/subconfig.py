"""Extract a package's configuration from a command's `Config` that extends it."""

from dataclasses import fields
from typing import Any, TypeVar

C = TypeVar("C")


def subconfig(config: Any, kind: type[C]) -> C:
    """Return the fields of `config` that belong to its base class `kind`, as a `kind`."""
    return kind(**{field.name: getattr(config, field.name) for field in fields(kind)})  # type: ignore[arg-type]
