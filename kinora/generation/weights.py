"""Refuse what is no model folder, before anything is loaded."""

from pathlib import Path

from trainer.model_files import DIT, VAE, folder_of

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
"""Endings of files that Python's pickle reads, which can execute code."""
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def check_weights(model: str | Path) -> Path:
    """Return the folder of a model, for `shipped` that in the package.

    Raises FileNotFoundError or ValueError for anything else.
    """
    path = folder_of(model)
    if path.is_file():
        raise ValueError(f"{path}: {_describe_file(path)}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder; name a model that `kinora train dit` wrote")
    if not (path / f"{DIT}.json").is_file():
        raise FileNotFoundError(f"{path}: no {DIT}.json; {_describe_folder(path)}")
    return path


def _describe_file(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    if path.suffix in PICKLES or head.startswith((_ZIP, _PICKLE)):
        return (
            "a checkpoint in Python's pickle format can execute code, and is never loaded; name the folder "
            f"with {DIT}.safetensors that its training exported"
        )
    if path.suffix == ".safetensors":
        return f"a model is a folder with {DIT}.safetensors and {DIT}.json; name the folder that holds both"
    return "this is a file; name the folder that `kinora train dit` wrote"


def _describe_folder(path: Path) -> str:
    if (path / f"{VAE}.json").is_file():
        return "it holds a compression network alone; name the folder of a `kinora train dit`"
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
    if pickles:
        return f"{pickles[0]} is in Python's pickle format, which can execute code and is never loaded"
    return "train one with `kinora train dit fit`"
