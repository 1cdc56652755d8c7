"""Tell what one copy has over another from what happens in one clip only, by small pictures.

A logo, a banner or a subtitle is a difference near an edge of the picture that stays where it is, a border is
one along a whole edge; a copy may have these. A difference that moves, or one in the middle of the picture,
is something that the other clip does not show, however small: a far-off person makes another clip.

Legend: N frames, H height, W width, D values of a small picture.
"""

import numpy as np

from pipeline.fingerprint_format import CHROMA_SIDE, PER_S, SIDE

_ZONE_TOP, _ZONE_BOTTOM, _ZONE_CORNER = 3, 5, 5
"""Cells from the top and from the bottom in which lines of text may be; sides of the corners with logos."""
MIDDLE_ROWS = slice(_ZONE_CORNER, SIDE - _ZONE_BOTTOM)
"""Rows without overlays."""
_MIN_STAY_S, _MIN_WIDTH = 0.5, 3
"""A line of text stays for at least the first, and is at least the second wide, in cells. A logo stays for
the whole clip."""
_LOGO_SHARE = 0.6
"""Least share of the frames in which a logo differs from what is under it."""
_MIN_INK = 5.0
"""Least difference of a cell with an overlay, of 255, beyond `_NOISE` times the noise."""
_NOISE = 4.0
_MIN_EDGE, _EDGE_OVER_USUAL, _EVEN, _MIN_EDGE_SHARE = 1.5, 1.5, 0.3, 0.8
"""Least mean difference of an edge, of 255, and as a multiple of what the middle differs by. Cells of the
fourth share differ the same way, by at least the third of the mean."""
_MAX_AREA = 0.35
"""Largest share of the picture under overlays."""
_MIN_CONTRAST, _MAX_PLAIN = 3.0, 2.5
"""Least standard deviation outside of overlays, and greatest texture of a plain ground under one, of 255."""
_MIN_MOTION = 4.0
"""Least standard deviation in time, of 255, of some cell in which something moves."""
_MIN_TEXTURE, _MIN_TEXTURED = 4.0, 0.3
"""Cells that differ from their neighbours by the first, of 255, are textured. Outside of overlays at least
the second share must be, or what is left does not show that the clips are the same."""
MISPLACED = 0.12
"""Share of the range of the cells around a cell that is no difference: scaling and cropping place pictures
otherwise, by a fraction of a cell."""
_MISTIMED = 1.3
"""Weight of a cell's change in time, against that of the range around it, in what a copy may differ by."""
_USUAL_QUANTILE, _UNUSUAL = 0.95, 3.0
"""A thing differs by more than the second times this quantile of what cells differ by, each as a share of its
own range and change."""
_MIN_THING, _MIN_RELATIVE = 6.0, 0.3
"""Least difference of a thing, of 255, and as a share of the range and the change of its cell."""
_MIN_THING_S = 0.45
"""A thing is seen for at least this long altogether, or in half of the clip."""


def overlay_cells(difference_ND: np.ndarray, first_ND: np.ndarray, second_ND: np.ndarray) -> np.ndarray:
    """Return mask_NHW: cells under an overlay that only one of two aligned clips has.

    Args:
        difference_ND: `first_ND - second_ND`.
        first_ND, second_ND: small pictures, float32; their first SIDE * SIDE values are luma.
    """
    luma_NHW = np.abs(_luma(difference_ND))
    least = _MIN_INK + _NOISE * _noise(luma_NHW)
    stay = min(len(luma_NHW), round(_MIN_STAY_S * PER_S) + 1)
    ink_NHW = _corners() & _stays(luma_NHW > least) | _lines(_bands() & (_opened(luma_NHW, stay) > least))
    mask_NHW = _grown(ink_NHW)
    if not mask_NHW.any():
        return mask_NHW
    if mask_NHW.mean(axis=(1, 2)).max() > _MAX_AREA:
        return np.zeros_like(mask_NHW)
    inside_HW = np.asarray(mask_NHW.any(axis=0))
    shows = _shows_the_same(first_ND, second_ND, inside_HW)
    return mask_NHW if shows else np.zeros_like(mask_NHW)


def edge_cells(difference_ND: np.ndarray) -> np.ndarray:
    """Return edge_HW: outermost lines in which one of two aligned clips is darker, or brighter, throughout.

    There a black edge or a white frame was trimmed by a line less, or a thin one was not trimmed.

    Args:
        difference_ND: one clip's small pictures minus the other's, float32.
    """
    difference_HW = np.median(_luma(difference_ND), axis=0)
    usual = float(np.median(np.abs(difference_HW[2:-2, 2:-2]))) + 0.5
    edge_HW = np.zeros((SIDE, SIDE), bool)
    for line in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
        line_S = difference_HW[line]
        mean = float(line_S.mean())
        one_way = float((line_S * mean > _EVEN * mean * mean).mean()) >= _MIN_EDGE_SHARE
        edge_HW[line] |= one_way and abs(mean) > max(_MIN_EDGE, _EDGE_OVER_USUAL * usual)
    return edge_HW


def _shows_the_same(first_ND: np.ndarray, second_ND: np.ndarray, inside_HW: np.ndarray) -> bool:
    """Return whether what is outside of overlays can tell two clips apart.

    It can if it is textured, or if it has some contrast and something moves in it, or one clip is plain where
    the other has an overlay.
    """
    clips_NHW, outside_HW = (_luma(first_ND), _luma(second_ND)), ~inside_HW
    textures = [_texture(each.mean(axis=0)) for each in clips_NHW]
    if min(float((each[outside_HW] > _MIN_TEXTURE).mean()) for each in textures) >= _MIN_TEXTURED:
        return True
    contrast = min(_contrast(each, outside_HW) for each in (first_ND, second_ND))
    moves = min(float(each[:, outside_HW].std(axis=0).max()) for each in clips_NHW)
    is_plain = min(float(each[inside_HW].mean()) for each in textures) <= _MAX_PLAIN
    return contrast >= _MIN_CONTRAST and (is_plain or moves >= _MIN_MOTION)


def _contrast(picture_ND: np.ndarray, outside_HW: np.ndarray) -> float:
    """Return the standard deviation of luma or of chroma, whichever is more, in the median frame."""
    chroma_NCHW = picture_ND[:, SIDE * SIDE :].reshape(-1, 2, CHROMA_SIDE, CHROMA_SIDE)
    step = SIDE // CHROMA_SIDE
    chroma_HW = outside_HW.reshape(CHROMA_SIDE, step, CHROMA_SIDE, step).all(axis=(1, 3))
    luma_N = _luma(picture_ND)[:, outside_HW].std(axis=1)
    if not chroma_HW.any():
        return float(np.median(luma_N))
    chroma_N = chroma_NCHW[:, :, chroma_HW].std(axis=2).max(axis=1)
    return float(np.median(np.maximum(luma_N, chroma_N)))


def shows_other_thing(
    difference_ND: np.ndarray,
    first_ND: np.ndarray,
    second_ND: np.ndarray,
    mask_NHW: np.ndarray,
    between_N: np.ndarray,
) -> bool:
    """Return whether one of two aligned clips shows something that the other does not, outside of a mask.

    Args:
        between_N: how far each frame lies between moments at which the other clip was seen, 0 to 1.
    """
    difference_NHW = np.abs(_luma(difference_ND))
    first_NHW, second_NHW = _luma(first_ND), _luma(second_ND)
    liveliness_NHW = (
        _MIN_TEXTURE
        + np.minimum(ranges(first_NHW), ranges(second_NHW))
        + _MISTIMED * np.minimum(_changes(first_NHW), _changes(second_NHW))
        + between_N[:, None, None] * np.minimum(changes_around(first_NHW), changes_around(second_NHW))
    )
    relative_NHW = difference_NHW / liveliness_NHW
    usual = float(np.quantile(relative_NHW[~mask_NHW], _USUAL_QUANTILE)) if not mask_NHW.all() else 0.0
    unusual_NHW = relative_NHW > max(_MIN_RELATIVE, _UNUSUAL * usual)
    thing_NHW = ~mask_NHW & (difference_NHW > _MIN_THING) & unusual_NHW
    num_shown = int(np.count_nonzero(thing_NHW.reshape(len(thing_NHW), -1).sum(axis=1)))
    return num_shown >= min(round(_MIN_THING_S * PER_S), max(1, len(thing_NHW) // 2))


def _luma(picture_ND: np.ndarray) -> np.ndarray:
    return picture_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)


def _noise(absolute_NHW: np.ndarray) -> float:
    return float(np.median(absolute_NHW)) + 0.25


def _corners() -> np.ndarray:
    """Return corner_HW."""
    near_S = (np.arange(SIDE) < _ZONE_CORNER) | (np.arange(SIDE) >= SIDE - _ZONE_CORNER)
    return near_S[:, None] & near_S


def _bands() -> np.ndarray:
    """Return band_H1: rows for lines of text."""
    row_H1 = np.arange(SIDE)[:, None]
    return (row_H1 < _ZONE_TOP) | (row_H1 >= SIDE - _ZONE_BOTTOM)


def _stays(ink_NHW: np.ndarray) -> np.ndarray:
    """Return cells_HW with ink from first to last: not throughout, as what is under it may look the same."""
    ends = -(-len(ink_NHW) // 5)
    first_HW, last_HW = ink_NHW[:ends].any(axis=0), ink_NHW[-ends:].any(axis=0)
    return first_HW & last_HW & (ink_NHW.mean(axis=0) >= _LOGO_SHARE)


def _lines(ink_NHW: np.ndarray) -> np.ndarray:
    """Keep the ink of the upper and the lower half of each frame where it has the width of a line of text.

    Where such a line is seen in one frame, shorter ones may be in others.
    """
    halves = []
    for half in np.split(ink_NHW, 2, axis=1):
        is_line_N = half.any(axis=1).sum(axis=1) >= _MIN_WIDTH
        rows_H = np.asarray(half[is_line_N].any(axis=(0, 2)))
        halves.append(half & (is_line_N[:, None, None] | rows_H[:, None]))
    return np.concatenate(halves, axis=1)


def _opened(values_NHW: np.ndarray, count: int) -> np.ndarray:
    """Return the opening in time: the greatest value that lasts `count` frames, or to an end, at each."""
    padded_NHW = np.pad(values_NHW, ((count - 1, count - 1), (0, 0), (0, 0)), constant_values=np.inf)
    lows = np.lib.stride_tricks.sliding_window_view(padded_NHW, count, axis=0).min(axis=-1)
    return np.lib.stride_tricks.sliding_window_view(lows, count, axis=0).max(axis=-1)


def _grown(mask_NHW: np.ndarray) -> np.ndarray:
    """Add the cells around a mask: a letter's edge lies in them."""
    return _around(mask_NHW, np.maximum)


def _texture(luma_HW: np.ndarray) -> np.ndarray:
    return ranges(luma_HW[None])[0] / 2


def ranges(values_NHW: np.ndarray) -> np.ndarray:
    """Return greatest minus least value of the 3 x 3 cells around each."""
    values_NHW = values_NHW.astype(np.float32)
    return _around(values_NHW, np.maximum) - _around(values_NHW, np.minimum)


def _around(values_NHW: np.ndarray, chosen: np.ufunc) -> np.ndarray:
    """Return the greatest (np.maximum) or least (np.minimum) value of the 3 x 3 cells around each."""
    rows_NHW = values_NHW.copy()
    chosen(rows_NHW[:, 1:], values_NHW[:, :-1], out=rows_NHW[:, 1:])
    chosen(rows_NHW[:, :-1], values_NHW[:, 1:], out=rows_NHW[:, :-1])
    around_NHW = rows_NHW.copy()
    chosen(around_NHW[..., 1:], rows_NHW[..., :-1], out=around_NHW[..., 1:])
    chosen(around_NHW[..., :-1], rows_NHW[..., 1:], out=around_NHW[..., :-1])
    return around_NHW


def _changes(luma_NHW: np.ndarray) -> np.ndarray:
    """Return the larger change of each cell from the frame before and to the next."""
    steps_NHW = np.abs(np.diff(luma_NHW, axis=0, prepend=luma_NHW[:1], append=luma_NHW[-1:]))
    return np.maximum(steps_NHW[:-1], steps_NHW[1:])


def changes_around(values_NHW: np.ndarray) -> np.ndarray:
    """Return the largest change, from the frame before or to the next, of the 3 x 3 cells around each."""
    return _around(_changes(values_NHW), np.maximum)
