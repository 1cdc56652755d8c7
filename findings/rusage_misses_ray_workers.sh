#!/usr/bin/env bash
# Ray 2.60.0: the raylet ignores SIGCHLD, so the processor time of a worker that ends before the raylet is added to no
# ancestor. getrusage(RUSAGE_CHILDREN) of whoever started the job misses it, also as a subreaper that waits for all.
# Seen: an actor uses 10 s more and is then killed; what is counted for the whole job grows by some 0.5 s.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ray==2.60.0
venv/bin/python - <<'PY'
import ctypes
import os
import resource
import subprocess
import sys

JOB = """
import sys, time, ray
ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False)

@ray.remote
class Spinner:
    def spin(self, seconds):
        while time.process_time() < seconds:
            pass
        return time.process_time()

actor = Spinner.remote()
print(ray.get(actor.spin.remote(float(sys.argv[1]))))
ray.kill(actor)
time.sleep(2)
"""
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def counted(spin_s):
    """Run the job, wait for every process that it leaves, and return the seconds of all that were reaped."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", JOB, str(spin_s)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


idle, busy = counted(0), counted(10)
same = busy - idle < 5
print(f"{'as found' if same else 'changed'}: {busy - idle:.1f} s more are counted where an actor uses 10 s more")
raise SystemExit(not same)
PY
