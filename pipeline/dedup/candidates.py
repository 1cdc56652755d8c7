"""Which clips may be copies of which: those of which some frames' hashes share two of four 16-bit words.

Multi-index hashing (Norouzi et al., 2012): a hash that differs in at most two bits shares two words with
certainty, one that differs in more still likely does for one frame of several. No clip meets all others:
a clip meets the first few of each bucket, in the order of keepers. So cost grows with the number of clips.
"""

from itertools import combinations

import numpy as np
import pyarrow as pa

from manifests.views import connect
from pipeline.analyzers.fingerprint import HASHES, PER_S

WORDS = tuple(combinations(range(4), 2))
MEETS = 16
"""A clip meets at most so many clips of one bucket, those that come first in the order of keepers."""
OFFSETS = 2
"""Offsets in time that are tried for each two clips, those that most frames agree on."""
ODD_COLUMNS = sum(1 << (63 - (8 * row + column)) for row in range(8) for column in range(1, 8, 2))
"""Bits of the hash that turn over when left and right are exchanged."""

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
    """Return one row a kept frame, from `rank`, `fresh` and `frame_hashes` of clips; mirrored, two."""
    has = clips.filter(clips["frame_hashes"].is_valid())
    blobs = [np.frombuffer(blob.as_buffer(), HASHES) for blob in has["frame_hashes"]]
    counts = [len(blob) for blob in blobs]
    frames = np.concatenate(blobs) if blobs else np.zeros(0, HASHES)
    rank, fresh = (np.repeat(has[name].to_numpy(zero_copy_only=False), counts) for name in ("rank", "fresh"))
    columns = {
        "rank": rank.astype(np.int64),
        "fresh": fresh.astype(bool),
        "ms": frames["ms"],
        "hash": frames["hash"],
    }
    table = pa.table(columns | {"flipped": np.zeros(len(frames), bool)})
    if not mirrored:
        return table
    turned = pa.table(
        columns | {"hash": frames["hash"] ^ np.uint64(ODD_COLUMNS), "flipped": np.ones(len(frames), bool)}
    )
    return pa.concat_tables([table, turned.filter(turned["fresh"])])


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
