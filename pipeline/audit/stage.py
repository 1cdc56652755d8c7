"""Check captions in actors, which hold the scorer and decode the clips again."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import cv2
from ray.data import Dataset

from captioner.protocol import Captioner
from manifests.parts import PartStore
from pipeline.audit.scorers import load_scorer
from pipeline.audit.task import Checkers, JudgeClaims, check_captions, read_captions
from pipeline.audit.unit import AuditUnit
from pipeline.config import AuditConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.tasks import actor_args, run_task
from pipeline.runtime.units import TaskResult, from_row

LoadCaptioner = Callable[[], Captioner]


class AuditActor:
    """Holds what captions are checked with. In: rows of `AuditUnit`. Out: one `TaskResult` row each."""

    def __init__(
        self,
        config: AuditConfig,
        context: StageContext,
        digest: str,
        judge: JudgeClaims | None,
        load_captioner: LoadCaptioner | None,
    ) -> None:
        cv2.setNumThreads(1)
        self._store, self._config, self._digest = PartStore(context.dataset_uri), config, digest
        self._checkers = load_or_retire(partial(load_checkers, config, judge, load_captioner), context)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="audit", task=self._check)

    def _check(self, row: dict[str, Any]) -> dict[str, str]:
        units = [AuditUnit.from_fields(fields) for fields in from_row(row)]
        captions, unread = check_captions(
            read_captions(self._store, units),
            units,
            self._checkers,
            self._config,
            self._store.storage,
            self._digest,
        )
        part = self._store.write_part("captions", captions)
        counts = {"checked": len(captions) - unread, "unread": unread}
        return TaskResult(parts=(part,), units=len(captions), counts=counts).to_row()


def load_checkers(
    config: AuditConfig, judge: JudgeClaims | None, load_captioner: LoadCaptioner | None
) -> Checkers:
    """Load the scorer, the reader of text if it is installed, and the captioner that answers questions."""
    reader = None
    if config.claims and config.read_text and find_spec("rapidocr") is not None:
        from video.scorers.text import TextReader

        reader = TextReader()
    return Checkers(
        scorer=load_scorer(config),
        judge=judge,
        captioner=load_captioner() if load_captioner else None,
        reader=reader,
    )


def add_audit(
    units: Dataset,
    config: AuditConfig,
    context: StageContext,
    digest: str,
    judge: JudgeClaims | None,
    load_captioner: LoadCaptioner | None,
) -> Dataset:
    """Map rows of `AuditUnit` to one `TaskResult` row each."""
    return units.map(
        AuditActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, digest, judge, load_captioner),
        **actor_args(context),
    )


def record_lost(units: list[AuditUnit]) -> TaskResult:
    """Count the captions of a lost task: they stay without a check."""
    captions = sum(len(unit.rows) for unit in units)
    return TaskResult(parts=(), units=captions, counts={"lost": captions})
