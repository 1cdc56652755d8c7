"""Find pairs of clips that may be copies: pairs with frames whose hashes share two of four 16-bit words.

Multi-index hashing (Norouzi et al., 2012): hashes that differ in at most two bits always share two words;
if they differ in more, one frame of several likely does. Each bucket is capped at its first clips in keeper
order, so cost grows linearly with the number of clips.
"""

from itertools import combinations

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.sql import connect
from pipeline.fingerprint_format import HASHES, PER_S

WORDS = tuple(combinations(range(4), 2))
MAX_CANDIDATES = 16
"""Clips of one hash bucket that a clip is paired with: the first in keeper order."""
MAX_OFFSETS = 2
"""Time offsets tried per pair: those that most frames agree on, and the least that at least half as many do
(the frames of a scene that stands still agree on all)."""
ODD_COLUMNS = sum(1 << (63 - (8 * row + column)) for row in range(8) for column in range(1, 8, 2))
"""Bits of the hash that a horizontal flip inverts."""

_MAX_TABLE_BITS = 24
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2 ** 64 over the golden ratio: multiplicative hashing (Knuth)."""

_SQL = """
    WITH keys AS (
        SELECT rank, is_new, flipped, ms, (word(hash, {a}) << 16) | word(hash, {b}) AS key FROM frames),
    buckets AS (
        SELECT key, rank, dense_rank() OVER (PARTITION BY key ORDER BY rank) AS position
        FROM (SELECT DISTINCT key, rank FROM keys WHERE NOT flipped)),
    firsts AS (SELECT k.* FROM keys k SEMI JOIN (SELECT * FROM buckets WHERE position <= {max_candidates}) f
               ON k.key = f.key AND k.rank = f.rank WHERE NOT k.flipped)
    SELECT keeper.rank AS keeper, candidate.rank AS candidate, candidate.flipped AS flipped,
           CAST(round((keeper.ms - candidate.ms) * {per_ms}) AS INTEGER) AS slot, count(*) AS votes
    FROM keys candidate JOIN firsts keeper ON candidate.key = keeper.key AND keeper.rank < candidate.rank
    WHERE candidate.is_new
    GROUP BY ALL"""


def frame_table(clips: pa.Table, *, mirrored: bool = False) -> pa.Table:
    """Explode `rank`, `is_new` and `frame_hashes` of clips into one row per frame.

    Args:
        mirrored: add a second row, `flipped`, for each frame of a new clip.
    """
    frames = _explode(clips)
    if not mirrored:
        return frames
    flipped = frames.filter(frames["is_new"])
    hash_N = pc.cast(flipped["hash"], pa.uint64()).to_numpy() ^ np.uint64(ODD_COLUMNS)
    flipped = _set_column(flipped, "hash", hash_N)
    flipped = _set_column(flipped, "flipped", np.ones(len(hash_N), bool))
    return pa.concat_tables([frames, flipped])


def _explode(clips: pa.Table) -> pa.Table:
    hashed = clips.filter(clips["frame_hashes"].is_valid())
    blobs = combine(hashed["frame_hashes"]).cast(pa.binary())
    offsets = np.frombuffer(blobs.buffers()[1], np.int32)[blobs.offset : blobs.offset + len(blobs) + 1]
    values = blobs.buffers()[2]
    data = np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]] if values and len(blobs) else b""
    frames = np.frombuffer(bytes(data), HASHES)
    counts = np.diff(offsets) // HASHES.itemsize
    rank, is_new = (np.repeat(hashed[name].to_numpy(), counts) for name in ("rank", "is_new"))
    columns = {"rank": rank.astype(np.int64), "is_new": is_new.astype(bool), "ms": frames["ms"]}
    return pa.table(columns | {"hash": frames["hash"], "flipped": np.zeros(len(frames), bool)})


def _set_column(table: pa.Table, name: str, column: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(column))


class HashPrefilter:
    """A Bloom-like filter of the word pairs of new frames. Its size follows the number of new frames."""

    def __init__(self, new_frames: pa.Table) -> None:
        self._bits = min(_MAX_TABLE_BITS, len(new_frames).bit_length() + 9)  # fits in a CPU cache
        self._seen = np.zeros((len(WORDS), 1 << self._bits), bool)
        for index, words in enumerate(WORDS):
            self._seen[index, _bucket(new_frames["hash"].to_numpy(), *words, self._bits)] = True

    def filter(self, frames: pa.Table) -> pa.Table:
        """Keep frames that may share two words with a new frame. No false negatives, few false positives."""
        hash_N = frames["hash"].to_numpy()
        keep_N = np.zeros(len(hash_N), bool)
        for index, words in enumerate(WORDS):
            keep_N |= self._seen[index, _bucket(hash_N, *words, self._bits)]
        return frames.filter(pa.array(keep_N))


def _bucket(hash_N: np.ndarray, a: int, b: int, bits: int) -> np.ndarray:
    """Hash words `a` and `b` of each hash to a bucket below 2 ** bits."""
    word = np.uint64(65535)
    key_N = ((hash_N >> np.uint64(16 * a)) & word) << np.uint64(16) | (hash_N >> np.uint64(16 * b)) & word
    return key_N * _GOLDEN >> np.uint64(64 - bits)


def candidate_pairs(frames: pa.Table) -> pa.Table:
    """Return the pairs to compare: ranks `keeper` < `candidate`, `flipped`, `slot`, `votes`.

    `candidate` is always new. `slot` is its start in `keeper`, in frames of the fingerprint's rate.
    """
    with connect() as connection:
        connection.register("frames", frames)
        connection.execute("CREATE MACRO word(hash, i) AS (hash >> (16 * i)) & 65535")
        limits = {"max_candidates": MAX_CANDIDATES, "per_ms": PER_S / 1000}
        passes = [connection.sql(_SQL.format(a=a, b=b, **limits)).to_arrow_table() for a, b in WORDS]
        connection.register("found", pa.concat_tables(passes))
        return connection.sql(f"""
            WITH counted AS (
                SELECT keeper, candidate, flipped, slot, CAST(sum(votes) AS BIGINT) AS votes
                FROM found GROUP BY ALL),
            ranked AS (
                SELECT *, max(votes) OVER (PARTITION BY keeper, candidate, flipped) AS most FROM counted)
            SELECT * EXCLUDE (most) FROM ranked
            QUALIFY row_number() OVER (
                PARTITION BY keeper, candidate, flipped ORDER BY votes DESC, abs(slot), slot) <= {MAX_OFFSETS}
            OR row_number() OVER (
                PARTITION BY keeper, candidate, flipped
                ORDER BY 2 * votes >= most DESC, abs(slot), slot) = 1
            ORDER BY candidate, keeper, flipped, slot""").to_arrow_table()
