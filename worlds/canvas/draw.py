"""Draw a canvas: paint that follows a brush, or food that a head bites.

Legend: H, W pixels of a frame; S, Q supersampled pixels; T frames, C channels (RGB), P points of a path.
"""

import math

import cv2
import numpy as np

from worlds.canvas.truth import PATH_POINTS, SIDES, STROKE_WIDTH, Bite, CanvasWorld, Food, path_P2, times_T
from worlds.family import Rendered
from worlds.palette import BACKGROUNDS, COLORS
from worlds.rasterize import blank

FINE_SIDE_PX = 256
"""Minimum short side of a supersampled mask; at least twice that of the frame."""
DARK, LIGHT = (44, 42, 46), (228, 228, 226)
"""Colours of brush handles and heads; the one with more contrast to the background is used."""
LIGHT_ON = ("black", "navy", "brown", "gray")
CHIP = (70, 40, 24)
BITE_RADIUS = 0.44
"""Radius of a bite, in radii of the food."""
HEAD = 0.2
"""Radius of a head in short sides."""
SHIFT = 4
"""Fractional bits of coordinates in OpenCV's drawing functions."""


def draw(world: CanvasWorld) -> Rendered:
    """Render in the flat style.

    Labels: n + 1 for stroke n and one more for the brush; 1 for food and 2 for the head.
    """
    rendered = blank(world.num_frames, world.height, world.width, BACKGROUNDS[world.background])
    if world.food is not None:
        _draw_food(world, world.food, *rendered)
    else:
        _draw_strokes(world, *rendered)
    return rendered


def _supersampling(world: CanvasWorld) -> int:
    return max(2, FINE_SIDE_PX // world.short_side_px)


def _ground(world: CanvasWorld) -> np.ndarray:
    ground_HWC = np.empty((world.height, world.width, 3), np.float32)
    ground_HWC[:] = BACKGROUNDS[world.background]
    return ground_HWC


def _tool_color(world: CanvasWorld) -> tuple[int, int, int]:
    return LIGHT if world.background in LIGHT_ON else DARK


def _blank(world: CanvasWorld) -> np.ndarray:
    scale = _supersampling(world)
    return np.zeros((world.height * scale, world.width * scale), np.uint8)


def _cover(mask_SQ: np.ndarray, world: CanvasWorld) -> np.ndarray:
    """Downsample a supersampled mask (0 or 255) to the coverage of each pixel, cover_HW1."""
    coarse_HW = cv2.resize(mask_SQ, (world.width, world.height), interpolation=cv2.INTER_AREA)
    return coarse_HW[..., None].astype(np.float32) * np.float32(1 / 255)


def _blend(rgb_HWC: np.ndarray, cover_HW1: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Blend a colour over an image."""
    return rgb_HWC + cover_HW1 * (np.array(color, np.float32) - rgb_HWC)


def _to_fixed_point(points: np.ndarray, scale: float) -> np.ndarray:
    """Convert points in short sides to fixed-point pixels of the supersampled mask."""
    return np.rint((points * scale - 0.5) * (1 << SHIFT)).astype(np.int32)


def _draw_strokes(world: CanvasWorld, frames_THWC: np.ndarray, labels_THW: np.ndarray) -> None:
    scale = world.short_side_px * _supersampling(world)
    thickness = max(1, round(STROKE_WIDTH * scale))
    paths = [_to_fixed_point(path_P2(stroke), scale) for stroke in world.strokes]
    masks, drawn = [_blank(world) for _ in world.strokes], [0 for _ in world.strokes]
    painted_HWC, label_HW = _ground(world), np.zeros(labels_THW.shape[1:], np.uint8)
    dry_HWC = painted_HWC
    for index, time in enumerate(times_T(world)):
        brush = None
        for n, stroke in enumerate(world.strokes):
            progress = (time - stroke.begin) / (stroke.end - stroke.begin)
            last = min(PATH_POINTS - 1, int(progress * (PATH_POINTS - 1)))
            if (
                last >= 0
                and progress >= 0
                and drawn[n] <= last < PATH_POINTS
                and (last > drawn[n] or not last)
            ):
                cv2.polylines(
                    masks[n], [paths[n][drawn[n] : last + 1]], False, 255, thickness, cv2.LINE_8, SHIFT
                )
                drawn[n] = last
                cover_HW1 = _cover(masks[n], world)
                painted_HWC = _blend(dry_HWC, cover_HW1, COLORS[stroke.color])
                label_HW[cover_HW1[..., 0] >= 0.5] = n + 1
            if last == PATH_POINTS - 1 and drawn[n] == last:
                dry_HWC = painted_HWC
            if 0 <= progress <= 1:
                brush = (n, paths[n][last])
        frames_THWC[index], labels_THW[index] = np.rint(painted_HWC), label_HW
        if brush is not None and world.moves:
            _draw_brush(world, brush, frames_THWC[index], labels_THW[index])


def _draw_brush(
    world: CanvasWorld, brush: tuple[int, np.ndarray], frame_HWC: np.ndarray, label_HW: np.ndarray
) -> None:
    """Draw a brush over a frame, in place: a tip in the colour of the paint and a slanted handle."""
    number, tip_2 = brush
    scale = world.short_side_px * _supersampling(world) * (1 << SHIFT)
    tip = (int(tip_2[0]), int(tip_2[1]))
    top = (tip[0] + round(0.2 * scale), tip[1] - round(0.28 * scale))
    handle_SQ, tip_SQ = _blank(world), _blank(world)
    thickness = max(1, round(0.035 * world.short_side_px * _supersampling(world)))
    cv2.line(handle_SQ, tip, top, 255, thickness, cv2.LINE_8, SHIFT)
    cv2.circle(tip_SQ, tip, round(0.58 * STROKE_WIDTH * scale), 255, -1, cv2.LINE_8, SHIFT)
    handle_HW1, tip_HW1 = _cover(handle_SQ, world), _cover(tip_SQ, world)
    rgb_HWC = _blend(frame_HWC.astype(np.float32), handle_HW1, _tool_color(world))
    frame_HWC[:] = np.rint(_blend(rgb_HWC, tip_HW1, COLORS[world.strokes[number].color]))
    label_HW[np.maximum(handle_HW1, tip_HW1)[..., 0] >= 0.5] = len(world.strokes) + 1


def _draw_food(world: CanvasWorld, food: Food, frames_THWC: np.ndarray, labels_THW: np.ndarray) -> None:
    whole_SQ, details_SQ = _food_masks(world, food)
    num_bites, state = -1, (_ground(world), labels_THW[0].copy())
    for index, time in enumerate(times_T(world)):
        bites_done = sum(time >= bite.bite for bite in food.bites)
        if bites_done != num_bites:
            num_bites = bites_done
            state = _bitten(world, food, whole_SQ, details_SQ, num_bites)
        frames_THWC[index], labels_THW[index] = np.rint(state[0]), state[1]
        for bite in food.bites:
            if bite.come < time < bite.gone and world.moves:
                _draw_head(world, food, bite, float(time), frames_THWC[index], labels_THW[index])


def _food_masks(world: CanvasWorld, food: Food) -> tuple[np.ndarray, np.ndarray]:
    """Return supersampled masks of the whole food and of its stem or chips."""
    scale = world.short_side_px * _supersampling(world)
    center_2, radius = np.array(food.center), food.radius
    whole_SQ, details_SQ = _blank(world), _blank(world)

    def disc(mask_SQ: np.ndarray, position_2: np.ndarray, size: float) -> None:
        x, y = _to_fixed_point(position_2, scale)
        cv2.circle(mask_SQ, (int(x), int(y)), round(size * scale * (1 << SHIFT)), 255, -1, cv2.LINE_8, SHIFT)

    disc(whole_SQ, center_2, radius)
    if food.kind == "cookie":
        for n in range(6):
            angle, reach = 2 * math.pi * n / 5 + 0.4, 0.0 if n == 5 else 0.52
            disc(
                details_SQ,
                center_2 + reach * radius * np.array([math.cos(angle), math.sin(angle)]),
                0.11 * radius,
            )
    else:
        ends = _to_fixed_point(center_2 + radius * np.array([(0.0, -0.8), (0.14, -1.32)]), scale)
        cv2.polylines(details_SQ, [ends], False, 255, max(1, round(0.16 * radius * scale)), cv2.LINE_8, SHIFT)
    return whole_SQ, details_SQ


def _bitten(
    world: CanvasWorld, food: Food, whole_SQ: np.ndarray, details_SQ: np.ndarray, num_bites: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rgb_HWC and labels_HW of the food after its first `num_bites` bites."""
    scale = world.short_side_px * _supersampling(world)
    food_SQ, bitten_details_SQ = whole_SQ.copy(), details_SQ.copy()
    for bite in food.bites[:num_bites]:
        side_2 = np.array(SIDES[bite.side])
        for turn in (-0.34, 0.0, 0.34):  # three adjacent teeth
            cos, sin = math.cos(turn), math.sin(turn)
            direction_2 = np.array([side_2[0] * cos - side_2[1] * sin, side_2[0] * sin + side_2[1] * cos])
            x, y = _to_fixed_point(np.array(food.center) + food.radius * direction_2, scale)
            for mask_SQ in (food_SQ, bitten_details_SQ):
                radius = round(BITE_RADIUS * food.radius * scale * (1 << SHIFT))
                cv2.circle(mask_SQ, (int(x), int(y)), radius, 0, -1, cv2.LINE_8, SHIFT)
    cover_HW1, details_HW1 = _cover(food_SQ, world), _cover(bitten_details_SQ, world)
    rgb_HWC = _blend(
        _blend(_ground(world), cover_HW1, COLORS[food.color]), details_HW1, _detail_color(world, food)
    )
    return rgb_HWC, (np.maximum(cover_HW1, details_HW1)[..., 0] >= 0.5).astype(np.uint8)


def _detail_color(world: CanvasWorld, food: Food) -> tuple[int, int, int]:
    return CHIP if food.kind == "cookie" or world.background not in LIGHT_ON else LIGHT


def _draw_head(
    world: CanvasWorld, food: Food, bite: Bite, time: float, frame_HWC: np.ndarray, label_HW: np.ndarray
) -> None:
    """Draw a round head over a frame, in place; its mouth is open until it bites."""
    side_2, center_2 = np.array(SIDES[bite.side]), np.array(food.center)
    extent_2 = np.array([world.width, world.height]) / world.short_side_px
    edge = float(np.max(np.where(side_2 > 0, extent_2 - center_2, center_2) * np.abs(side_2)))
    near, far = food.radius * (1 - 0.72 * BITE_RADIUS) + HEAD, max(edge, food.radius) + HEAD
    before = time < bite.bite
    distance = (
        (bite.bite - time) / (bite.bite - bite.come)
        if before
        else (time - bite.bite) / (bite.gone - bite.bite)
    )
    position_2 = center_2 + side_2 * (near + (far - near) * distance)
    scale = world.short_side_px * _supersampling(world)
    mask_SQ, eye_SQ = _blank(world), _blank(world)
    heading = math.degrees(math.atan2(-side_2[1], -side_2[0]))
    gape = 34 * min(1.0, 3 * distance) if before else 0
    x, y = _to_fixed_point(position_2, scale)
    radius = round(HEAD * scale * (1 << SHIFT))
    cv2.ellipse(
        mask_SQ, (int(x), int(y)), (radius, radius), heading, gape, 360 - gape, 255, -1, cv2.LINE_8, SHIFT
    )
    eye_2 = position_2 + HEAD * 0.5 * np.array([abs(side_2[1]), -abs(side_2[0])]) - side_2 * HEAD * 0.15
    x, y = _to_fixed_point(eye_2, scale)
    cv2.circle(
        eye_SQ, (int(x), int(y)), round(0.16 * HEAD * scale * (1 << SHIFT)), 255, -1, cv2.LINE_8, SHIFT
    )
    head_HW1 = _cover(mask_SQ, world)
    rgb_HWC = _blend(frame_HWC.astype(np.float32), head_HW1, _tool_color(world))
    eye_color = DARK if _tool_color(world) == LIGHT else LIGHT
    frame_HWC[:] = np.rint(_blend(rgb_HWC, _cover(eye_SQ, world), eye_color))
    label_HW[head_HW1[..., 0] >= 0.5] = 2
