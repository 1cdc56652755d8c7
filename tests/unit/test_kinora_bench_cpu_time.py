"""Processor time of a command counts processes that detach, and those whose parent does not wait for them."""

import os
import sys
import textwrap

import psutil
import pytest

from kinora.bench import cpu_time
from kinora.bench.cpu_time import CgroupMeter, SamplingMeter, run

SPIN_S = 0.6
SPIN = f"""
import os, signal, sys, time

def spin():
    while time.process_time() < {SPIN_S}:
        pass
    time.sleep(0.5)
    os._exit(0)
"""
DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        spin()
    os._exit(0)
os.wait()
print("started")
"""
IGNORED = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    spin()
time.sleep(0.1)
"""


@pytest.fixture(params=[CgroupMeter.create, SamplingMeter], ids=["cgroup", "sampling"])
def meter(request):
    made = request.param()
    if made is None:
        pytest.skip("this system lets nobody make a control group")
    return made


def python(*parts: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent("\n".join(parts))]


@pytest.mark.parametrize("code", [DAEMON, IGNORED], ids=["daemon", "ignored"])
def test_a_process_that_nobody_waits_for_is_counted(tmp_path, meter, code):
    done = run(python(SPIN, code), cwd=tmp_path, env=os.environ, meter=meter)
    assert done.code == 0
    assert done.cpu_s > 0.8 * SPIN_S


def test_what_outlives_the_command_is_killed(tmp_path, meter, monkeypatch):
    monkeypatch.setattr(cpu_time, "GRACE_S", 0.5)
    code = "pid = os.fork()\nif pid == 0:\n    os.setsid()\n    time.sleep(600)\nprint(pid)\ntime.sleep(0.3)"
    done = run(python(SPIN, code), cwd=tmp_path, env=os.environ, meter=meter)
    pid = int(done.stdout)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_output_and_exit_code_are_returned(tmp_path):
    code = "print(os.getcwd())\nprint('why', file=sys.stderr)\nsys.exit(3)"
    done = run(python(SPIN, code), cwd=tmp_path, env=os.environ)
    assert (done.code, done.stdout.strip(), done.stderr.strip()) == (3, str(tmp_path), "why")
    assert done.wall_s > 0
