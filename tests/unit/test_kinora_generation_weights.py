"""What is no model folder is refused before anything is loaded, and a pickle always."""

import pickle

import pytest

from kinora.generation.weights import check_weights


def test_a_folder_with_a_model_passes(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    assert check_weights(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["step=4.ckpt", "model.pt", "model.bin", "weights"])
def test_a_pickle_is_refused_by_its_name_and_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickle format can execute code, and is never loaded"):
        check_weights(tmp_path / name)


def test_other_things_are_told_apart(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x08")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "vae.json").write_text("{}")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "pytorch_model.bin").write_bytes(b"PK")
    for name, words in {
        "model.safetensors": "name the folder that holds both",
        "notes.txt": "this is a file",
        "vae": "a compression network alone",
        "hub": "pytorch_model.bin is in Python's pickle format",
        ".": "no model.json; train one",
        "absent": "no such folder",
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            check_weights(tmp_path / name)
