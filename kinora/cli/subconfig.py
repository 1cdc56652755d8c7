"""A command's configuration may extend a package's, so that its fields are plain flags."""

from dataclasses import fields
from typing import Any, TypeVar

C = TypeVar("C")


def narrow(config: Any, kind: type[C]) -> C:
    """Return the part of `config` that is a `kind`, which the class of `config` extends."""
    return kind(**{field.name: getattr(config, field.name) for field in fields(kind)})  # type: ignore[arg-type]
