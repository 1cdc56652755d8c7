"""Show high dynamic range (BT.2100 PQ and HLG, BT.2020 colors) as sRGB with one fixed tone curve.

1. Convert code values to luminance in cd/m2, by PQ or by HLG for a display of 1000 cd/m2.
2. Divide by 203 cd/m2, the reference white of HDR programmes (ITU-R BT.2408).
3. Convert BT.2020 to BT.709 primaries and clip negative values.
4. Keep values up to 0.7. Compress the largest channel of brighter pixels towards 1, and scale the other two
   with it, which preserves hue.
5. Apply the sRGB curve.

Pixels are mapped independently of metadata and of each other, so frames of a clip do not flicker.

Legend: H height, W width, C channels (RGB).
"""

import functools

import cv2
import numpy as np

PQ, HLG = 16, 18
"""FFmpeg's numbers of the transfer functions."""
WHITE_CD_M2 = 203.0
KNEE = 0.7
BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    np.float32,
)
BT2020_LUMA = (0.2627, 0.6780, 0.0593)


def tone_map(rgb16_HWC: np.ndarray, transfer: int) -> np.ndarray:
    """Return rgb_HWC (uint8, sRGB) for rgb16_HWC (uint16, full range) in PQ or HLG with BT.2020 colors."""
    light_HWC = _curve(transfer)[rgb16_HWC >> 4]
    if transfer == HLG:  # the system gamma of a 1000 cd/m2 screen: 1.2
        luma_HW1 = (light_HWC @ np.array(BT2020_LUMA, np.float32))[..., None]
        light_HWC = light_HWC * np.maximum(luma_HW1, 1e-6) ** np.float32(0.2) * (1000 / WHITE_CD_M2)
    light_HWC = np.maximum(cv2.transform(np.ascontiguousarray(light_HWC), BT2020_TO_BT709), 0.0)
    peak_HW1 = light_HWC.max(axis=2, keepdims=True)
    over_HW1 = np.maximum(peak_HW1 - KNEE, 0.0)
    bent_HW1 = np.minimum(peak_HW1, KNEE) + (1 - KNEE) * over_HW1 / (over_HW1 + (1 - KNEE))
    light_HWC *= bent_HW1 / np.maximum(peak_HW1, 1e-6)
    return _srgb()[np.minimum(light_HWC * 4095 + 0.5, 4095).astype(np.uint16)]


@functools.cache
def _curve(transfer: int) -> np.ndarray:
    """Return linear light for 4096 code values: display light over white for PQ, scene light for HLG."""
    code = np.arange(4096) / 4095
    if transfer == PQ:
        root = code ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return (light * 10000 / WHITE_CD_M2).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _srgb() -> np.ndarray:
    """Return the sRGB byte for 4096 steps of linear light."""
    light = np.arange(4096) / 4095
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(code * 255).astype(np.uint8)
