"""Read the bytes of an export's clips, a few ahead, and verify them."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from kinora.exchange.export_rows import ExportRow
from manifests.digest import digest_bytes
from manifests.storage import DatasetError, Storage
from pipeline.media.read import read_media

_MAX_AHEAD = 16
"""Clips in memory, at most."""


@dataclass(kw_only=True, slots=True)
class MediaReader:
    """Reads clips from the tars of a dataset, and counts them."""

    storage: Storage
    count: int = 0
    num_bytes: int = 0

    def read(self, rows: Iterable[ExportRow]) -> Iterator[tuple[ExportRow, bytes]]:
        """Yield each row with the bytes of its clip, in order.

        Raises DatasetError for a clip that is missing, cut short or changed.
        """
        waiting: deque[tuple[ExportRow, Future[bytes]]] = deque()
        with ThreadPoolExecutor(min(_MAX_AHEAD, self.storage.max_concurrency)) as pool:
            try:
                for row in rows:
                    waiting.append((row, pool.submit(self._read_one, row)))
                    if len(waiting) == _MAX_AHEAD:
                        yield self._counted(waiting)
                while waiting:
                    yield self._counted(waiting)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _counted(self, waiting: deque[tuple[ExportRow, Future[bytes]]]) -> tuple[ExportRow, bytes]:
        row, future = waiting.popleft()
        content = future.result()
        self.count += 1
        self.num_bytes += len(content)
        return row, content

    def _read_one(self, row: ExportRow) -> bytes:
        where = f"{self.storage.uri}/{row.media['path']}"
        remedy = "restore it, or cut the clips again; `kinora captions check --media` lists all damage"
        try:
            content = read_media(self.storage, row.media)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{where}: is missing, with the clip {row.media['clip_id']}; {remedy}"
            ) from error
        if row.media["digest"] and digest_bytes(content) != row.media["digest"]:
            raise DatasetError(f"{where}: the bytes of clip {row.media['clip_id']} have changed; {remedy}")
        return content


def file_name(row: ExportRow) -> str:
    """Return the name of a clip's file: its key, which begins with its clip id, and its ending."""
    return f"{row.values['key']}.{row.media['extension']}"
