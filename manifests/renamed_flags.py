"""Accept former field names in flags and YAML files (the table is in manifests/renamed_fields.py).

>>> rename_args(["--config", "old.yaml", "--ray.cut.most", "2"], Config)
['--config', '<text of old.yaml in new names>', '--ray.cut.max_tasks', '2']
"""

import re
import sys
from collections.abc import Iterator, Sequence
from os.path import isfile
from pathlib import Path
from typing import cast

import yaml

from manifests.renamed_fields import Node, rename_path


def rename_args(args: Sequence[str], node: Node) -> list[str]:
    """Replace old field names in `--flag value`, `--flag=value`, and YAML given as a value.

    A YAML file with old names is replaced by its text, which jsonargparse accepts in its place. Prints a
    warning to stderr for each old name. Raises ValueError when a field is given by both names.

    Args:
        args: command-line words; flags in dashes or underscores.
        node: the command's configuration class, or a mapping of flag prefixes to classes.
    """
    renamed: list[str] = []
    spellings: dict[str, str] = {}
    value_node: Node = {}
    for word in args:
        flag = re.fullmatch(r"--([A-Za-z][\w.-]*)(?:=(.*))?", word, re.DOTALL)
        if flag is None:
            renamed.append(_rename_value(word, value_node))
            value_node = {}
            continue
        old, value = flag[1].replace("-", "_"), flag[2]
        new, value_node = (old, node) if old == "config" else rename_path(node, old)
        if spellings.setdefault(new, old) != old:
            raise ValueError(f"{_flag(old)} and {_flag(spellings[new])} are one field; use {_flag(new)}")
        if new != old:
            _warn(_flag(old), _flag(new))
            word = f"--{new}" + ("" if value is None else f"={value}")
        if value is not None:
            word = word.removesuffix(value) + _rename_value(value, value_node)
            value_node = {}
        renamed.append(word)
    return renamed


def _rename_value(value: str, node: Node) -> str:
    """Return a YAML file's or string's text in new names; `value` itself when nothing changes."""
    if not node:
        return value
    text = Path(value).read_text() if isfile(value) else value
    where = f" in {value}" if isfile(value) else ""
    try:
        tree = cast(yaml.Node | None, yaml.compose(text))  # pyright: ignore[reportUnknownMemberType]
    except yaml.YAMLError:
        return value  # the parser reports it
    edits = set(_edits(tree, node, "", where))
    for start, end, name in sorted(edits, reverse=True):
        text = text[:start] + name + text[end:]
    return text if edits else value


def _edits(tree: yaml.Node | None, node: Node, path: str, where: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, new name) of every old key; only keys change, so values keep their spelling."""
    if not node or not isinstance(tree, yaml.MappingNode):
        return
    pairs = [(key, value) for key, value in tree.value if isinstance(key, yaml.ScalarNode)]
    keys = {key.value for key, _ in pairs}
    for key, value in pairs:
        name, child = rename_path(node, key.value)
        if name != key.value:
            if name in keys:
                raise ValueError(f"`{path}{key.value}` and `{path}{name}`{where} are one field; use `{name}`")
            _warn(f"`{path}{key.value}`{where}", f"`{path}{name}`")
            yield key.start_mark.index, key.end_mark.index, name
        yield from _edits(value, child, f"{path}{name}.", where)


def _flag(path: str) -> str:
    return f"`--{path.replace('_', '-')}`"


def _warn(old: str, new: str) -> None:
    print(f"{old} is now {new}; the old name will go in a later version", file=sys.stderr)
