"""Align two clips in time by the small pictures of their fingerprints, and measure how much they differ.

Legend: N frames of a fingerprint; D values of a small picture (luma, then chroma).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.dedup.overlays import (
    MIDDLE_ROWS,
    MISPLACED,
    changes_around,
    edge_cells,
    overlay_cells,
    ranges,
    shows_other_thing,
)
from pipeline.dedup.placement import moved, placement
from pipeline.fingerprint_format import CHROMA_SIDE, HASHES, LOOK_BYTES, PER_S, SIDE, views_of

MAX_SHIFT_S = 0.5 / PER_S
"""Largest distance in time between a copy's frames and those of its original."""
_MAX_ROUNDS = 3
"""Rounds of shifts that are tried."""
_WELL_PLACED = 1.0
"""Distance up to which pictures need not be placed better, of 255."""
_CHANNELS = [SIDE * SIDE, SIDE * SIDE + CHROMA_SIDE * CHROMA_SIDE]
"""Where the chroma channels of a small picture begin."""
_MAX_LEVEL = 4.0
"""Greatest difference of a whole clip that is none, of 255."""
_NEARLY_SEEN = 0.05
"""Part of the way from one seen moment to the next, times 4 and times the rest, that counts as none."""
_MIN_LASTING = 4
"""Least number of frames of which one may differ."""
_OUTSIDE = 1.0
"""What the mean difference must be less by, of 255, to leave all frames outside of the keeper."""
_SHIFTS_S = np.linspace(-MAX_SHIFT_S, MAX_SHIFT_S, 9)


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrames:
    """The fingerprint frames of one clip."""

    time_N: np.ndarray
    """Seconds since the clip's first frame, increasing."""
    picture_ND: np.ndarray
    """Small pictures, uint8."""
    duration_s: float
    """0 for a still."""
    contrast: float
    """Median `difference` between a picture and its own mean, in the view where it is less."""
    untrimmed: "ClipFrames | None" = None
    """The same clip with its border; None without one."""

    @property
    def views(self) -> "list[ClipFrames]":
        """The clip inside of its border, and as it is."""
        return [self] if self.untrimmed is None else [self, self.untrimmed]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The best alignment of a candidate with a keeper."""

    distance: float
    """Difference of the least similar two frames in succession, 0 to 255; 255 if one clip shows a thing that
    the other does not."""
    mean: float
    """Mean difference of all values in all frames, 0 to 255."""
    offset_s: float
    """Start of the candidate in the keeper, in seconds."""
    covered: float
    """Share of the candidate's duration that lies inside the keeper, 0 to 1."""
    frames: int
    """Number of frames compared."""


def clip_frames(frame_hashes: bytes, frame_looks: bytes, duration_s: float) -> ClipFrames:
    """Parse the columns that `Fingerprint` writes for one clip."""
    picture_ND = np.frombuffer(frame_looks, np.uint8).reshape(-1, LOOK_BYTES)
    times = [view["ms"] / 1000 for view in views_of(np.frombuffer(frame_hashes, HASHES))]
    pictures = np.split(picture_ND, np.cumsum([len(time_N) for time_N in times])[:-1])
    contrast = min(float(np.median(differences(each, _channel_means(each)))) for each in pictures)
    clip: ClipFrames | None = None
    for time_N, view_ND in zip(reversed(times), reversed(pictures), strict=True):
        clip = ClipFrames(time_N, view_ND, duration_s, contrast, clip)
    assert clip is not None
    return clip


def mirror(clip: ClipFrames) -> ClipFrames:
    """Flip a clip horizontally."""
    luma = clip.picture_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)[..., ::-1]
    chroma = clip.picture_ND[:, SIDE * SIDE :].reshape(-1, 2 * CHROMA_SIDE, CHROMA_SIDE)[..., ::-1]
    n = len(clip.time_N)
    picture_ND = np.hstack([luma.reshape(n, -1), chroma.reshape(n, -1)])
    untrimmed = None if clip.untrimmed is None else mirror(clip.untrimmed)
    return replace(clip, picture_ND=picture_ND, untrimmed=untrimmed)


def align(
    candidate: ClipFrames, keeper: ClipFrames, offset_s: float, limit: float = np.inf
) -> Alignment | None:
    """Align `candidate` with `keeper`, starting near `offset_s`.

    Tries shifts of up to half a frame interval, and further where the best one is the last; interpolates
    linearly between the keeper's frames. Returns None if the two share no frame, if only one of them is a
    still, or if they differ by more than `limit` wherever the pictures are placed.
    """
    if candidate.duration_s == 0 or keeper.duration_s == 0:
        if candidate.duration_s != keeper.duration_s:
            return None
        return _aligned(candidate, keeper, 0.0, (0.0, np.ones(1, bool)))
    best = _best_shift(candidate, keeper, offset_s)
    begin_s = offset_s
    for _ in range(_MAX_ROUNDS - 1):
        if best is None or abs(best[0] - begin_s) < 0.99 * MAX_SHIFT_S:
            break
        begin_s = best[0]
        best = _best_shift(candidate, keeper, begin_s)
    if best is None or _hopeless(candidate, keeper, *best, limit):
        return None
    return _aligned(candidate, keeper, offset_s, best)


def _best_shift(
    candidate: ClipFrames, keeper: ClipFrames, offset_s: float
) -> tuple[float, np.ndarray] | None:
    """Return the shift with the least mean difference, and which frames then lie inside the keeper.

    What only one clip shows adds to the difference at every shift: the largest would choose the shift that
    hides it best. Where little moves, noise would choose: frames outside of the keeper cost a little.
    """
    picture_ND = candidate.picture_ND.astype(np.float32)
    tried: list[tuple[float, float, np.ndarray]] = []
    for shift_s in _SHIFTS_S + offset_s:
        time_N = candidate.time_N + shift_s
        inside_N = (time_N >= keeper.time_N[0] - MAX_SHIFT_S) & (time_N <= keeper.time_N[-1] + MAX_SHIFT_S)
        if inside_N.any():
            difference_ND = picture_ND[inside_N] - _interpolate(keeper, time_N[inside_N])
            mean = float(np.abs(difference_ND).mean())
            tried.append((mean + _OUTSIDE * (1 - float(inside_N.mean())), float(shift_s), inside_N))
    if not tried:
        return None
    _, shift_s, inside_N = min(tried, key=lambda each: (each[0], abs(each[1] - offset_s), each[1]))
    return shift_s, inside_N


def _hopeless(
    candidate: ClipFrames, keeper: ClipFrames, shift_s: float, inside_N: np.ndarray, limit: float
) -> bool:
    """Return whether most frames differ, where no overlay is, by more than a move of one cell explains."""
    rows = slice((MIDDLE_ROWS.start - 1) * SIDE, (MIDDLE_ROWS.stop + 1) * SIDE)
    time_N = candidate.time_N[inside_N] + shift_s
    between_N = _between(keeper, time_N)
    keeper = replace(keeper, picture_ND=keeper.picture_ND[:, rows])
    first_NHW = candidate.picture_ND[inside_N, rows].astype(np.float32).reshape(len(time_N), -1, SIDE)
    second_NHW = _interpolate(keeper, time_N).astype(np.float32).reshape(first_NHW.shape)
    allowed_NHW = np.minimum(ranges(first_NHW), ranges(second_NHW)) + _MAX_LEVEL
    if between_N.max() > _NEARLY_SEEN:
        changes_NHW = np.minimum(changes_around(first_NHW), changes_around(second_NHW))
        allowed_NHW += between_N[:, None, None] * changes_NHW
    beyond_NHW = np.maximum(0, np.abs(first_NHW - second_NHW) - allowed_NHW)[:, 1:-1, 1:-1]
    distance_N = np.sqrt(np.sqrt(_mean_square(np.square(beyond_NHW.reshape(len(time_N), -1)))))
    return float(np.median(distance_N)) > limit


def _aligned(
    candidate: ClipFrames, keeper: ClipFrames, offset_s: float, best: tuple[float, np.ndarray]
) -> Alignment:
    """Return the alignment at the best shift, with the pictures as they are or placed better.

    Beside borders the shift is searched again then: between frames all is blurred, which hides what is not in
    place.
    """
    outermost = _has_edges(candidate, keeper)
    alignment = _alignment(candidate, keeper, *best)
    if alignment.distance <= _WELL_PLACED:
        return alignment
    shift_s, inside_N = best
    expected_ND = _interpolate(keeper, candidate.time_N[inside_N] + shift_s)
    move_4 = placement(expected_ND.astype(np.float32), candidate.picture_ND[inside_N].astype(np.float32))
    if move_4 is None:
        return alignment
    keeper = replace(keeper, picture_ND=moved(keeper.picture_ND, move_4))
    again = None if outermost else _best_shift(candidate, keeper, offset_s)
    shifts = [best] if again is None or again[0] == shift_s else [best, again]
    tried = [_alignment(candidate, keeper, *shift, outermost=outermost) for shift in shifts]
    return min(alignment, *tried, key=lambda each: each.distance)


def _alignment(
    candidate: ClipFrames, keeper: ClipFrames, shift_s: float, inside_N: np.ndarray, *, outermost: bool = True
) -> Alignment:
    """Args:
    outermost: whether the cells at the edges of pictures count.
    """
    time_N = candidate.time_N[inside_N] + shift_s
    shown_ND = candidate.picture_ND[inside_N].astype(np.float32)
    expected_ND = _expected(keeper, time_N, shown_ND)
    distance = _distance(shown_ND, expected_ND, _between(keeper, time_N), outermost=outermost)
    mean = float(np.abs(_level(shown_ND - expected_ND)).mean())
    if candidate.duration_s == 0:
        return Alignment(distance, mean, 0.0, 1.0, 1)
    begin, end = max(0.0, shift_s), min(keeper.duration_s, shift_s + candidate.duration_s)
    covered = max(0.0, end - begin) / candidate.duration_s
    return Alignment(distance, mean, shift_s, covered, int(inside_N.sum()))


def _has_edges(candidate: ClipFrames, keeper: ClipFrames) -> bool:
    """Return whether the edges of both pictures were seen: no border was cut off with a line too much."""
    return candidate.untrimmed is None and keeper.untrimmed is None


def _distance(
    first_ND: np.ndarray, second_ND: np.ndarray, between_N: np.ndarray, *, outermost: bool = True
) -> float:
    """Return the difference of the least similar two frames in succession, beside overlays.

    255 if one clip shows a thing that the other does not. One frame alone may differ: a flash or a cut beside
    it may lie between the moments at which the other clip was seen.

    Args:
        first_ND, second_ND: aligned small pictures, float32.
        between_N: how far each of `second_ND` lies between moments that were seen, 0 to 1.
        outermost: whether the cells at the edges count.
    """
    difference_ND = _level(first_ND - second_ND)
    mask_NHW = overlay_cells(difference_ND, first_ND, second_ND) | edge_cells(difference_ND)
    if not outermost:
        mask_NHW[:, [0, -1]] = mask_NHW[:, :, [0, -1]] = True
    if len(first_ND) > 1 and shows_other_thing(difference_ND, first_ND, second_ND, mask_NHW, between_N):
        return 255.0
    allowed_ND = MISPLACED * _common(ranges, first_ND, second_ND)
    if between_N.max() > _NEARLY_SEEN:
        allowed_ND += between_N[:, None] * _common(changes_around, first_ND, second_ND)
    reduced_ND = np.maximum(0, np.abs(difference_ND) - allowed_ND)
    if not mask_NHW.any():
        return _lasting(_fourth_root(reduced_ND))
    shown_ND = ~np.hstack([mask_NHW.reshape(len(mask_NHW), -1), *[_chroma_mask(mask_NHW)] * 2])
    share_N = np.maximum(1e-3, shown_ND.mean(axis=1)) ** 0.25
    return _lasting(_fourth_root(reduced_ND * shown_ND) / share_N)


def _level(difference_ND: np.ndarray) -> np.ndarray:
    """Take what a whole clip differs by in luma or in chroma away: converting colours rounds."""
    levels = [
        np.broadcast_to(np.clip(np.median(channel), -_MAX_LEVEL, _MAX_LEVEL), channel.shape)
        for channel in np.split(difference_ND, _CHANNELS, axis=1)
    ]
    return difference_ND - np.hstack(levels)


def _lasting(distance_N: np.ndarray) -> float:
    """Return the greatest distance that two frames in succession have; of a still, its own."""
    if len(distance_N) < _MIN_LASTING:
        return float(distance_N.max())
    return float(np.minimum(distance_N[:-1], distance_N[1:]).max())


def _common(
    measure: Callable[[np.ndarray], np.ndarray], first_ND: np.ndarray, second_ND: np.ndarray
) -> np.ndarray:
    """Return the measure of each channel of the clip where it is smaller, value by value."""
    sides = (SIDE, CHROMA_SIDE, CHROMA_SIDE)
    channels = zip(*(np.split(each, _CHANNELS, axis=1) for each in (first_ND, second_ND)), strict=True)
    return np.hstack(
        [
            np.minimum(*(measure(each.reshape(-1, side, side)) for each in pair)).reshape(len(first_ND), -1)
            for side, pair in zip(sides, channels, strict=True)
        ]
    )


def _chroma_mask(mask_NHW: np.ndarray) -> np.ndarray:
    """Return the chroma values, of one channel, that masked cells of luma touch."""
    step = SIDE // CHROMA_SIDE
    blocks = mask_NHW.reshape(len(mask_NHW), CHROMA_SIDE, step, CHROMA_SIDE, step)
    return blocks.any(axis=(2, 4)).reshape(len(mask_NHW), -1)


def differences(first_ND: np.ndarray, second_ND: np.ndarray) -> np.ndarray:
    """Return the difference of each pair of small pictures, 0 to 255.

    The fourth root of the mean fourth power, of luma or of chroma, whichever is larger.
    """
    return _fourth_root(first_ND.astype(np.float32) - second_ND.astype(np.float32))


def middle_differences(first_ND: np.ndarray, second_ND: np.ndarray) -> np.ndarray:
    """Return `differences` of the rows of luma that no overlay reaches."""
    difference_ND = first_ND.astype(np.float32) - second_ND.astype(np.float32)
    luma_NHW = difference_ND[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
    middle_ND = luma_NHW[:, MIDDLE_ROWS].reshape(len(luma_NHW), -1)
    return np.sqrt(np.sqrt(_mean_square(np.square(middle_ND))))


def _fourth_root(difference_ND: np.ndarray) -> np.ndarray:
    square_ND = np.square(difference_ND)
    luma_ND, chroma_ND = square_ND[:, : SIDE * SIDE], square_ND[:, SIDE * SIDE :]
    fourth_N = np.maximum(_mean_square(luma_ND), _mean_square(chroma_ND))
    return np.sqrt(np.sqrt(fourth_N))


def _channel_means(picture_ND: np.ndarray) -> np.ndarray:
    """Replace each channel of each picture by its mean."""
    channels = np.split(picture_ND.astype(np.float32), _CHANNELS, axis=1)
    flat = [np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape) for values in channels]
    return np.concatenate(flat, axis=1)


def _mean_square(values_ND: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", values_ND, values_ND) / values_ND.shape[1]


def _interpolate(clip: ClipFrames, time_N: np.ndarray) -> np.ndarray:
    """Return the clip's pictures at `time_N`."""
    if len(clip.time_N) == 1:
        return np.repeat(clip.picture_ND, len(time_N), axis=0)
    next_N = np.clip(np.searchsorted(clip.time_N, time_N), 1, len(clip.time_N) - 1)
    left_N, right_N = clip.time_N[next_N - 1], clip.time_N[next_N]
    weight_N1 = np.clip((time_N - left_N) / (right_N - left_N), 0, 1)[:, None].astype(np.float32)
    return clip.picture_ND[next_N - 1] * (1 - weight_N1) + clip.picture_ND[next_N] * weight_N1


def _expected(clip: ClipFrames, time_N: np.ndarray, shown_ND: np.ndarray) -> np.ndarray:
    """Return the clip's pictures at `time_N`, float32: interpolated, or one of those beside if it is nearer.

    A flash or a jump that one of the two shows may not be there yet, or be over.
    """
    linear_ND = _interpolate(clip, time_N).astype(np.float32)
    if len(clip.time_N) == 1:
        return linear_ND
    next_N = np.clip(np.searchsorted(clip.time_N, time_N), 1, len(clip.time_N) - 1)
    tried_3ND = np.stack([linear_ND, clip.picture_ND[next_N - 1], clip.picture_ND[next_N]])
    nearest_N = np.abs(tried_3ND - shown_ND).mean(axis=2).argmin(axis=0)
    return tried_3ND[nearest_N, np.arange(len(time_N))]


def _between(clip: ClipFrames, time_N: np.ndarray) -> np.ndarray:
    """Return how far each time is from the clip's own frames: 0 at one, 1 in the middle between two."""
    if len(clip.time_N) == 1:
        return np.zeros(len(time_N), np.float32)
    next_N = np.clip(np.searchsorted(clip.time_N, time_N), 1, len(clip.time_N) - 1)
    left_N, right_N = clip.time_N[next_N - 1], clip.time_N[next_N]
    weight_N = np.clip((time_N - left_N) / (right_N - left_N), 0, 1)
    return (4 * weight_N * (1 - weight_N)).astype(np.float32)
