"""What an earlier attempt at a task recorded is read by that task alone."""

from pipeline.runtime.attempt_log import open_attempt_store
from pipeline.runtime.pieces import Piece, PieceLog
from pipeline.runtime.units import TaskResult


def row(**columns):
    return {"task": 0, "units": '[{"source_key": "a"}]', "unit_index": [0], **columns}


def test_each_chunk_of_a_file_reads_its_own_pieces(tmp_path):
    store = open_attempt_store(str(tmp_path))
    chunks = [row(chunk=f'{{"index": {index}, "count": 2}}') for index in range(2)]
    first = Piece(num_units=1, result=TaskResult(parts=(), units=0, chunk={"index": 0}))
    PieceLog(store, chunks[0]).append(first)
    assert list(PieceLog(store, chunks[0]).read()) == [first]
    assert list(PieceLog(store, chunks[1]).read()) == []


def test_tasks_of_the_same_units_read_their_own_pieces(tmp_path):
    store = open_attempt_store(str(tmp_path))
    piece = Piece(num_units=1, result=TaskResult(parts=(), units=1))
    PieceLog(store, row()).append(piece)
    assert list(PieceLog(store, row()).read()) == [piece]
    assert list(PieceLog(store, row(task=1)).read()) == []


def test_a_line_that_a_dead_worker_began_hides_no_piece_after_it(tmp_path):
    store = open_attempt_store(str(tmp_path))
    log = PieceLog(store, row())
    pieces = [Piece(num_units=n, result=TaskResult(parts=(), units=n)) for n in (1, 2, 3)]
    log.append(pieces[0])
    (entry,) = tmp_path.iterdir()
    with entry.open("a") as file:
        file.write('\n{"num_units": 2, "do')
    log.append(pieces[1])
    log.append(pieces[2])
    assert list(log.read()) == pieces
