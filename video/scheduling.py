"""Keep the scheduling of this process where an encoder raises it.

Run as root, SVT-AV1 4.1 makes the thread that opens it and its own threads real-time (`SCHED_FIFO`, priority
99). They never give way to other work, and a child process inherits it: one AV1 file stalls a whole Ray node.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def keep_scheduling() -> Generator[None]:
    """Give the calling thread, and those that start inside the block, the scheduling that it had before."""
    if not hasattr(os, "sched_getscheduler"):  # only Linux has it
        yield
        return
    policy, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        for thread in (0, *(_threads() - before)):
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}
