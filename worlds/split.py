"""Hold a fifth of all combinations of attributes out of training, once and for all.

A combination such as `red circle left` is seen or unseen by its digest alone, whatever the seed, size or
style; a world of several things is unseen as soon as one of its parts is.
"""

import hashlib

PARTS = "; "
"""Stands between the parts of a combination."""
UNSEEN_SHARE = 0.2


def is_unseen(family: str, combination: str) -> bool:
    """Return whether a combination (or any part of it) is held out of training.

    Args:
        family: name of the family; each splits its own combinations.
        combination: from `Family.combination`.
    """
    return any(_is_part_unseen(family, part) for part in combination.split(PARTS))


def _is_part_unseen(family: str, part: str) -> bool:
    digest = hashlib.sha256(f"worlds/split/{family}/{part}".encode()).digest()
    return int.from_bytes(digest[:8]) < UNSEEN_SHARE * 2**64
