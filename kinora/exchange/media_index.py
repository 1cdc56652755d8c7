"""Find the media that a row of a caption file speaks of: by id, sample key, or source and span.

Times are seconds on the source's timeline, as in `source.start_s` of the samples that `kinora pack` writes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.live_view import LiveView
from pipeline.sources.lists import resolve
from pipeline.sources.uri import TarMember

_CLIP = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SAMPLE_KEY = re.compile(rf"({_CLIP})-(\d{{3,}})")

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The media that a row names, or why there is none."""

    rows: tuple[int, ...] = ()
    """Rows of `MediaIndex.media`."""
    reason: str = ""
    """Kind of mismatch, to count them; empty for a match."""
    detail: str = ""
    """The mismatch, for people."""


UNKNOWN = Match(reason="unknown", detail="names no clip or source of this dataset")


class MediaIndex:
    """The live media of a dataset by everything that names them; each index is made when it is first used."""

    def __init__(self, view: LiveView, *, spread: bool, min_overlap: float) -> None:
        self._view, self._spread, self._min_overlap = view, spread, min_overlap
        names = ["clip_id", "media_id", "num_windows", "window_index", "window_start_pts", "window_end_pts"]
        self.media = view.read("media", names).combine_chunks()

    def find(self, name: str, span: Span | None, folder: str = "") -> Match:
        """Return the media that `name` stands for: an id, a sample key, a URI, a path or a file name.

        Args:
            span: [start, end) of the captioned part of the source, in seconds; None for all of it.
            folder: where the caption file lies, for relative paths.
        """
        stem = PurePosixPath(name).stem  # ids name the files that `kinora captions export` writes
        if (row := self._by_media.get(stem)) is not None:
            return Match(rows=(row,))
        if rows := self._by_clip.get(stem):
            return self._of_clip(stem, rows, span)
        key = _SAMPLE_KEY.fullmatch(stem)
        if key and (rows := self._by_clip.get(key[1])):
            return self._window(key[1], rows, int(key[2]))
        uris = self._sources_named(name, folder)
        if len(uris) > 1:
            sample = ", ".join(uris[:2]) + ", …" * (len(uris) > 2)
            return Match(reason="several sources", detail=f"may be any of {len(uris)} sources ({sample})")
        if uris:
            return self._of_source(uris[0], span)
        if self._is_clip(key[1] if key else stem):
            return Match(reason="not cut", detail="is a clip that was not cut (dropped, or still to do)")
        return UNKNOWN

    def uri_of(self, row: int) -> str:
        """Return the source of a row of `media`."""
        return self._uris[self._first_occurrence[self.media["clip_id"][row].as_py()]]

    @cached_property
    def _by_media(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.media["media_id"].to_pylist())}

    @cached_property
    def _by_clip(self) -> dict[str, list[int]]:
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(self.media["clip_id"].to_pylist()):
            rows[name].append(row)
        return dict(rows)

    @cached_property
    def _occurrences(self) -> pa.Table:
        """All clips, cut or not, of every source, sorted by source."""
        names = ["uri", "clip_id", "start_pts", "end_pts", "time_base_num", "time_base_den"]
        table = self._view.read("clip_occurrences", names)
        order = pc.sort_indices(table, [("uri", "ascending"), ("start_pts", "ascending")])
        return table.take(order).combine_chunks()  # a cell of one chunk is found at once

    @cached_property
    def _uris(self) -> list[str]:
        return self._occurrences["uri"].to_pylist()

    @cached_property
    def _first_occurrence(self) -> dict[str, int]:
        names = self._occurrences["clip_id"].to_pylist()
        return {name: row for row, name in zip(range(len(names) - 1, -1, -1), reversed(names), strict=True)}

    @cached_property
    def _by_uri(self) -> dict[str, range]:
        """Occurrences of each source."""
        starts = [row for row, uri in enumerate(self._uris) if not row or uri != self._uris[row - 1]]
        ends = [*starts[1:], len(self._uris)]
        return {self._uris[first]: range(first, end) for first, end in zip(starts, ends, strict=True)}

    @cached_property
    def _by_file_name(self) -> dict[str, list[str]]:
        """Sources by file name, and by file name without its ending."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for uri in self._by_uri:
            name = _path(uri).rpartition("/")[2]
            for each in {name, PurePosixPath(name).stem}:
                found[each].append(uri)
        return dict(found)

    def _sources_named(self, name: str, folder: str) -> Sequence[str]:
        """Return the source with this URI or path, else those whose path ends with it, with any ending."""
        plain = name.removeprefix("file://")
        for uri in dict.fromkeys((name, plain, unquote(plain), resolve(f"{folder}/", plain))):
            if uri in self._by_uri:
                return [uri]
        parts = [part for part in _path(name).split("/") if part not in ("", ".")]
        candidates = self._by_file_name.get(parts[-1], ()) if parts else ()
        return _longest_suffix(parts, candidates, absolute=plain.startswith("/"))

    def _of_clip(self, name: str, rows: Sequence[int], span: Span | None) -> Match:
        if span is not None:
            return self._at_span(rows, span, name)
        if len(rows) == 1 or self._spread:
            return Match(rows=tuple(rows))
        return Match(
            reason="several windows",
            detail=f"is a clip in {len(rows)} windows, and the text may not be true of each; name a window "
            f"({name}-000), give its span, or use --spread",
        )

    def _window(self, clip: str, rows: Sequence[int], index: int) -> Match:
        windows = [row for row in rows if self._cell("num_windows", row) > 1]
        found = tuple(row for row in windows if self._cell("window_index", row) == index)
        if found:
            return Match(rows=found)
        return Match(reason="no such window", detail=f"clip {clip} has {max(1, len(windows))} window(s)")

    def _of_source(self, uri: str, span: Span | None) -> Match:
        clips = list(dict.fromkeys(self._occurrences["clip_id"][row].as_py() for row in self._by_uri[uri]))
        rows = [row for clip in clips for row in self._by_clip.get(clip, ())]
        if not rows:
            return Match(reason="not cut", detail=f"none of the {len(clips)} clips of {uri} was cut")
        if span is not None:
            return self._at_span(rows, span, uri)
        if len(clips) == 1:
            return self._of_clip(clips[0], rows, None)
        if self._spread:
            return Match(rows=tuple(rows))
        return Match(
            reason="several clips",
            detail=f"{uri} has {len(clips)} clips, and the text may not be true of each; name the clip, give "
            "its span, or use --spread",
        )

    def _at_span(self, rows: Sequence[int], span: Span, name: str) -> Match:
        """Return the media that overlaps most with `span`; with `spread` all inside it."""
        spans = [self._span_s(row) for row in rows]
        overlaps = [_overlap_s(each, span) for each in spans]
        unions = [max(each[1], span[1]) - min(each[0], span[0]) for each in spans]
        ious = [part / whole if whole > 0 else 0.0 for part, whole in zip(overlaps, unions, strict=True)]
        best = int(np.argmax(ious))
        if ious[best] >= self._min_overlap:
            return Match(rows=(rows[best],))
        inside = [
            row
            for row, each, part in zip(rows, spans, overlaps, strict=True)
            if part > 0 and part >= self._min_overlap * (each[1] - each[0])
        ]
        if self._spread and inside:
            return Match(rows=tuple(inside))
        start, end = spans[best]
        return Match(
            reason="no clip at this span",
            detail=f"nothing of {name} shows {span[0]:g} to {span[1]:g} s; the nearest is {start:.3f} to "
            f"{end:.3f} s, overlap {ious[best]:.2f} of --min-overlap {self._min_overlap:g}",
        )

    def _span_s(self, row: int) -> Span:
        """Return the span of a row of `media` in seconds."""
        clip = self._first_occurrence[self._cell("clip_id", row)]
        about = {name: self._occurrences[name][clip].as_py() for name in ("time_base_num", "time_base_den")}
        pts = [self._cell(f"window_{name}", row) for name in ("start_pts", "end_pts")]
        if None in pts:
            pts = [self._occurrences[name][clip].as_py() for name in ("start_pts", "end_pts")]
        return tuple(each * about["time_base_num"] / about["time_base_den"] for each in pts)  # type: ignore[return-value]

    def _cell(self, name: str, row: int) -> Any:
        return self.media[name][row].as_py()

    def _is_clip(self, name: str) -> bool:
        return re.fullmatch(_CLIP, name) is not None and name in self._first_occurrence


def _path(uri: str) -> str:
    """Return the path of a source: of a member of a tar, its name below the tar."""
    if member := TarMember.parse(uri):
        return f"{_path(member.tar)}/{unquote(member.name)}"
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def _longest_suffix(parts: Sequence[str], candidates: Iterable[str], *, absolute: bool) -> list[str]:
    """Return the candidates whose path ends with all of `parts`, the last with or without its ending.

    For an absolute path, which may be of another machine, those that agree in most folders, at least in one.
    """
    agreed = {uri: _count_agreeing(parts, _path(uri)) for uri in candidates}
    wanted = max([2, *agreed.values()]) if absolute else len(parts)
    return [uri for uri, count in agreed.items() if count == wanted]


def _count_agreeing(parts: Sequence[str], path: str) -> int:
    """Return how many parts at the end of two paths are equal, of which the last is known to be."""
    folders = path.split("/")[:-1]
    count = 1
    for mine, other in zip(reversed(parts[:-1]), reversed(folders), strict=False):
        if mine != other:
            break
        count += 1
    return count


def _overlap_s(a: Span, b: Span) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
