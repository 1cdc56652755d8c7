"""Jobs keep their order and their files over restarts; what a kill left half done is gone or done again."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from kinora.generation.config import RequestConfig
from kinora.serve.errors import ApiError
from kinora.serve.jobs import Job
from kinora.serve.queue import MAX_ATTEMPTS, JobEnded, JobQueue
from kinora.serve.store import JobStore
from trainer.config import SampleConfig


def job(number: int, **changes) -> Job:
    made = Job(
        id=f"video_{number:032x}",
        created_s=1000.0 + number,
        verb="text",
        request=RequestConfig(
            prompt=f"number {number}", prompt_at=((0.5, "later"),), at_frame=(0, -1), seed=number
        ),
        sample=SampleConfig(sigmas=(1.0, 0.5, 0.0)),
        new_part_only=False,
        model="m",
        seconds="2",
        size="32x32",
        notes=("a note",),
    )
    return replace(made, **changes)


def add(queue: JobQueue, number: int) -> Job:
    new = job(number)
    with queue.store.new_folder(new.id) as folder:
        (folder / "input-0").write_bytes(b"pixels")
        queue.add(new)
    return new


@pytest.fixture
def open_queue(tmp_path: Path) -> Iterator[Callable[..., JobQueue]]:
    """Return what opens a queue on the folder of the test, as a server does; all are closed at the end."""
    stores: list[JobStore] = []

    def open_queue(**options) -> JobQueue:
        stores.append(JobStore(tmp_path))
        return JobQueue(stores[-1], **({"max_queue": 100, "keep_s": 3600.0} | options))

    yield open_queue
    for store in stores:
        store.close()


def test_a_job_comes_back_as_it_was_stored():
    done = job(1, status="completed", file="video.mp4", completed_s=1.5)
    assert Job.from_json(done.to_json()) == done
    with pytest.raises(ValueError, match="another version"):
        Job.from_json(done.to_json().replace('"format": 1', '"format": 0'))


def test_of_a_thousand_at_once_as_many_are_taken_as_may_wait(open_queue, tmp_path):
    queue = open_queue(max_queue=20)
    codes: list[str] = []

    def send(start: int) -> None:
        for number in range(start, start + 100):
            try:
                add(queue, number)
            except ApiError as error:
                codes.append(error.code)

    threads = [Thread(target=send, args=(100 * n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == ["queue_full"] * 980
    names = {path.name for path in (tmp_path / "videos").iterdir()}
    shown, more = queue.page(after=None, limit=100, newest_first=True)
    assert (names, more) == ({each["id"] for each in shown}, False)
    assert len(names) == 20


def test_a_restart_goes_on_in_the_order_of_the_requests(open_queue, tmp_path):
    queue = open_queue()
    jobs = [add(queue, number) for number in range(3)]
    begun = queue.take()
    assert begun is not None
    assert (begun.id, begun.attempts) == (jobs[0].id, 1)
    queue.report(begun.id, 0.5)
    assert queue.show(begun.id)["progress"] == 50
    queue.store.close()  # as a kill does: nothing else is written
    (tmp_path / "videos" / f".new-{jobs[0].id}").mkdir()
    (tmp_path / "videos" / f".gone-{jobs[1].id}").mkdir()
    again = open_queue()
    taken = [again.take() for _ in range(3)]
    assert [each.id for each in taken if each] == [each.id for each in jobs]
    assert [each.attempts for each in taken if each] == [2, 1, 1]
    assert {path.name for path in (tmp_path / "videos").iterdir()} == {each.id for each in jobs}
    assert (again.store.path(jobs[0].id) / "input-0").read_bytes() == b"pixels"


def test_a_job_that_ends_its_server_again_and_again_is_given_up(open_queue, tmp_path):
    queue = open_queue()
    new = add(queue, 1)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        taken = queue.take()
        assert taken is not None
        assert taken.attempts == attempt
        queue.store.close()
        queue = open_queue()
    shown = queue.show(new.id)
    assert shown["status"] == "failed"
    assert "the server ended 3 times while it made this" in shown["error"]["message"]


def test_the_end_of_a_server_is_no_attempt(open_queue, tmp_path):
    queue = open_queue()
    new = add(queue, 1)
    assert queue.take() is not None
    queue.close()
    assert queue.take() is None
    for ended in (lambda: queue.report(new.id, 0.5), lambda: queue.complete(new)):
        with pytest.raises(JobEnded):
            ended()
    queue.store.close()
    taken = open_queue().take()
    assert taken is not None
    assert taken.attempts == 1


def test_deleting_cancels(open_queue, tmp_path):
    queue = open_queue()
    first, second, third = (add(queue, number) for number in range(3))
    taken = queue.take()
    assert taken is not None
    queue.delete(first.id)
    queue.delete(second.id)
    with pytest.raises(JobEnded):
        queue.report(first.id, 0.5)
    with pytest.raises(JobEnded):
        queue.fail(taken, "x", "y")
    following = queue.take()
    assert following is not None
    assert following.id == third.id
    assert [path.name for path in (tmp_path / "videos").iterdir()] == [third.id]


def test_finished_videos_expire(open_queue, tmp_path):
    now = [1000.0]
    queue = open_queue(keep_s=50.0, clock=lambda: now[0])
    for number in range(2):
        add(queue, number)
        taken = queue.take()
        assert taken is not None
        queue.complete(replace(taken, file="video.mp4"))
        now[0] += 30
    queue.store.close()
    left, _ = open_queue(keep_s=50.0, clock=lambda: now[0]).page(after=None, limit=10, newest_first=True)
    assert [each["prompt"] for each in left] == ["number 1"]


def test_two_servers_cannot_share_their_jobs(tmp_path):
    store = JobStore(tmp_path)
    program = (
        "import sys, pathlib; from kinora.serve.store import JobStore; JobStore(pathlib.Path(sys.argv[1]))"
    )
    other = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(other, capture_output=True, text=True, check=False)
    assert "another server has its jobs there" in done.stderr
    store.close()
    assert subprocess.run(other, check=False).returncode == 0


def test_a_damaged_job_is_named_and_left_alone(open_queue, tmp_path, capsys):
    queue = open_queue()
    jobs = [add(queue, number) for number in range(2)]
    queue.store.close()
    damaged = queue.store.path(jobs[0].id) / "job.json"
    damaged.write_text("{")
    shown, _ = open_queue().page(after=None, limit=10, newest_first=True)
    assert [each["id"] for each in shown] == [jobs[1].id]
    assert f"{damaged}: cannot be read" in capsys.readouterr().err
    assert damaged.read_text() == "{"
