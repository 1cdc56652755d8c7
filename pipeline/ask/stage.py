"""Ask about clips in actors."""

from ray.data import Dataset

from pipeline.ask.batch import AskJob
from pipeline.ask.units import AskSpec
from pipeline.caption.actor import EngineActor, LoadCaptioner
from pipeline.config import AskConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.tasks import actor_args


class AskActor(EngineActor):
    """Answers questions about clips. In: rows of `AskUnit`. Out: rows of `run_in_pieces`."""

    def __init__(
        self, config: AskConfig, context: StageContext, spec: AskSpec, load_model: LoadCaptioner
    ) -> None:
        super().__init__(config, context, AskJob(config=config, spec=spec), load_model)


def add_ask(
    clips: Dataset, config: AskConfig, context: StageContext, spec: AskSpec, load_model: LoadCaptioner
) -> Dataset:
    """Map rows of `AskUnit` to rows of `run_in_pieces`."""
    return clips.flat_map(
        AskActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, spec, load_model),
        **actor_args(context),
    )
