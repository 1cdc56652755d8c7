"""Columns and class of a clip's camera movement, from the motion of its frame pairs."""

from typing import Any

import numpy as np

from video.camera_motion import CameraMotion

_MIN_SPEED = 0.02
"""A slower camera is static, in short sides per second at the edge of the frame."""
_MIN_SHAKE = 0.04
"""A camera that shakes more is handheld, in short sides per second."""
_RESIDUAL = CameraMotion._fields.index("residual")


def columns_of(rates_N5: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Return the columns of a clip from rates_N5: `CameraMotion` of N pairs of frames, per second."""
    pan, tilt, zoom, roll = np.median(rates_N5[:, :4], axis=0).tolist()
    short = min(height, width)
    edge_scale = np.array([width / short, height / short, 0.5 * width / short, 0.5 * width / short])
    speeds_N4 = rates_N5[:, :4] * edge_scale
    typical = np.median(speeds_N4, axis=0)
    shake = float(1.4826 * np.median(np.abs(speeds_N4[:, :2] - typical[:2]), axis=0).max())
    return {
        "camera": class_of(typical, shake),
        "pan": pan,
        "tilt": tilt,
        "zoom": zoom,
        "roll": float(np.degrees(roll)),
        "shake": shake,
        "object_motion": float(rates_N5[:, _RESIDUAL].mean()),
    }


def class_of(typical: np.ndarray, shake: float) -> str:
    """Classify movement by the speeds of pan, tilt, zoom and roll, in short sides per second at the edge."""
    strongest = int(np.argmax(np.abs(typical)))
    speed = float(typical[strongest])
    if shake > _MIN_SHAKE and shake > abs(speed):
        return "handheld"
    if abs(speed) < _MIN_SPEED:
        return "static"
    names = (("pan_right", "pan_left"), ("tilt_up", "tilt_down"), ("zoom_in", "zoom_out"), ("roll", "roll"))
    return names[strongest][speed < 0]
