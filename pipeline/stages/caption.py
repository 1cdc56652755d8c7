"""Caption media: an actor holds one captioner, reads clips by byte range and decodes them where it runs."""

from collections.abc import Callable
from typing import Any

import torch
from ray.data import ActorPoolStrategy, Dataset

from captioner.protocol import Captioner
from manifests.parts import Parts
from pipeline.captioning import Asking, CaptionUnit, batches, caption
from pipeline.config import CaptionConfig
from pipeline.failing import count
from pipeline.units import Done, from_row


class CaptionActor:
    """Holds one captioner, on one torch thread. In: rows of `CaptionUnit`. Out: one `Done` row each."""

    def __init__(
        self, uri: str, config: CaptionConfig, asking: Asking, load: Callable[[CaptionConfig], Captioner]
    ) -> None:
        torch.set_num_threads(1)
        self._place, self._config, self._asking = Parts(uri), config, asking
        self._captioner = load(config)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        units = [CaptionUnit(**fields) for fields in from_row(row)]
        captions, failures = [], []
        for batch in batches(units, self._config):
            rows, failed = caption(batch, self._captioner, self._asking, self._config, self._place.storage)
            captions += rows
            failures += failed
        parts = [self._place.put_records("captions", captions)]
        parts += [self._place.put_records("failures", failures)] if failures else []
        counts = {"ok": len(captions) - len(failures)} | count(failures)
        return Done(parts=tuple(parts), units=len(units), counts=counts).to_row()


def add_caption(
    media: Dataset,
    uri: str,
    config: CaptionConfig,
    asking: Asking,
    load: Callable[[CaptionConfig], Captioner],
    actors: int,
) -> Dataset:
    """In: rows of `CaptionUnit`. Out: one `Done` row a task, its parts in the dataset at `uri`."""
    return media.map(
        CaptionActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(uri, config, asking, load),
        compute=ActorPoolStrategy(min_size=1, max_size=actors),
        max_restarts=0,  # Ray's default restarts an actor that a clip kills, without end
    )
