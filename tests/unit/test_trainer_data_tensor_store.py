"""An append-only store of tensors: by name, in a folder and on S3, whole or not at all, few open files."""

import os
import pickle

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from manifests.storage import LocalStorage, open_storage
from trainer.data.tensor_store import PartWriter, TensorReader, TensorStore, compact


def values(number: int) -> np.ndarray:
    return np.full((2, 3), number, np.float16)


def read(store: TensorStore, name: str, space: str = "s") -> np.ndarray:
    reader = TensorReader.open(store, space)
    return reader.at(int(reader.positions([name])[0]))


def test_tensors_are_read_by_name_within_their_space(place):
    store = TensorStore(place, "t")
    assert store.table().num_rows == 0
    strided = np.arange(12, dtype=np.float32).reshape(3, 4).T
    store.write("s", {"a": values(1), "b 0": strided})
    store.write("s", {"c": values(3)})
    store.write("other", {"a": values(9)})
    reader = pickle.loads(pickle.dumps(TensorReader.open(TensorStore(place, "t"), "s")))
    positions = reader.positions(["c", "b 0", "nowhere", "a"])
    assert positions[2] == -1
    found = [reader.at(int(positions[place])) for place in (0, 1, 3)]
    for tensor, expected in zip(found, (values(3), strided, values(1)), strict=True):
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, expected.astype(np.float32))
    np.testing.assert_array_equal(read(store, "a", "other"), values(9).astype(np.float32))


def test_a_part_is_a_safetensors_file(tmp_path):
    TensorStore(str(tmp_path), "t").write("s", {"a": values(1)})
    (part,) = tmp_path.rglob("*.safetensors")
    np.testing.assert_array_equal(load_file(part)["a"], values(1))


def test_what_a_kill_leaves_is_invisible_and_dropped_after_a_day(tmp_path, monkeypatch):
    store = TensorStore(str(tmp_path), "t")
    store.write("s", {"a": values(1)})
    put = LocalStorage.put

    def killed(self, key: str, data: bytes) -> None:
        if key.endswith(".parquet"):
            raise KeyboardInterrupt
        put(self, key, data)

    monkeypatch.setattr(LocalStorage, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write("s", {"b": values(2)})
    monkeypatch.undo()
    assert store.table()["name"].to_pylist() == ["a"]
    assert store.unreferenced({"a"}).bytes == 0  # another process may be writing it
    for path in tmp_path.rglob("*.safetensors"):
        os.utime(path, (0, 0))
    size = store.unreferenced({"a"}).bytes
    assert size > 12
    assert store.drop({"a"}).bytes == size
    assert len([*tmp_path.rglob("*.safetensors")]) == 1
    np.testing.assert_array_equal(read(store, "a"), values(1).astype(np.float32))


def test_drop_keeps_every_variant_of_the_keys(place):
    store = TensorStore(place, "t")
    store.write("s", {"a 0": values(1), "a 4/last1": values(2), "b 0": values(3)})
    store.write("s", {"b 4": values(4)})
    store.write("other", {"a 0": values(5)})
    dead = store.unreferenced({"a"})
    assert (dead.rows, dead.bytes) == (2, 24)
    assert store.drop({"a"}) == dead
    assert sorted(zip(*store.table().select(["space", "name"]).to_pydict().values(), strict=True)) == [
        ("other", "a 0"),
        ("s", "a 0"),
        ("s", "a 4/last1"),
    ]
    np.testing.assert_array_equal(read(store, "a 4/last1"), values(2).astype(np.float32))
    assert store.drop({"a"}).rows == 0
    assert len([*open_storage(place).list("t")]) == 4  # two parts with their indexes


def test_hundreds_of_parts_open_no_files(tmp_path):
    store = TensorStore(str(tmp_path), "t")
    for number in range(300):
        store.write("s", {str(number): values(number)})
    reader = TensorReader.open(store, "s")
    before = psutil.Process().num_fds()
    positions = reader.positions([str(number) for number in range(300)])
    assert [int(reader.at(int(position))[0, 0]) for position in positions] == list(range(300))
    assert psutil.Process().num_fds() == before


def test_a_part_is_written_when_it_is_large_or_old(tmp_path):
    store = TensorStore(str(tmp_path), "t")
    by_size = PartWriter(store, "s", max_bytes=24, max_s=1e9)
    for number in range(5):
        by_size.add({str(number): values(number)})
    assert store.table().num_rows == 4
    by_size.flush()
    by_size.flush()
    assert store.table().num_rows == 5
    assert by_size.written_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    by_age = PartWriter(store, "s", max_bytes=1 << 30, max_s=0)
    by_age.add({"old": values(5)})
    assert store.table().num_rows == 6


@pytest.mark.parametrize("harm", ["cut short", "gone", "index cut short"])
def test_a_damaged_part_counts_as_missing_and_is_named_to_those_who_read_it(tmp_path, harm):
    store = TensorStore(str(tmp_path), "t")
    store.write("s", {"a": values(1)})
    reader = TensorReader.open(store, "s")
    store.write("s", {"b": values(2)})
    (part,) = [path for path in tmp_path.rglob("*.safetensors") if b'"a"' in path.read_bytes()]
    if harm == "gone":
        part.unlink()
        with pytest.raises(FileNotFoundError, match=f"{part.name}: is not there any more; encode again"):
            reader.at(0)
    elif harm == "cut short":
        part.write_bytes(part.read_bytes()[:-1])
        with pytest.raises(ValueError, match=f"{part.name}: is cut short; encode again"):
            reader.at(0)
    else:
        index = part.with_suffix(".parquet")
        index.write_bytes(index.read_bytes()[:-1])
    assert store.table()["name"].to_pylist() == ["b"]
    left = {path for path in tmp_path.rglob("*") if path.stem == part.stem}
    for path in left:
        os.utime(path, (0, 0))
    size = sum(path.stat().st_size for path in left)
    assert store.drop({"b"}).bytes == size
    assert not any(path.exists() for path in left)
    np.testing.assert_array_equal(read(store, "b"), values(2).astype(np.float32))


def test_compact_takes_the_type_that_holds_the_values():
    assert compact(np.array([1.0, -65504.0], np.float32)).dtype == np.float16
    assert compact(np.array([1.0, 1e5], np.float32)).dtype == np.float32
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            compact(np.array([1.0, bad], np.float32))
