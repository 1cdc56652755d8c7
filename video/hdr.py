"""Show high dynamic range (BT.2100 PQ and HLG, BT.2020 colors) as ordinary sRGB, in one fixed, simple way.

1. Code values become light in cd/m2: by the PQ curve, or by the HLG curves for a screen of 1000 cd/m2.
2. Light is divided by 203 cd/m2, the white of HDR programs (ITU-R BT.2408), so that white stays white.
3. BT.2020 colors become BT.709 colors; what lies outside is clipped.
4. Light up to 0.7 stays as it is. Of a brighter pixel the strongest color is bent towards 1, which it never
   reaches, and the two others keep their ratio to it: highlights keep their hue and some detail.
5. The sRGB curve.

It looks at each pixel alone: no metadata, no knowledge of the scene, so frames of a clip do not flicker.

Legend: H height, W width, C channels (RGB).
"""

import functools

import cv2
import numpy as np

PQ, HLG = 16, 18
"""FFmpeg's numbers of the two transfer curves."""
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
    """Return light for each of 4096 code values: of the screen over white for PQ, of the scene for HLG."""
    code = np.arange(4096) / 4095
    if transfer == PQ:
        root = code ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return (light * 10000 / WHITE_CD_M2).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _srgb() -> np.ndarray:
    """Return the sRGB byte for each of 4096 steps of light."""
    light = np.arange(4096) / 4095
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(code * 255).astype(np.uint8)
