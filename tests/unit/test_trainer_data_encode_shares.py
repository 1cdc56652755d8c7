"""Tasks of `kinora encode` hold every clip and text once, large ones first, of one bucket each."""

from trainer.data.encode_shares import latent_tasks, read_tasks, text_tasks
from trainer.data.encode_tasks import Wanted

SHAPES = [(17, 64, 64), (17, 64, 96), (1, 64, 64)]


def wanted(count: int) -> list[Wanted]:
    return [Wanted(row=row, key=str(row), variants=((0, 0),), texts=False) for row in range(count)]


def test_clips_are_shared_out_once_by_bucket_the_largest_first():
    shapes = [SHAPES[row % 3] for row in range(700)]
    tasks = [*latent_tasks(wanted(700), shapes, 2)]
    assert sorted(each.row for task in tasks for each in task.wanted) == [*range(700)]
    buckets = [{shapes[each.row] for each in task.wanted} for task in tasks]
    assert [len(bucket) for bucket in buckets] == [1] * len(tasks)
    assert buckets[0] == {(17, 64, 96)}
    assert buckets[-1] == {(1, 64, 64)}
    sizes = [len(task.wanted) for task in tasks]
    assert sizes[0] == 175  # a quarter of all
    assert max(sizes[-3:]) <= 20
    assert [len(task.wanted) for task in latent_tasks(wanted(300), [SHAPES[0]] * 300, 1)] == [256, 44]
    long_clip = (1 << 15, 256, 256)
    assert [len(task.wanted) for task in latent_tasks(wanted(3), [long_clip] * 3, 2)] == [1, 1, 1]
    assert [*latent_tasks([], [], 2)] == []


def test_texts_are_shared_out_once_by_length():
    texts = [f"{number} " * (1 + number % 50) for number in range(1000)]
    for workers in (1, 2, 5):
        tasks = [*text_tasks(texts, "space", workers)]
        assert sorted(text for task in tasks for text in task.texts) == sorted(texts)
        lengths = [len(text) for task in tasks for text in task.texts]
        assert lengths == sorted(lengths, reverse=True)
        assert {task.space for task in tasks} == {"space"}
        assert len(tasks) >= workers
    assert [*text_tasks([], "space", 2)] == []
    assert [task.texts for task in text_tasks([""], "space", 2)] == [("",)]


def test_rows_are_read_once():
    rows = [*range(0, 300, 2)]
    assert [row for task in read_tasks(rows) for row in task.rows] == rows
