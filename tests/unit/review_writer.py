"""A review process that the tests kill: it decides on clips in turn and acknowledges each decision on stdout.

    review_writer.py DATASET STATE FIRST LAST STEP

Each decision is an edit whose id and text are its number. With STEP, the process kills itself before the
STEP-th change of a file below the dataset or the state folder.
"""

import os
import signal
import sys

from reviewed_dataset import M, edit, new_id

from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk
from manifests.review.messages import Saved

_CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate"}
CONFIG = ReviewConfig(commit_every_s=0.05, commit_every=7)


def media_of(number: int) -> str:
    return M[number * 7 % len(M)]


def die_at(step: int, *folders: str) -> None:
    left = step

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in _CHANGES and any(str(arg).startswith(folders) for arg in args[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(uri: str, state: str, first: int, last: int, step: int) -> None:
    if step:
        die_at(step, uri, state)
    with ReviewDesk(uri, state, config=CONFIG) as desk:
        print("open", flush=True)
        for number in range(first, last):
            request = edit(desk, media_of(number), f"text {number}", id=number, reviewer="ann")
            saved = desk.decide(request)
            assert isinstance(saved, Saved), saved
            assert saved.review_id == new_id(number)
            print(number, flush=True)
    print("closed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
