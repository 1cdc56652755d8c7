"""The columns that scorers add to the clips table. Null where a scorer was off, or had nothing to measure.

Imports no model: the decoding process reads this too.
"""

from pipeline.analyze.signals.frame_view import Column

TEXT = (
    Column("text_area", "float64", "share of the frame under lines of text, 0 to 1, median over frames"),
    Column("text_lines", "float64", "lines of text in a frame, median over frames"),
    Column("text_language", "string", "language of the text, ISO 639-1; null under three words"),
    Column("corner_mark", "bool", "text that stays in a corner while the rest changes"),
)
LOGO = (Column("corner_logo", "bool", "edges that stay in a corner while the rest changes"),)
NSFW = (Column("nsfw", "float64", "not safe for work, 0 to 1, maximum over frames"),)
HEURISTIC = (
    Column("aesthetic_heuristic", "float64", "colour, contrast and sharpness, 0 to 1, mean over frames"),
)
HEAD = (Column("aesthetic", "float64", "in the unit of the linear head, mean over frames"),)
EMBEDDING = (Column("embedding", "binary", "what it shows: a direction, float16, mean over frames"),)

SCORED = (*TEXT, *LOGO, *NSFW, *HEURISTIC, *HEAD, *EMBEDDING)
