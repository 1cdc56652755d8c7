"""Write a large JSON document item by item."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class JsonList:
    """The items of a list in a JSON document that is being written."""

    def __init__(self, out: TextIO) -> None:
        self._out, self.count = out, 0

    def add(self, item: Any) -> int:
        """Append an item; return its number of characters."""
        text = json.dumps(item, ensure_ascii=False)
        self.count += 1
        return self._out.write(("" if self.count == 1 else ",") + "\n" + text)


@contextmanager
def json_list(path: Path, before: str = "[", after: str = "]") -> Iterator[JsonList]:
    """Open a JSON document with one list.

    Args:
        before, after: what stands around the items.
    """
    with path.open("w", encoding="utf-8") as out:
        out.write(before)
        yield JsonList(out)
        out.write("\n" + after + "\n")
