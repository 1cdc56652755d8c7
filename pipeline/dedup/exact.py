"""Find overlapping spans of files with the same bytes. (Equal spans have one clip id: they are one clip.)"""

import pyarrow as pa

from manifests.sql import connect


def exact_matches(clips: pa.Table, min_coverage: float) -> pa.Table:
    """Return rows of `MATCHES`: new clips covered by an earlier clip of a file with the same bytes.

    Args:
        clips: the clips of a `DedupRound`.
        min_coverage: share of the new clip that the earlier one must cover, 0 to 1.
    """
    names = ("rank", "is_new", "source_digest", "stream_index", "start_pts", "end_pts")
    table = clips.select([*names, "time_base_num", "time_base_den"])
    with connect() as connection:
        connection.register("clips", table)
        return connection.sql(
            """
            SELECT candidate, keeper, 'exact' AS kind, 0.0::DOUBLE AS distance, offset_s,
                   printf('the same bytes, from %.2f s on', offset_s) AS detail
            FROM (SELECT c.rank AS candidate, k.rank AS keeper,
                         (c.start_pts - k.start_pts)::DOUBLE * c.time_base_num / c.time_base_den AS offset_s
                  FROM clips c JOIN clips k ON c.source_digest = k.source_digest
                      AND c.stream_index = k.stream_index AND k.rank < c.rank
                  WHERE c.is_new AND least(c.end_pts, k.end_pts) - greatest(c.start_pts, k.start_pts)
                      >= ? * (c.end_pts - c.start_pts))
            ORDER BY candidate, keeper""",
            params=[min_coverage],
        ).to_arrow_table()
