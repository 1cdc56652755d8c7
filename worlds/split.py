"""Hold a fixed fifth of all attribute combinations, or fixed pairs of colour and shape, out of training.

Whether a combination such as `red circle left` is held out depends on its digest alone. A world of several
things is held out if any part of its combination is.
"""

import hashlib

SEPARATOR = "; "
"""Separator of the parts of a combination."""
UNSEEN_FRACTION = 0.2
UNSEEN_PAIRS = (
    ("red", "star"),
    ("orange", "triangle"),
    ("yellow", "square"),
    ("green", "circle"),
    ("cyan", "star"),
    ("blue", "triangle"),
    ("purple", "square"),
    ("pink", "circle"),
)
"""Colours and shapes of flat things that training leaves out with `hold_out_pairs`: one shape of each colour,
two colours of each shape, so that the attributes of what is left stay uniform."""


def is_unseen(family: str, combination: str) -> bool:
    """Return whether any part of a combination is held out of training.

    Args:
        family: name of the family; each family has its own split.
        combination: from `Family.combination`.
    """
    return any(_is_part_unseen(family, part) for part in combination.split(SEPARATOR))


def _is_part_unseen(family: str, part: str) -> bool:
    digest = hashlib.sha256(f"worlds/split/{family}/{part}".encode()).digest()
    return int.from_bytes(digest[:8]) < UNSEEN_FRACTION * 2**64


def is_unseen_pair(color: str, shape: str) -> bool:
    """Return whether `hold_out_pairs` leaves things of this colour and shape out of training."""
    return (color, shape) in UNSEEN_PAIRS
