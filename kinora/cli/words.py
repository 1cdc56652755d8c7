"""Flags that take several words, or may be given several times: `--connect A B`, `--image A --image B`."""

import json
from collections.abc import Mapping, Sequence


def gather_words(args: Sequence[str], num_words: Mapping[str, int], nested: frozenset[str]) -> list[str]:
    """Replace all uses of a flag by one, whose value is a JSON list of its words, in order.

    Args:
        args: command-line words, flags with underscores.
        num_words: for each such flag, the words that follow it each time.
        nested: flags for which each use is a list of its own.

    Raises ValueError for a flag with too few words.
    """
    rest: list[str] = []
    uses: dict[str, list[list[str]]] = {}
    words = iter(args)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in num_words:
            rest.append(word)
            continue
        given = [value] if equals else []
        given += [following for _, following in zip(range(num_words[name] - len(given)), words, strict=False)]
        if len(given) < num_words[name]:
            raise ValueError(f"--{name.replace('_', '-')} takes {num_words[name]} words, not {len(given)}")
        uses.setdefault(name, []).append(given)
    for name, lists in uses.items():
        items = lists if name in nested else [word for given in lists for word in given]
        rest.append(f"--{name}={json.dumps(items)}")
    return rest
