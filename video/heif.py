"""Compose the photo of a HEIF or AVIF file from its items: tiles of a grid, and an alpha plane.

FFmpeg decodes items one by one. Structure: ISO/IEC 23008-12.

Legend: H height, W width, C channels.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from video.boxes import Element, content, file_size, iso_box, iso_boxes, read_at
from video.convert import RgbConverter, pose_of
from video.errors import VideoError, VideoErrorCode
from video.track_header import clean_aperture

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_MAX_TILES = 1 << 12


class Grid(NamedTuple):
    """Tiles, row by row, and the size of the picture that they make, without what they exceed it by."""

    rows: int
    columns: int
    height: int
    width: int
    tiles: tuple[int, ...]


class Photo(NamedTuple):
    """The primary item of a file, or its alpha plane."""

    item: int
    kind: bytes
    """Type of the item: a codec, `grid`, or another derivation."""
    grid: Grid | None
    properties: tuple[tuple[bytes, bytes], ...]
    """Kind and content of each property, in the order in which they apply."""
    alpha: "Photo | None" = None

    @property
    def is_composed(self) -> bool:
        """Whether more than decoding one item is needed."""
        return self.grid is not None or self.alpha is not None or self.kind in (b"iovl", b"iden")


class _Meta:
    """The `meta` box of a file."""

    def __init__(self, file: BinaryIO, meta: Element) -> None:
        self.file = file
        self.boxes = {box.kind: box for box in iso_boxes(file, meta.start + 4, meta.end)}
        self.kinds = self._item_kinds()
        self.references = self._item_references()
        self.properties = self._item_properties()

    @property
    def primary(self) -> int:
        box = self._content(b"pitm")
        return int.from_bytes(box[4:6] if box[:1] == b"\0" else box[4:8])

    def photo(self, item: int, *, with_alpha: bool) -> Photo:
        alpha = next(
            (
                source
                for kind, source, targets in self.references
                if kind == b"auxl" and item in targets and self._is_alpha(source)
            ),
            None,
        )
        return Photo(
            item=item,
            kind=self.kinds.get(item, b""),
            grid=self._grid(item),
            properties=self.properties.get(item, ()),
            alpha=self.photo(alpha, with_alpha=False) if alpha is not None and with_alpha else None,
        )

    def _content(self, kind: bytes) -> bytes:
        return content(self.file, self.boxes[kind]) if kind in self.boxes else b""

    def _is_alpha(self, item: int) -> bool:
        return any(
            kind == b"auxC" and body[4:].startswith(_ALPHA) for kind, body in self.properties.get(item, ())
        )

    def _grid(self, item: int) -> Grid | None:
        body = self._item_data(item) if self.kinds.get(item) == b"grid" else b""
        if len(body) < 8:
            return None
        length = 4 if body[1] & 1 else 2
        width, height = (int.from_bytes(body[at : at + length]) for at in (4, 4 + length))
        tiles = next((t for kind, source, t in self.references if kind == b"dimg" and source == item), ())
        return Grid(rows=body[2] + 1, columns=body[3] + 1, height=height, width=width, tiles=tiles)

    def _item_kinds(self) -> dict[int, bytes]:
        if (box := self.boxes.get(b"iinf")) is None:
            return {}
        counted = 6 if read_at(self.file, box.start, 1) == b"\0" else 8
        kinds: dict[int, bytes] = {}
        for entry in iso_boxes(self.file, box.start + counted, box.end):
            body = content(self.file, entry, 16)
            wide = 4 if body[:1] == b"\3" else 2
            kinds[int.from_bytes(body[4 : 4 + wide])] = body[6 + wide : 10 + wide]
        return kinds

    def _item_references(self) -> list[tuple[bytes, int, tuple[int, ...]]]:
        """Return the kind, the source and the targets of each reference."""
        if (box := self.boxes.get(b"iref")) is None:
            return []
        wide = 2 if read_at(self.file, box.start, 1) == b"\0" else 4
        found: list[tuple[bytes, int, tuple[int, ...]]] = []
        for reference in iso_boxes(self.file, box.start + 4, box.end):
            body = content(self.file, reference)
            numbers = [int.from_bytes(body[at : at + wide]) for at in range(wide + 2, len(body), wide)]
            found.append((reference.kind, int.from_bytes(body[:wide]), tuple(numbers)))
        return found

    def _item_properties(self) -> dict[int, tuple[tuple[bytes, bytes], ...]]:
        if (box := self.boxes.get(b"iprp")) is None:
            return {}
        inside = [*iso_boxes(self.file, box.start, box.end)]
        container = next((each for each in inside if each.kind == b"ipco"), None)
        if container is None:
            return {}
        values = [
            (each.kind, content(self.file, each))
            for each in iso_boxes(self.file, container.start, container.end)
        ]
        found: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        for each in (each for each in inside if each.kind == b"ipma"):
            for item, indices in _associations(content(self.file, each)):
                found[item] = tuple(values[index - 1] for index in indices if 0 < index <= len(values))
        return found

    def _item_data(self, item: int) -> bytes:
        """Return the bytes of an item that lies in the `idat` box or in the file, in one extent."""
        box = self._content(b"iloc")
        version = box[0] if box else 0
        sizes = [box[4] >> 4, box[4] & 15, box[5] >> 4, box[5] & 15 if version else 0] if len(box) > 8 else []
        wide = 4 if version == 2 else 2
        at = 6 + wide
        while sizes and at < len(box):
            number, at = int.from_bytes(box[at : at + wide]), at + wide
            method, at = (int.from_bytes(box[at : at + 2]) & 15, at + 2) if version else (0, at)
            at += 2
            base, at = int.from_bytes(box[at : at + sizes[2]]), at + sizes[2]
            count, at = int.from_bytes(box[at : at + 2]), at + 2
            extents: list[tuple[int, int]] = []
            for _ in range(count):
                at += sizes[3]
                offset, at = int.from_bytes(box[at : at + sizes[0]]), at + sizes[0]
                length, at = int.from_bytes(box[at : at + sizes[1]]), at + sizes[1]
                extents.append((base + offset, length))
            if number == item and extents:
                start = self.boxes[b"idat"].start if method == 1 and b"idat" in self.boxes else 0
                return read_at(self.file, start + extents[0][0], min(extents[0][1], 64))
        return b""


def read_photo(file: BinaryIO) -> Photo | None:
    """Return the primary item of an open HEIF or AVIF file; None if it has none."""
    box = iso_box(file, (b"meta",), 0, file_size(file))
    if box is None:
        return None
    meta = _Meta(file, box)
    return meta.photo(meta.primary, with_alpha=True) if meta.primary else None


def decode_photo(photo: Photo, container: InputContainer, path: str) -> VideoFrame:
    """Return the upright photo as an RGB frame, or RGBA if it has an alpha plane.

    Raises:
        VideoError: an item is missing or broken, or of a derivation that is not known here.
    """
    wanted = {*_items(photo), *(_items(photo.alpha) if photo.alpha else ())}
    frames: dict[int, VideoFrame] = {}
    streams = [stream for stream in container.streams.video if stream.id in wanted]
    for packet in container.demux(tuple(streams)):
        for frame in packet.decode():
            frames[packet.stream.id] = frame
    rgb_HWC = _upright(_composed(photo, frames, _to_rgb, path), photo)
    if photo.alpha is None:
        return VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
    alpha_HW = _upright(_composed(photo.alpha, frames, _to_rgb, path), photo.alpha)[..., 0]
    if alpha_HW.shape != rgb_HWC.shape[:2]:
        alpha_HW = cv2.resize(alpha_HW, rgb_HWC.shape[1::-1], interpolation=cv2.INTER_AREA)
    return VideoFrame.from_ndarray(np.dstack([rgb_HWC, alpha_HW]), format="rgba")


def _items(photo: Photo) -> tuple[int, ...]:
    return photo.grid.tiles if photo.grid else (photo.item,)


def _composed(
    photo: Photo, frames: dict[int, VideoFrame], convert: Callable[[VideoFrame], np.ndarray], path: str
) -> np.ndarray:
    """Return the picture of an item before it is cropped and turned."""
    missing = [item for item in _items(photo) if item not in frames]
    grid = photo.grid
    if photo.kind in (b"iovl", b"iden"):
        kind = photo.kind.decode()
        raise VideoError(
            VideoErrorCode.UNSUPPORTED, path, f"it is composed of others in a way ({kind}) not known here"
        )
    if missing or (
        grid and (not 0 < len(grid.tiles) <= _MAX_TILES or len(grid.tiles) != grid.rows * grid.columns)
    ):
        problem = f"{len(missing)} of the {len(_items(photo))} pictures that it is composed of are missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem)
    if grid is None:
        return convert(frames[photo.item])
    tiles = [convert(frames[item]) for item in grid.tiles]
    if len({tile.shape for tile in tiles}) > 1:
        raise VideoError(VideoErrorCode.UNSUPPORTED, path, "the tiles of the photo differ in size")
    rows = [np.hstack(tiles[at : at + grid.columns]) for at in range(0, len(tiles), grid.columns)]
    whole_HWC = np.vstack(rows)[: grid.height, : grid.width]
    if whole_HWC.shape[:2] != (grid.height, grid.width):
        raise VideoError(VideoErrorCode.UNSUPPORTED, path, "the tiles of the photo do not fill it")
    return whole_HWC


def _to_rgb(frame: VideoFrame) -> np.ndarray:
    return RgbConverter(size_px=None, interpolation="FAST_BILINEAR", still=True)(
        frame, pose_of(frame, Fraction(1))
    )


def _upright(rgb_HWC: np.ndarray, photo: Photo) -> np.ndarray:
    """Apply the clean aperture, rotation and mirror of an item in order; FFmpeg has turned single items."""
    for kind, body in photo.properties:
        if kind == b"clap":
            height, width = rgb_HWC.shape[:2]
            left, top, right, bottom = clean_aperture(body, width, height)
            rgb_HWC = rgb_HWC[top : height - bottom, left : width - right]
        elif kind == b"irot" and body and photo.grid:
            rgb_HWC = np.rot90(rgb_HWC, body[0] & 3)
        elif kind == b"imir" and body and photo.grid:
            rgb_HWC = rgb_HWC[:, ::-1] if body[0] & 1 else rgb_HWC[::-1]
    return rgb_HWC


def _associations(body: bytes) -> list[tuple[int, list[int]]]:
    """Return the property indices of each item of an `ipma` box."""
    if len(body) < 8:
        return []
    wide_item, wide_index = (2 if body[0] < 1 else 4), (2 if body[3] & 1 else 1)
    found: list[tuple[int, list[int]]] = []
    at = 8
    for _ in range(int.from_bytes(body[4:8])):
        item, count = int.from_bytes(body[at : at + wide_item]), body[at + wide_item : at + wide_item + 1]
        at += wide_item + 1
        indices: list[int] = []
        for _ in range(count[0] if count else 0):
            indices.append(int.from_bytes(body[at : at + wide_index]) & (0x7FFF if wide_index == 2 else 0x7F))
            at += wide_index
        found.append((item, indices))
        if at >= len(body):
            break
    return found
