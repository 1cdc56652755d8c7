"""Byte layout of the columns `frame_hashes` and `frame_looks`: written by `analyze`, read by `dedup`."""

import numpy as np

SIDE = 16
"""Height and width of the luma of a small picture, px."""
CHROMA_SIDE = 8
"""Height and width of its Cr and Cb, px."""
LOOK_BYTES = SIDE * SIDE + 2 * CHROMA_SIDE * CHROMA_SIDE
"""Bytes of one small picture: Y, Cr and Cb as uint8."""
PER_S = 8.0
"""Fingerprinted frames per second of a clip."""
HASHES = np.dtype([("ms", "<i4"), ("hash", "<u8")])
"""One entry of `frame_hashes`: time since the clip's first frame in ms, and the perceptual hash.

A view is all frames of `frame_looks` with the hash of the whole picture, then all again with that of its
middle (analyses before version 8 lack these). A clip with a border has two: inside of the border, and as it
is (from version 10 on)."""


def views_of(hashes_N: np.ndarray) -> list[np.ndarray]:
    """Return the entries of the whole pictures of each view. Times grow within each run of entries."""
    starts = np.flatnonzero(np.diff(hashes_N["ms"]) <= 0) + 1
    return np.split(hashes_N, starts)[::2]
