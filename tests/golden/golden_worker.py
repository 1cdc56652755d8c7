"""Read files one after another as told on standard input; say on standard output what each gave.

In: one JSON {"path": ...} a line. Out: one JSON line each, a `Result` of `golden_run`. A process of its own,
so that a file which crashes or hangs the decoder takes only this down. It may use 3 GiB of memory.
"""

import itertools
import json
import os
import resource
import sys

from golden_media import patches

from video.errors import VideoError
from video.frames import read_frames
from video.probe import probe

MEMORY_BYTES = 3 << 30
SIDE_PX = 2048
"""Frames with a longer side are counted, not looked at."""


def read(path: str) -> dict[str, object]:
    """Return what `probe` and `read_frames` say about one file."""
    result: dict[str, object] = {"outcome": "OK", "frames": 0}
    pts: list[int] = []
    colors: list[list[list[int]]] = []
    try:
        found = probe(path)
        result |= {"kind": found.kind, "size": [found.height, found.width]}
        for frame in read_frames(path):
            if frame.rgb_HWC.shape[:2] != (found.height, found.width):
                raise AssertionError(f"probe says {found.height, found.width}, not {frame.rgb_HWC.shape}")
            pts.append(frame.pts)
            if len(colors) < 16:
                colors.append(patches(frame.rgb_HWC))
        if any(b <= a for a, b in itertools.pairwise(pts)):
            raise AssertionError(f"times do not grow: {pts}")
        result["times_s"] = [round(float(value * found.time_base), 4) for value in pts[:16]]
    except VideoError as error:
        result |= {"outcome": str(error.code), "problem": error.problem}
        str(error).encode()
    except Exception as error:
        result |= {"outcome": f"ESCAPED {type(error).__name__}", "problem": str(error)}
    return result | {"frames": len(pts), "patches": colors}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a codec prints is no answer
    for line in sys.stdin:
        print(json.dumps(read(json.loads(line)["path"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
