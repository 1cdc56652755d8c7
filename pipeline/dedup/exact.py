"""Spans of files with the same bytes. (Equal spans of equal files have one clip id: they are one clip.)"""

import pyarrow as pa

from manifests.live_view import connect


def exact(clips: pa.Table, min_covered: float) -> pa.Table:
    """Return rows of `MATCHES`: new clips whose span lies in that of a clip before, in a file of equal bytes.

    Args:
        clips: of an `Epoch`.
    """
    names = ("rank", "fresh", "source_digest", "stream_index", "start_pts", "end_pts")
    table = clips.select([*names, "time_base_num", "time_base_den"])
    with connect() as connection:
        connection.register("clips", table)
        return connection.sql(
            """
            SELECT part, whole, 'exact' AS kind, 0.0::DOUBLE AS distance, offset_s,
                   printf('the same bytes, from %.2f s on', offset_s) AS detail
            FROM (SELECT p.rank AS part, w.rank AS whole,
                         (p.start_pts - w.start_pts)::DOUBLE * p.time_base_num / p.time_base_den AS offset_s
                  FROM clips p JOIN clips w ON p.source_digest = w.source_digest
                      AND p.stream_index = w.stream_index AND w.rank < p.rank
                  WHERE p.fresh AND least(p.end_pts, w.end_pts) - greatest(p.start_pts, w.start_pts)
                      >= ? * (p.end_pts - p.start_pts))
            ORDER BY part, whole""",
            params=[min_covered],
        ).to_arrow_table()
