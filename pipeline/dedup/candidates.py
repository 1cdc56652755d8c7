"""Which clips may be copies of which: those of which some frames' hashes share two of four 16-bit words.

Multi-index hashing (Norouzi et al., 2012): a hash that differs in at most two bits shares two words with
certainty, one that differs in more still likely does for one frame of several. No clip meets all others:
a clip meets the first few of each bucket, in the order of keepers. So cost grows with the number of clips.
"""

from itertools import combinations

import numpy as np
import pyarrow as pa

from manifests.arrow import one, pc
from manifests.live_view import connect
from pipeline.fingerprint_format import HASHES, PER_S

WORDS = tuple(combinations(range(4), 2))
MEETS = 16
"""A clip meets at most so many clips of one bucket, those that come first in the order of keepers."""
OFFSETS = 2
"""Offsets in time that are tried for each two clips, those that most frames agree on."""
ODD_COLUMNS = sum(1 << (63 - (8 * row + column)) for row in range(8) for column in range(1, 8, 2))
"""Bits of the hash that turn over when left and right are exchanged."""

_MOST_BITS = 24
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2 ** 64 over the golden ratio: products of it spread over the high bits (Knuth)."""

_SQL = """
    WITH keys AS (
        SELECT rank, fresh, flipped, ms, (word(hash, {a}) << 16) | word(hash, {b}) AS key FROM frames),
    buckets AS (
        SELECT key, rank, dense_rank() OVER (PARTITION BY key ORDER BY rank) AS place
        FROM (SELECT DISTINCT key, rank FROM keys WHERE NOT flipped)),
    firsts AS (SELECT k.* FROM keys k SEMI JOIN (SELECT * FROM buckets WHERE place <= {meets}) f
               ON k.key = f.key AND k.rank = f.rank WHERE NOT k.flipped)
    SELECT whole.rank AS whole, part.rank AS part, part.flipped AS flipped,
           CAST(round((whole.ms - part.ms) * {per_ms}) AS INTEGER) AS slot, count(*) AS votes
    FROM keys part JOIN firsts whole ON part.key = whole.key AND whole.rank < part.rank
    WHERE part.fresh
    GROUP BY ALL"""


def frames_of(clips: pa.Table, *, mirrored: bool = False) -> pa.Table:
    """Return one row a kept frame, from `rank`, `fresh` and `frame_hashes` of clips; with `mirrored`, two of
    those that are fresh."""
    frames = _frames(clips)
    if not mirrored:
        return frames
    fresh = frames.filter(frames["fresh"])
    turned = pc.cast(fresh["hash"], pa.uint64()).to_numpy() ^ np.uint64(ODD_COLUMNS)
    fresh = _with(_with(fresh, "hash", turned), "flipped", np.ones(len(turned), bool))
    return pa.concat_tables([frames, fresh])


def _frames(clips: pa.Table) -> pa.Table:
    has = clips.filter(clips["frame_hashes"].is_valid())
    blobs = one(has["frame_hashes"]).cast(pa.binary())
    offsets = np.frombuffer(blobs.buffers()[1], np.int32)[blobs.offset : blobs.offset + len(blobs) + 1]
    values = blobs.buffers()[2]
    data = np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]] if values and len(blobs) else b""
    frames = np.frombuffer(bytes(data), HASHES)
    counts = np.diff(offsets) // HASHES.itemsize
    rank, fresh = (np.repeat(has[name].to_numpy(), counts) for name in ("rank", "fresh"))
    columns = {"rank": rank.astype(np.int64), "fresh": fresh.astype(bool), "ms": frames["ms"]}
    return pa.table(columns | {"hash": frames["hash"], "flipped": np.zeros(len(frames), bool)})


def _with(table: pa.Table, name: str, column: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(column))


class Met:
    """Tells which frames may share two words with one of `fresh`: where little is new, little is held."""

    def __init__(self, fresh: pa.Table) -> None:
        self._bits = min(_MOST_BITS, len(fresh).bit_length() + 9)  # small enough for a cache
        self._seen = np.zeros((len(WORDS), 1 << self._bits), bool)
        for number, words in enumerate(WORDS):
            self._seen[number, _slot(fresh["hash"].to_numpy(), *words, self._bits)] = True

    def some(self, frames: pa.Table) -> pa.Table:
        """Return those frames; it may be a few more, but never fewer."""
        hash_N = frames["hash"].to_numpy()
        found_N = np.zeros(len(hash_N), bool)
        for number, words in enumerate(WORDS):
            found_N |= self._seen[number, _slot(hash_N, *words, self._bits)]
        return frames.filter(pa.array(found_N))


def _slot(hash_N: np.ndarray, a: int, b: int, bits: int) -> np.ndarray:
    """Return a number below 2 ** bits for the words `a` and `b` of each hash."""
    word = np.uint64(65535)
    key_N = ((hash_N >> np.uint64(16 * a)) & word) << np.uint64(16) | (hash_N >> np.uint64(16 * b)) & word
    return key_N * _SPREAD >> np.uint64(64 - bits)


def candidates(frames: pa.Table) -> pa.Table:
    """Return the pairs to compare: `whole` (rank, comes first), `part` (rank), `flipped`, `slot`, `votes`.

    `slot` says where `part` begins in `whole`, in kept frames. Pairs of which neither is fresh are left out.
    """
    with connect() as connection:
        connection.register("frames", frames)
        connection.execute("CREATE MACRO word(hash, i) AS (hash >> (16 * i)) & 65535")
        passes = [
            connection.sql(_SQL.format(a=a, b=b, meets=MEETS, per_ms=PER_S / 1000)).to_arrow_table()
            for a, b in WORDS
        ]
        connection.register("found", pa.concat_tables(passes))
        summed = (
            "SELECT whole, part, flipped, slot, CAST(sum(votes) AS BIGINT) AS votes FROM found GROUP BY ALL"
        )
        return connection.sql(f"""
            SELECT * FROM ({summed})
            QUALIFY row_number() OVER (PARTITION BY whole, part, flipped ORDER BY votes DESC, abs(slot), slot)
                <= {OFFSETS}
            ORDER BY part, whole, flipped, slot""").to_arrow_table()
