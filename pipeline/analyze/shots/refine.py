"""Check boundaries against the frames around them: what the network proposes is confirmed, moved or dropped.

- Frames that are black or white for a moment end a shot if another scene follows, and then belong to no shot.
- A boundary between two frames of the same scene is a strobe, a flash, an inset or a banner, and is dropped.
- A frame of a hard cut that shows both shots belongs to neither.
- Where frames are far apart, as in a slide show, neighbours alone decide.

Pure functions. Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from pipeline.analyze.shots.boundaries import Boundary, true_runs
from pipeline.analyze.shots.structure import (
    Picture,
    detail,
    persistence,
    persists_in_part,
    same_scene,
    same_slide,
)

MARGIN_FRAMES = 10
"""Boundaries depend on no frame farther away than this from what the network or a blank frame proposes."""
MAX_BLANK_S = 1.0
"""Frames that are blank for longer are a shot, seconds."""
_MAX_GAP_S = 0.45
"""Blank frames between two scenes are a transition up to this long, and a shot beyond."""
_MAX_BRIDGE_S = 0.45
"""Gradual transitions that are this close are one."""
_MAX_GLITCH_S = 0.13
"""A scene that is interrupted by something else for this long goes on."""
_SLIDE_STEP_S = 0.35
"""Frames at least this far apart are compared directly."""
_MIN_CHANGE = 10.0
"""Least mean difference of two scenes, and least difference of a pixel that changed, of 255."""
_MAX_PERSISTENCE = 0.3
"""Greatest share of the structure that persists between scenes with blank frames or a dissolve between them:
under a strobe, something large may pass while it is dark."""
_ENTERED, _MIN_DISSOLVED = 4, 0.15
"""A gradual transition changes at least the second share of the pixels by more than the first, of 255: less
is a thing that enters before a plain ground."""
_MIN_BLEND, _MAX_BLEND_RESIDUAL = 0.05, 0.45
"""The middle of a dissolve is a sum of a gray and the frames beside it, each weighted by at least the first.
It differs from that by at most the second share of their difference; what passes is elsewhere then."""
_MIN_MIX, _MAX_MIX_RESIDUAL, _MAX_MIX_MOTION, _MIN_MIX_CHANGE = 0.12, 0.3, 0.35, 12.0
"""A frame is a mixture of its neighbours if both weigh at least the first, it differs from the mixture by at
most the second of their difference, each differs from its other neighbour by at most the third of it, and it
is at least the fourth (root mean square, of 255)."""
_MIN_MIX_SHARE = 0.4
"""Least share of the pixels that change where the network did not see the cut: less is a thing that moves."""
_MIN_JUMP, _MIN_JUMP_RATIO, _CALM_FRAMES = 12.0, 2.0, 3
"""A frame jumps if it differs from the one before by at least the first (root mean square, of 255), and by
the second times as much as any two neighbours up to the third before or after."""
_PADDING_SHARE = 0.06
"""A gradual transition is extended on both sides by this share of its length, and by a frame: its first and
last frames hardly differ from the shots."""
_MAX_PADDING = MARGIN_FRAMES // 2


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Consecutive frames of a video."""

    grays: Sequence[np.ndarray]
    """gray_HW of each frame, uint8."""
    small_THWC: np.ndarray
    """uint8, from `features.downscale`."""
    blank_T: np.ndarray
    """From `structure.is_blank`."""
    time_T: np.ndarray
    """Seconds."""
    _same: dict[tuple[int, int, bool], bool] = field(default_factory=dict, init=False, repr=False)
    _details: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def short_blanks(self) -> list[tuple[int, int]]:
        """Runs of blank frames as [start, end), up to `MAX_BLANK_S` long, with frames on both sides."""
        num_frames = len(self.time_T)
        return [
            (start, end)
            for start, end in true_runs(self.blank_T, max_hole=0)
            if start > 0 and end < num_frames and self.time_T[end] - self.time_T[start] <= MAX_BLANK_S
        ]

    def same(self, before: int, after: int, *, inset: bool = True) -> bool:
        """Return whether two frames show the same scene, also if an `inset` covers part of one of them."""
        key = before, after, inset
        if key not in self._same:
            pictures = self._pictures(before, after)
            step_s = self.time_T[after] - self.time_T[before]
            slides = after == before + 1 and step_s > _SLIDE_STEP_S
            self._same[key] = same_slide(*pictures) if slides else same_scene(*pictures, inset=inset)
        return self._same[key]

    def differ(self, before: int, after: int) -> bool:
        """Return whether two frames certainly show different scenes: much changed, more than light gives."""
        change = np.abs(self._frames_TP[before] - self._frames_TP[after]).mean()
        return bool(change >= _MIN_CHANGE) and not self.same(before, after)

    def nothing_persists(self, before: int, after: int) -> bool:
        """Return whether two frames differ, and nearly none of their structure is in the same place."""
        pictures = self._pictures(before, after)
        return self.differ(before, after) and persistence(*pictures) <= _MAX_PERSISTENCE

    def differ_everywhere(self, before: int, after: int) -> bool:
        """Return whether nothing persists between two frames, nor between large parts of them."""
        pictures = self._pictures(before, after)
        return self.nothing_persists(before, after) and not persists_in_part(*pictures)

    def is_blend(self, before: int, after: int) -> bool:
        """Return whether the frame in the middle is a weighted sum of two frames and a gray."""
        old_P, middle_P, new_P = (self._frames_TP[at] for at in (before, (before + after) // 2, after))
        basis_PK = np.stack([old_P, new_P, np.ones_like(old_P)], axis=1)
        weights_K = np.linalg.lstsq(basis_PK, middle_P, rcond=None)[0]
        residual = np.linalg.norm(middle_P - basis_PK @ weights_K)
        is_close = residual <= _MAX_BLEND_RESIDUAL * np.linalg.norm(new_P - old_P)
        return bool(is_close and weights_K[:2].min() >= _MIN_BLEND)

    def _pictures(self, *indices: int) -> list[Picture]:
        return [self._picture(index) for index in indices]

    def _picture(self, index: int) -> Picture:
        if index not in self._details:
            self._details[index] = detail(self.grays[index])
        return Picture(self._details[index], self.small_THWC[index])

    @cached_property
    def jump_T(self) -> np.ndarray:
        """Whether each frame differs from the one before it far more than the frames around them do.

        Flashes of one frame do not count among these, and are no jump.
        """
        flashes_T = self._flash_T | np.concatenate([[False], self._flash_T[:-1]])
        padded_T = np.pad(np.where(flashes_T, 0, self._step_T), _CALM_FRAMES)
        around_T = np.lib.stride_tricks.sliding_window_view(padded_T, 2 * _CALM_FRAMES + 1).copy()
        around_T[:, _CALM_FRAMES] = 0
        return (
            (self._step_T >= _MIN_JUMP**2 * self._frames_TP.shape[1])
            & ~flashes_T
            & (self._step_T >= _MIN_JUMP_RATIO**2 * around_T.max(axis=1))
            & ~self.blank_T
            & ~np.concatenate([[True], self.blank_T[:-1]])
        )

    def is_alone(self, index: int) -> bool:
        """Return whether a frame differs from those beside it far more than they do from the others."""
        step_T = self._step_T[max(0, index - 1) : index + 3]
        if len(step_T) < 4:
            return False
        least = max(_MIN_JUMP**2 * self._frames_TP.shape[1], _MIN_JUMP_RATIO**2 * max(step_T[0], step_T[3]))
        return bool(min(step_T[1], step_T[2]) >= least)

    @cached_property
    def _flash_T(self) -> np.ndarray:
        """Whether each frame is a flash: the frames before and after it are far more like each other."""
        flash_T = np.zeros(len(self.time_T), bool)
        over_TP = self._frames_TP[2:] - self._frames_TP[:-2]
        least_T = np.minimum(self._step_T[1:-1], self._step_T[2:])
        flash_T[1:-1] = np.vecdot(over_TP, over_TP) * _MIN_JUMP_RATIO**2 <= least_T
        return flash_T

    @cached_property
    def mixture_T(self) -> np.ndarray:
        """Whether each frame is a mixture of the ones before and after it, which differ and hardly move."""
        mixture_T = np.zeros(len(self.time_T), bool)
        if len(mixture_T) < 3:
            return mixture_T
        frames_TP = self._frames_TP
        change_TP, progress_TP = frames_TP[2:] - frames_TP[:-2], frames_TP[1:-1] - frames_TP[:-2]
        norm_T = np.vecdot(change_TP, change_TP) + 1e-3
        weight_T = np.vecdot(progress_TP, change_TP) / norm_T
        residual_TP = progress_TP - weight_T[:, None] * change_TP
        step_T = np.append(self._step_T, 0)
        motion_T = np.maximum(step_T[:-3], step_T[3:])
        mixture_T[1:-1] = (
            (norm_T >= _MIN_MIX_CHANGE**2 * frames_TP.shape[1])
            & (np.abs(weight_T - 0.5) < 0.5 - _MIN_MIX)
            & (np.vecdot(residual_TP, residual_TP) <= _MAX_MIX_RESIDUAL**2 * norm_T)
            & (motion_T <= _MAX_MIX_MOTION**2 * norm_T)
        )
        return mixture_T

    @cached_property
    def _frames_TP(self) -> np.ndarray:
        return self.small_THWC.reshape(len(self.small_THWC), -1).astype(np.float32)

    @cached_property
    def _step_T(self) -> np.ndarray:
        """Squared difference of each frame from the one before, summed over pixels; 0 for the first."""
        step_TP = np.diff(self._frames_TP, axis=0, prepend=self._frames_TP[:1])
        return np.vecdot(step_TP, step_TP)

    def before(self, index: int) -> int:
        """Return the last frame before `index` that is not blank, if there is one close to it."""
        return self._nearest(index - 1, -1)

    def after(self, index: int) -> int:
        """Return the first frame from `index` on that is not blank, if there is one close to it."""
        return self._nearest(index, 1)

    def _nearest(self, index: int, step: int) -> int:
        index = first = min(max(index, 0), len(self.time_T) - 1)
        while self.blank_T[index]:
            index += step
            if not 0 <= index < len(self.time_T):
                return first
            if abs(self.time_T[index] - self.time_T[first]) > MAX_BLANK_S:
                return first
        return index

    def changed(self, before: int, after: int, least: float = _MIN_CHANGE) -> float:
        """Return the share of pixels that differ between two frames by more than `least`, of 255."""
        change_HWC = cv2.absdiff(self.small_THWC[before], self.small_THWC[after])
        return float((change_HWC.max(axis=2) > least).mean())


def decide_slides(cut_T: np.ndarray, gradual_T: np.ndarray, evidence: Evidence, first: int) -> None:
    """Replace, in place, the probabilities of frames that are far from their neighbours.

    The arrays begin at frame `first` of the evidence.
    """
    step_T = np.diff(evidence.time_T)
    far_T = np.concatenate([[False], step_T > _SLIDE_STEP_S])[first : first + len(cut_T)]
    next_far_T = np.concatenate([step_T > _SLIDE_STEP_S, [False]])[first : first + len(cut_T)]
    gradual_T[far_T | next_far_T] = 0
    for index in np.flatnonzero(far_T).tolist():
        cut_T[index] = float(not evidence.same(first + index - 1, first + index))


def events(evidence: Evidence) -> np.ndarray:
    """Return event_T: whether a boundary may be at a frame that the network does not propose."""
    event_T = evidence.mixture_T.copy()
    for index in np.flatnonzero(evidence.jump_T).tolist():
        event_T[index] |= evidence.differ(index - 1, index)
    for start, end in true_runs(evidence.blank_T, max_hole=0):
        last = min(end, len(event_T) - 1)
        if start > 0 and evidence.time_T[last] - evidence.time_T[start] <= MAX_BLANK_S:
            event_T[start:end] = True
    return event_T


def refine(
    proposed: list[Boundary], evidence: Evidence, start: int, end: int, slow: Sequence[Boundary] = ()
) -> list[Boundary]:
    """Return the boundaries that begin in frames `start` to `end - 1`, in order.

    Args:
        proposed: what `find_boundaries` found there.
        slow: what `slow_candidates` found there; each counts where nothing else is found.
        evidence: these frames, and `MARGIN_FRAMES` or more before and after, unless the video ends there.
    """
    proposed = _without_blinks(proposed, evidence)
    gaps = [
        Boundary(start=a, end=b)
        for a, b in evidence.short_blanks
        if start <= a < end
        and evidence.time_T[b] - evidence.time_T[a] <= _MAX_GAP_S
        and not evidence.same(a - 1, b)
    ]
    mixed = [
        Boundary(start=index, end=index + 1) for index in np.flatnonzero(evidence.mixture_T[:end]).tolist()
    ]
    gaps += [
        each
        for each in mixed
        if each.start >= start
        and evidence.changed(each.start - 1, each.end) >= _MIN_MIX_SHARE
        and evidence.differ(each.start - 1, each.end)
    ]
    spans = _merged([*_bridged(proposed, evidence), *gaps])
    spans = _with_evident_cuts(spans, evidence, start, end)
    spans = [_with_blended_frame(span, evidence) for span in spans]
    confirmed = [_confirmed(span, proposed, evidence) for span in spans]
    found = [_exact(span, evidence) for span in confirmed if span is not None]
    found = _merged(_without_glitches(found, evidence))
    found += [
        _exact(each, evidence)
        for each in slow
        if not any(other.start <= each.end and each.start <= other.end for other in found)
        and _is_dissolve(each, evidence)
    ]
    return _merged(found)


def _with_evident_cuts(spans: list[Boundary], evidence: Evidence, start: int, end: int) -> list[Boundary]:
    """Add cuts that the network missed, as it does where shots last a few frames only."""
    cuts = [
        Boundary(start=index, end=index)
        for index in np.flatnonzero(evidence.jump_T[:end]).tolist()
        if index >= start
        and not any(each.start - _CALM_FRAMES < index < each.end + _CALM_FRAMES for each in spans)
        and evidence.differ(index - 1, index)
        and not _goes_on(index, evidence)
    ]
    return sorted([*spans, *cuts])


def _goes_on(index: int, evidence: Evidence) -> bool:
    """Return whether the scene before a cut is seen again soon, or the one after it was seen before."""
    later = range(index + 1, min(len(evidence.time_T), index + MARGIN_FRAMES))
    earlier = range(max(0, index - MARGIN_FRAMES), index - 1)
    return any(
        not evidence.blank_T[each] and evidence.same(index - 1, each, inset=False) for each in later
    ) or any(not evidence.blank_T[each] and evidence.same(each, index, inset=False) for each in earlier)


def _without_blinks(proposed: list[Boundary], evidence: Evidence) -> list[Boundary]:
    """Drop what lies at blank frames with the same scene before and after them."""
    blinks = [(a, b) for a, b in evidence.short_blanks if evidence.same(a - 1, b)]
    return [
        each for each in proposed if not any(a - 1 <= each.start and each.end <= b + 1 for a, b in blinks)
    ]


def _confirmed(span: Boundary, proposed: list[Boundary], evidence: Evidence) -> Boundary | None:
    """Return a boundary, wider if need be; None if the frames on both sides are of one scene."""
    before, after = evidence.before(span.start), evidence.after(span.end)
    if not any(span.start <= each.start and each.end <= span.end for each in proposed):
        is_blank = span.end > span.start and evidence.blank_T[span.start : span.end].all()
        differ = evidence.nothing_persists if is_blank else evidence.differ
        return span if differ(before, after) else None
    if span.end - span.start <= 1:
        return None if evidence.same(before, after) else span
    if evidence.same(before, after):
        # the network saw the middle of a dissolve alone, where both ends show both scenes
        wider = _padded(span, min(_MAX_PADDING, max(2, (span.end - span.start) // 4)), evidence)
        return wider if _is_dissolve(wider, evidence) else None
    return span if evidence.changed(before, after, _ENTERED) >= _MIN_DISSOLVED else None


def _is_dissolve(span: Boundary, evidence: Evidence) -> bool:
    """Return whether the frames beside a span differ everywhere, and that in its middle is made of both."""
    before, after = evidence.before(span.start), evidence.after(span.end)
    return evidence.differ_everywhere(before, after) and evidence.is_blend(before, after)


def _with_blended_frame(span: Boundary, evidence: Evidence) -> Boundary:
    """Extend a hard cut by a frame of its own, or by its first if that still shows the old scene."""
    index = span.start
    if span.end > index or not 0 < index < len(evidence.time_T) - 1:
        return span
    for alone in (index, index - 1):
        if evidence.is_alone(alone) and evidence.nothing_persists(alone - 1, alone + 1):
            return Boundary(start=alone, end=alone + 1)
    if evidence.same(index - 1, index) and evidence.nothing_persists(index - 1, index + 1):
        return Boundary(start=index, end=index + 1)
    return span


def _exact(span: Boundary, evidence: Evidence) -> Boundary:
    """Take the frames that show both shots out of them."""
    start, end = span.start, span.end
    if start == end:
        for mixed in (start, start - 1):
            if evidence.mixture_T[mixed]:
                return Boundary(start=mixed, end=mixed + 1)
        return span
    if end - start == 1 or evidence.blank_T[start:end].all():
        return span
    return _padded(span, min(_MAX_PADDING, 1 + int(_PADDING_SHARE * (end - start))), evidence)


def _padded(span: Boundary, padding: int, evidence: Evidence) -> Boundary:
    last = len(evidence.time_T) - 1
    return Boundary(start=max(1, span.start - padding), end=min(last, span.end + padding))


def _without_glitches(found: list[Boundary], evidence: Evidence) -> list[Boundary]:
    """Drop pairs of boundaries that are close, with the same scene before the first and after the second."""
    kept: list[Boundary] = []
    for each in found:
        previous = kept[-1] if kept else None
        if (
            previous is not None
            and evidence.time_T[each.end] - evidence.time_T[previous.start] <= _MAX_GLITCH_S
            and evidence.same(evidence.before(previous.start), evidence.after(each.end))
        ):
            kept.pop()
        else:
            kept.append(each)
    return kept


def _bridged(spans: list[Boundary], evidence: Evidence) -> list[Boundary]:
    """Join gradual transitions with hardly anything between them, in order."""
    joined: list[Boundary] = []
    for span in spans:
        previous = joined[-1] if joined else span
        gradual = previous.end - previous.start > 1 and span.end - span.start > 1
        if (
            joined
            and gradual
            and evidence.time_T[span.start] - evidence.time_T[previous.end] <= _MAX_BRIDGE_S
        ):
            joined[-1] = Boundary(start=previous.start, end=span.end)
        else:
            joined.append(span)
    return joined


def _merged(spans: list[Boundary]) -> list[Boundary]:
    """Join spans that overlap or touch, in order."""
    joined: list[Boundary] = []
    for span in sorted(spans):
        if (
            joined
            and span.start <= joined[-1].end
            and (span.end > span.start or joined[-1].end > joined[-1].start)
        ):
            joined[-1] = Boundary(start=joined[-1].start, end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
