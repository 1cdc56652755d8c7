"""Text for terminals: what people and models wrote can neither colour, clear nor reorder them."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and newline, and those that change the direction of what follows."""


def without_controls(text: str) -> str:
    """Return a text without control characters; tabs and line breaks stay."""
    return _CONTROLS.sub("", text)


class Shown:
    """A rich renderable whose texts are without control characters; its styles stay."""

    def __init__(self, renderable: Any) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Yield the segments of the renderable."""
        from rich.segment import Segment

        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(without_controls(segment.text), segment.style)
