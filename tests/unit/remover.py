"""Removals that a test kills: each line of JSON on stdin is a `kinora remove`, and the step at which it dies.

This process loads the libraries once and forks one for each line. It prints how it ended.
"""

import json
import os
import signal
import sys

from kinora.commands.remove import Config, run

VISIBLE = {"os.rename", "os.link"}
"""What makes a file appear or change: it is written under another name before."""


def die_at(step: int, folder: str) -> None:
    """Kill this process before the `step`-th visible change in `folder`."""
    left = step

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in VISIBLE and any(str(arg).startswith(folder) for arg in args[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def serve() -> None:
    """Fork removals until stdin ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        step = asked.pop("step")
        if not (remover := os.fork()):
            code = 1
            try:
                die_at(step, asked["dataset"])
                run(Config(**asked))
                code = 0
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(remover, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
