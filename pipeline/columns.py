"""Score columns of the clips table: their type, and those that model scorers add.

Imports no model: the decoding process imports this module.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    """One score column of the clips table; null where nothing could be measured."""

    name: str
    type: Literal["float64", "int64", "bool", "string", "binary"]
    """Name of the Arrow type. A string, because the decoding process does not import Arrow."""
    about: str
    """Short description with the unit."""
    range: tuple[float, float] | None = None
    """Smallest and largest value that a scorer may give; None for any."""


BORDER_NAMES = ("border_top", "border_bottom", "border_left", "border_right")
"""Columns with the width of a border, as a fraction of the frame's height or width."""
TEXT_COLUMNS = (
    Column("text_area", "float64", "share of the frame under lines of text, 0 to 1, median over frames"),
    Column("text_lines", "float64", "lines of text in a frame, median over frames"),
    Column("text_language", "string", "language of the text, ISO 639-1; null under three words"),
    Column("corner_mark", "bool", "text that stays in a corner while the rest changes"),
)
LOGO_COLUMNS = (Column("corner_logo", "bool", "edges that stay in a corner while the rest changes"),)
NSFW_COLUMNS = (Column("nsfw", "float64", "not safe for work, 0 to 1, maximum over frames"),)
HEURISTIC_COLUMNS = (
    Column("aesthetic_heuristic", "float64", "colour, contrast and sharpness, 0 to 1, mean over frames"),
)
HEAD_COLUMNS = (Column("aesthetic", "float64", "in the unit of the linear head, mean over frames"),)
EMBEDDING_COLUMNS = (Column("embedding", "binary", "what it shows: a direction, float16, mean over frames"),)

SCORER_COLUMNS = (
    *TEXT_COLUMNS,
    *LOGO_COLUMNS,
    *NSFW_COLUMNS,
    *HEURISTIC_COLUMNS,
    *HEAD_COLUMNS,
    *EMBEDDING_COLUMNS,
)
"""All columns of model scorers. Null where a scorer was off."""
