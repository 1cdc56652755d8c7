"""A file that hangs, crashes or exhausts memory ends as an error code, and the next file is decoded."""

import itertools
import os
import runpy
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig
from pipeline.runtime.attempt_log import MAX_WORKER_DEATHS, AttemptLog, Quarantined, temporary_attempts_uri
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.cut import cut
from video.errors import REMEDIES, VideoError, VideoErrorCode
from video.sandbox import Sandbox, process_sandbox

FILES = runpy.run_path(str(Path(__file__).with_name("hostile_files.py")))
TIGHT = SandboxConfig(wall_s=20.0, wall_s_per_mb=0.0, memory_mb=330)
BRIEF = SandboxConfig(wall_s=0.02, wall_s_per_mb=0.0)
HOOKS = """
import subprocess, sys, time
def eat():
    kept = []
    while True:
        kept.append(b"x" * 2**20)
def leave_a_child_behind():
    child = subprocess.Popen(["sleep", "600"])
    open(sys.argv[-1], "w").write(str(child.pid))
    time.sleep(600)
def some_then_die(count):
    import os, signal
    yield from range(count)
    os.kill(os.getpid(), signal.SIGSEGV)
class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)
def odd():
    raise Odd(1, 2)
def loaded():
    return sorted(sys.modules)
def orphan(path):
    import os
    open(path, "w").write(str(os.getpid()))
    time.sleep(600)
"""


@pytest.fixture
def hooks(tmp_path, monkeypatch):
    """Write a module of test tasks that the child process can import."""
    (tmp_path / "sandbox_hooks.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sandbox_hooks", raising=False)
    import sandbox_hooks

    return sandbox_hooks


@pytest.fixture
def box():
    with Sandbox(TIGHT) as sandbox:
        yield sandbox


def code_of(sandbox: Sandbox, task, path: str = "/a.mp4", **more) -> str:
    with pytest.raises(VideoError) as caught:
        sandbox.call(task, path, **more)
    assert caught.value.path == path
    assert caught.value.remedy
    return caught.value.code


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def until(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen in 30 s")


def test_a_child_is_reused_and_is_another_process(box):
    pids = [box.call(os.getpid, "/a.mp4") for _ in range(3)]
    assert len(set(pids)) == 1
    assert pids[0] == box.pid != os.getpid()
    assert box.call(partial(os.getsid, 0), "/a.mp4") == pids[0]  # a session of its own
    assert box.call(partial(os.readlink, "/proc/self/fd/0"), "/a.mp4") == "/dev/null"


def test_what_a_task_raises_comes_back_and_costs_no_child(box, hooks):
    before = box.call(os.getpid, "/a.mp4")
    with pytest.raises(ValueError, match="invalid literal"):
        box.call(partial(int, "x"), "/a.mp4")
    with pytest.raises(RuntimeError, match="Odd: 1"):  # cannot be pickled and made again
        box.call(hooks.odd, "/a.mp4")
    assert box.call(os.getpid, "/a.mp4") == before


def test_a_task_that_never_ends_is_killed(box, tmp_path):
    with Sandbox(BRIEF) as brief:
        assert code_of(brief, partial(time.sleep, 600)) == VideoErrorCode.TIMED_OUT
        assert brief.pid is None
        os.mkfifo(tmp_path / "pipe")
        assert code_of(brief, partial(Path.read_bytes, tmp_path / "pipe")) == VideoErrorCode.TIMED_OUT
        with pytest.raises(VideoError, match="TIMED_OUT"):
            for _ in brief.stream(itertools.count, "/endless.mp4"):
                pass
        assert brief.call(partial(max, 1, 2), "/a.mp4") == 2


def test_larger_files_and_measured_footage_get_more_time(tmp_path):
    config = SandboxConfig(wall_s=1.0, wall_s_per_mb=10.0, wall_s_per_footage_s=2.0)
    sandbox = Sandbox(config)
    (tmp_path / "a.mp4").write_bytes(bytes(500_000))
    assert sandbox._seconds(str(tmp_path / "a.mp4"), 3.0) == pytest.approx(1 + 5 + 6)
    assert sandbox._seconds(str(tmp_path / "missing.mp4"), 0.0) == 1.0


def test_a_long_video_is_cut_off_by_the_clock_and_by_its_frames(tmp_path):
    path = tmp_path / "long.mp4"
    FILES["long_video"](path, 4000)
    task = partial(analyze_file, stat_source(str(path)), AnalyzeConfig(), BRIEF)
    with Sandbox(BRIEF) as brief:
        assert code_of(brief, task, str(path)) == VideoErrorCode.TIMED_OUT
    for limits, named in [
        (SandboxConfig(max_frames=100), "--sandbox.max-frames 100"),
        (SandboxConfig(max_pixels=1000), "its pictures are 64x48, over --sandbox.max-pixels 1000"),
    ]:
        with pytest.raises(VideoError, match=named) as caught:
            analyze_file(stat_source(str(path)), AnalyzeConfig(), limits)
        assert caught.value.code == VideoErrorCode.TOO_LARGE


def test_memory_is_bounded_whether_taken_bit_by_bit_or_at_once(box, hooks):
    assert code_of(box, hooks.eat) == VideoErrorCode.OUT_OF_MEMORY
    assert code_of(box, partial(bytearray, 10**12)) == VideoErrorCode.OUT_OF_MEMORY
    assert box.call(os.getpid, "/a.mp4") == box.pid


def test_a_large_result_is_refused_unread(hooks):
    with Sandbox(SandboxConfig(output_mb=1)) as small:
        assert len(small.call(partial(bytes, 2**19), "/a.mp4")) == 2**19
        assert code_of(small, partial(bytes, 2**21)) == VideoErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("task", "how"),
    [
        (partial(signal.raise_signal, signal.SIGSEGV), "SIGSEGV"),
        (os.abort, "SIGABRT"),
        (partial(os._exit, 3), "exit status 3"),
        (partial(signal.raise_signal, signal.SIGKILL), "SIGKILL, as by the kernel"),
    ],
)
def test_a_crash_is_named_and_the_child_replaced(box, task, how):
    before = box.call(os.getpid, "/a.mp4")
    with pytest.raises(VideoError, match=how) as caught:
        box.call(task, "/a.mp4")
    assert caught.value.code == VideoErrorCode.CRASHED
    assert box.call(os.getpid, "/a.mp4") != before


def test_a_child_that_died_between_two_tasks_is_nobodys_fault(box):
    os.kill(box.call(os.getpid, "/a.mp4"), signal.SIGKILL)
    until(lambda: box.pid is None or gone(box.pid))
    assert box.call(partial(max, 1, 2), "/a.mp4") == 2


def test_results_before_a_crash_are_kept_and_a_stream_may_be_left(box, hooks):
    stream = box.stream(partial(hooks.some_then_die, 3), "/a.mp4")
    assert [next(stream), next(stream), next(stream)] == [0, 1, 2]
    with pytest.raises(VideoError, match="CRASHED"):
        next(stream)
    stream = box.stream(itertools.count, "/a.mp4")
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert box.pid is None
    assert box.call(partial(max, 1, 2), "/a.mp4") == 2


def test_what_a_child_started_dies_with_it(hooks, tmp_path, monkeypatch):
    told = tmp_path / "pid"
    monkeypatch.setattr(sys, "path", [*sys.path, str(told)])  # the last argument of the child
    with Sandbox(SandboxConfig(wall_s=3.0)) as brief:
        assert code_of(brief, hooks.leave_a_child_behind) == VideoErrorCode.TIMED_OUT
    until(lambda: gone(int(told.read_text())))


def test_a_child_dies_with_its_parent_even_amid_work(hooks, tmp_path):
    told = tmp_path / "pid"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from functools import partial\n"
        "import sandbox_hooks\n"
        "from video.config import SandboxConfig\n"
        "from video.sandbox import Sandbox\n"
        "Sandbox(SandboxConfig()).call(partial(sandbox_hooks.orphan, sys.argv[2]), '/a.mp4')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(told)]) as parent:
        until(lambda: told.exists() and told.read_text())
        child = int(told.read_text())
        assert not gone(child)
        parent.kill()
    until(lambda: gone(child))


def test_neither_ray_nor_torch_enter_the_child(box, hooks, tmp_path):
    FILES["long_video"](tmp_path / "a.mp4", 20)
    path = str(tmp_path / "a.mp4")
    assert (
        box.call(partial(analyze_file, stat_source(path), AnalyzeConfig(), TIGHT), path).source.num_frames
        == 20
    )
    assert len(list(box.stream(partial(cut, path, ((0, 10_000),)), path))) == 1
    assert not {"ray", "torch", "pyarrow", "lightning"} & {*box.call(hooks.loaded, "/a.mp4")}


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("huge.png", {VideoErrorCode.TOO_LARGE}),
        ("eater.mp4", {VideoErrorCode.OUT_OF_MEMORY}),
        ("frames.mp4", {VideoErrorCode.TRUNCATED}),
        ("streams.mp4", {VideoErrorCode.OUT_OF_MEMORY}),
        ("deep.mp4", {VideoErrorCode.TRUNCATED}),
    ],
)
def test_hostile_files_end_as_codes(box, tmp_path, name, codes):
    path = tmp_path / name
    FILES["HOSTILE"][name](path)
    task = partial(analyze_file, stat_source(str(path)), AnalyzeConfig(), TIGHT)
    assert code_of(box, task, str(path)) in codes


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="a pipe or a device, no file") as caught:
        analyze_file(stat_source(str(tmp_path / "pipe.mp4")), AnalyzeConfig(), TIGHT)
    assert caught.value.code == VideoErrorCode.UNREADABLE


def test_every_code_has_a_remedy_and_new_ones_name_a_flag():
    assert set(REMEDIES) == set(VideoErrorCode)
    assert "--sandbox.wall-s" in REMEDIES[VideoErrorCode.TIMED_OUT]
    assert "--sandbox.memory-mb" in REMEDIES[VideoErrorCode.OUT_OF_MEMORY]


def test_one_process_keeps_one_sandbox():
    assert process_sandbox(TIGHT) is process_sandbox(SandboxConfig(**TIGHT.__dict__))
    assert process_sandbox(BRIEF) is not process_sandbox(TIGHT)
    child = process_sandbox(TIGHT).call(os.getpid, "/a.mp4")
    process_sandbox(BRIEF)  # takes its place
    until(lambda: gone(child))
    process_sandbox.cache_clear()


def dies(code: VideoErrorCode):
    def task() -> None:
        raise VideoError(code, "/a.mp4", "died")

    return task


def test_two_deaths_are_a_quarantine_and_other_errors_are_not(tmp_path):
    with temporary_attempts_uri(str(tmp_path)) as attempts_uri:
        attempts = AttemptLog(attempts_uri)
        with pytest.raises(Quarantined) as caught:
            attempts.run("a", "/a.mp4", dies(VideoErrorCode.TIMED_OUT))
        assert caught.value.error.code == VideoErrorCode.TIMED_OUT
        assert "in quarantine after 2 attempts" in caught.value.error.problem
        with pytest.raises(Quarantined):  # as after the death of a worker: not tried a third time
            AttemptLog(attempts_uri).run("a", "/a.mp4", lambda: pytest.fail("tried again"))
        with pytest.raises(VideoError, match="TRUNCATED"):
            attempts.run("b", "/b.mp4", dies(VideoErrorCode.TRUNCATED))
        with pytest.raises(ZeroDivisionError):
            attempts.run("c", "/c.mp4", lambda: 1 // 0)
        assert attempts.run("d", "/d.mp4", lambda: 7) == 7
        assert [entry.name for entry in Path(attempts_uri).iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == []


def test_one_death_is_forgiven(tmp_path):
    deaths = iter([VideoErrorCode.CRASHED])

    def task() -> int:
        if code := next(deaths, None):
            raise VideoError(code, "/a.mp4", "died")
        return 7

    assert AttemptLog(tmp_path).run("a", "/a.mp4", task) == 7
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_never_came_back_is_charged_to_its_unit(tmp_path):
    class Gone(BaseException):
        """As if the process had ended: nothing is written after it."""

    def task() -> None:
        raise Gone

    for _ in range(MAX_WORKER_DEATHS):
        with pytest.raises(Gone):
            AttemptLog(tmp_path).run("a", "/a.mp4", task)
    with pytest.raises(Quarantined) as caught:
        AttemptLog(tmp_path).run("a", "/a.mp4", task)
    assert caught.value.error.code == VideoErrorCode.CRASHED
    assert "ended the Ray worker" in caught.value.error.problem
