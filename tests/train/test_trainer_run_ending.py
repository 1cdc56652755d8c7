"""How a training command ends: signals, NaN, and the way on; in real processes."""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.run.ending import INTEGRITY, run_to_exit_code
from trainer.run.stopping import NonFiniteError, StoppedError

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, train_args, assert_equal, TINY_VAE = (
    RUNS[name] for name in ("train", "train_args", "assert_equal", "TINY_VAE")
)
LONG = [*TINY_VAE, "--max_steps=100000", "--watch.log_every_s=0.2", "--data.validation_fraction=0.2"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StoppedError(signal.SIGTERM, 7), 143, "SIGTERM: saved step 7; go on with\n  kinora x --resume"),
        (StoppedError(signal.SIGINT, 0), 130, "SIGINT: saved step 0"),
        (
            NonFiniteError("step 3: the loss is not finite"),
            INTEGRITY,
            "error: step 3: the loss is not finite",
        ),
    ],
)
def test_each_end_has_its_exit_code_and_the_way_on(capsys, error, code, words):
    def run() -> None:
        raise error

    assert run_to_exit_code(run, "kinora x --resume") == code
    assert words in capsys.readouterr().err
    assert run_to_exit_code(lambda: None, "") == 0


def start(shards: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "kinora", "train", "vae", *train_args("vae", "fit", out, shards, *more)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for_step(run: subprocess.Popen[str]) -> str:
    said = ""
    for line in run.stdout or ():
        said += line
        if line.startswith("step "):
            return said
    assert run.wait() == 0, said
    return said


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are killed, with their children, at the end of the test."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for run in running:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        if run.stdout:
            run.stdout.close()


def members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdecimal() and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_the_printed_command_goes_on(shards, tmp_path, processes, signum, code):
    run = start(shards, tmp_path / "run", *LONG, "--trainer.accumulate_grad_batches=2")
    processes.append(run)
    wait_for_step(run)
    run.send_signal(signum)
    said = run.communicate(timeout=60)[0]
    assert run.returncode == code
    assert "Traceback" not in said
    assert f"{signal.Signals(signum).name}: saving after this step" in said
    (path,) = (tmp_path / "run" / "checkpoints").iterdir()
    step = torch.load(path, weights_only=True)["global_step"]
    assert path.name == f"step={step}.ckpt"
    assert f"saved step {step}; go on with" in said
    assert not (tmp_path / "run" / "vae.safetensors").exists()
    command = next(line for line in said.splitlines() if line.startswith("  kinora train vae fit"))
    words = f"{sys.executable} -m {command.strip()} --max_steps={step + 2} --watch.log_every_s=0"
    resumed = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert f"step {step + 1}/{step + 2}" in resumed.stdout
    assert (tmp_path / "run" / "vae.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_of_many_kills_equals_one_without(shards, tmp_path, processes):
    flags = [*TINY_VAE, "--max_steps=30", "--watch.checkpoint_every_steps=3", "--watch.log_every_s=0"]
    train("vae", "fit", tmp_path / "whole", shards, *flags)
    rng, resume, ends = torch.Generator().manual_seed(1), [], []
    for _ in range(40):
        run = start(shards, tmp_path / "broken", *flags, *resume)
        processes.append(run)
        wait_for_step(run)
        time.sleep(float(torch.rand(1, generator=rng)) * 0.6)
        how = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[len(ends) % 3]
        run.send_signal(how)
        said = run.communicate(timeout=60)[0]
        assert run.returncode in (0, 143, 130, -signal.SIGKILL), said
        ends.append(run.returncode)
        checkpoints = list((tmp_path / "broken" / "checkpoints").glob("step=*.ckpt"))
        assert len(checkpoints) <= 2
        resume = ["--resume"] if checkpoints else []
        if run.returncode == 0:
            break
    assert ends[-1] == 0
    assert {143, -signal.SIGKILL} <= set(ends)
    whole, broken = (load_file(tmp_path / name / "vae.safetensors") for name in ("whole", "broken"))
    assert_equal(broken, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whom", "signum", "code"),
    [
        ("first rank", signal.SIGTERM, 143),
        ("second rank", signal.SIGTERM, 143),
        ("all", signal.SIGTERM, 143),
        ("all", signal.SIGINT, 130),
    ],
)
def test_two_ranks_end_together(shards, tmp_path, processes, whom, signum, code):
    run = start(shards, tmp_path / "run", *LONG, "--trainer.devices=2", "--data.num_workers=1")
    processes.append(run)
    wait_for_step(run)
    if whom == "all":
        os.killpg(run.pid, signum)
    else:
        os.kill(run.pid if whom == "first rank" else second_rank(members(run.pid)), signum)
    said = run.communicate(timeout=90)[0]
    assert run.returncode == code, said
    assert "Traceback" not in said, said
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1
    deadline = time.monotonic() + 30
    while members(run.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert members(run.pid) == []


@pytest.mark.slow
def test_a_second_signal_ends_all_ranks_at_once(shards, tmp_path, processes):
    run = start(shards, tmp_path / "run", *LONG, "--trainer.devices=2")
    processes.append(run)
    wait_for_step(run)
    other = second_rank(members(run.pid))
    os.kill(other, signal.SIGSTOP)  # a rank that hangs: the first signal cannot end the run
    run.send_signal(signal.SIGTERM)
    time.sleep(2)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    run.wait(timeout=30)
    assert run.returncode == 143
    deadline = time.monotonic() + 30
    while members(run.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert members(run.pid) == []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def second_rank(pids: list[int]) -> int:
    """Return the process that Lightning started as the second rank."""
    for pid in pids:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"LOCAL_RANK=1" in environment and b"kinora" in command_line(pid):
            return pid
    raise AssertionError(pids)
