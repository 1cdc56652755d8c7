"""Which clips may be copies of which: those of which some frames' hashes share two of four 16-bit words.

Multi-index hashing (Norouzi et al., 2012): a hash that differs in at most two bits shares two words with
certainty, one that differs in more still likely does for one frame of several. No clip meets all others:
a clip meets the first few of each bucket, in the order of keepers. So cost grows with the number of clips.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa

from manifests.arrow import one, pc
from manifests.views import connect
from pipeline.analyzers.fingerprint import HASHES, PER_S

WORDS = tuple(combinations(range(4), 2))
MEETS = 16
"""A clip meets at most so many clips of one bucket, those that come first in the order of keepers."""
OFFSETS = 2
"""Offsets in time that are tried for each two clips, those that most frames agree on."""
ODD_COLUMNS = sum(1 << (63 - (8 * row + column)) for row in range(8) for column in range(1, 8, 2))
"""Bits of the hash that turn over when left and right are exchanged."""

_BLOCK = 100_000
"""Clips whose frames are looked at together."""
_MET_BITS = 24
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
    """Return one row a kept frame, from `rank`, `fresh` and `frame_hashes` of clips; mirrored, two.

    Of clips that are not fresh, only frames that may share two words with one that is: where little is new,
    little is held.
    """
    fresh = _frames(clips.filter(clips["fresh"]))
    tables = [fresh]
    if mirrored:
        turned = pc.cast(fresh["hash"], pa.uint64()).to_numpy() ^ np.uint64(ODD_COLUMNS)
        tables.append(_with(_with(fresh, "hash", turned), "flipped", np.ones(len(turned), bool)))
    met = _Met([table["hash"].to_numpy() for table in tables])
    others = clips.filter(pc.invert(clips["fresh"]))
    for first in range(0, len(others), _BLOCK):
        frames = _frames(others.slice(first, _BLOCK))
        tables.append(frames.filter(pa.array(met.may_share(frames["hash"].to_numpy()))))
    return pa.concat_tables(tables)


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


class _Met:
    """Remembers which two words hashes have, roughly: it may say yes where there is none, but never no."""

    def __init__(self, hashes: Sequence[np.ndarray]) -> None:
        self._seen = np.zeros((len(WORDS), 1 << _MET_BITS), bool)
        for hash_N in hashes:
            for number, words in enumerate(WORDS):
                self._seen[number, _slot(hash_N, *words)] = True

    def may_share(self, hash_N: np.ndarray) -> np.ndarray:
        found_N = np.zeros(len(hash_N), bool)
        for number, words in enumerate(WORDS):
            found_N |= self._seen[number, _slot(hash_N, *words)]
        return found_N


def _slot(hash_N: np.ndarray, a: int, b: int) -> np.ndarray:
    """Return a number below 2 ** _MET_BITS for the words `a` and `b` of each hash."""
    word = np.uint64(65535)
    key_N = ((hash_N >> np.uint64(16 * a)) & word) << np.uint64(16) | (hash_N >> np.uint64(16 * b)) & word
    return key_N * _SPREAD >> np.uint64(64 - _MET_BITS)


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
