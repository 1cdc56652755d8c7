"""Caption media in actors."""

from ray.data import Dataset

from pipeline.caption.actor import EngineActor, LoadCaptioner
from pipeline.caption.batch import CaptionJob
from pipeline.caption.units import CaptionSpec
from pipeline.config import CaptionConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.tasks import actor_args


class CaptionActor(EngineActor):
    """Captions media. In: rows of `CaptionUnit`. Out: rows of `run_in_pieces`."""

    def __init__(
        self, config: CaptionConfig, context: StageContext, spec: CaptionSpec, load_captioner: LoadCaptioner
    ) -> None:
        super().__init__(config, context, CaptionJob(config=config, spec=spec), load_captioner)


def add_caption(
    media: Dataset,
    config: CaptionConfig,
    context: StageContext,
    spec: CaptionSpec,
    load_captioner: LoadCaptioner,
) -> Dataset:
    """Map rows of `CaptionUnit` to rows of `run_in_pieces`."""
    return media.flat_map(
        CaptionActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, spec, load_captioner),
        **actor_args(context),
    )
