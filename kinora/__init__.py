"""The command line, what composes the packages, and the Python interface (docs/api.md).

>>> model = kinora.load_model("shipped")
>>> kinora.generate(model, "a red circle moves left", seconds=2).save("out.mp4")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinora.api import (
        Dataset,
        Provenance,
        Request,
        SampleConfig,
        TextToVideo,
        Video,
        generate,
        generate_batch,
        load_model,
        open_dataset,
        read_provenance,
    )

__all__ = [
    "Dataset",
    "Provenance",
    "Request",
    "SampleConfig",
    "TextToVideo",
    "Video",
    "bench",
    "captions",
    "demo",
    "evaluation",
    "generate",
    "generate_batch",
    "generation",
    "load_model",
    "open_dataset",
    "read_provenance",
    "safety",
    "search",
    "training",
]

_API = frozenset(__all__) - {
    "bench",
    "captions",
    "demo",
    "evaluation",
    "generation",
    "safety",
    "search",
    "training",
}


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used: `import kinora` loads nothing heavy."""
    if name in _API:
        return getattr(import_module("kinora.api"), name)
    raise AttributeError(f"module 'kinora' has no attribute {name!r}")
