"""The model that a dataset's clips were embedded with."""

from dataclasses import replace

from captioner.embedding import Embedder, check_embedder, load_embedder
from manifests.dataset import Dataset
from manifests.embeddings import EMBEDDING
from manifests.scores import STAGE
from pipeline.config import ScorersConfig
from pipeline.planning.last_config import build
from pipeline.score.digests import scorer_requests


def embedding_config(dataset: Dataset) -> tuple[ScorersConfig, str]:
    """Return the settings under which clips were last embedded, with that scorer alone, and their digest.

    Raises ValueError if clips were never embedded.
    """
    for commit in reversed(dataset.commits):
        if commit.stage == STAGE:
            for request in commit.config.get("requests", ()):
                if request["scorer"] == EMBEDDING:
                    config = build(ScorersConfig, commit.config["scorers"])
                    alone = replace(config, text=False, logo=False, nsfw=False, aesthetic="off", own=())
                    return alone, request["digest"]
    raise ValueError(f"{dataset.uri}: no clip has an embedding")


def load_model(dataset: Dataset, clip_model: str | None, clip_weights: str | None) -> Embedder:
    """Load the model of the embeddings, by default from where it was when they were made.

    Raises ValueError if it is not there, or is another model.
    """
    config, digest = embedding_config(dataset)
    made_by = config.clip_model
    config = replace(
        config,
        clip_model=config.clip_model if clip_model is None else clip_model,
        clip_weights=config.clip_weights if clip_weights is None else clip_weights,
    )
    try:
        check_embedder(config.clip_model, config.clip_weights)
    except ValueError as error:
        raise ValueError(
            f"the clips were embedded by {made_by!r}: name where that model is on this machine by "
            f"--clip-model (and --clip-weights); --like CLIP_ID needs none ({error})"
        ) from error
    if scorer_requests(config)[EMBEDDING].digest != digest:
        raise ValueError(
            f"{config.clip_model}: is not the model that embedded the clips ({made_by!r}), or has changed "
            "since; name that one by --clip-model, or embed the clips by this one: run `kinora curate` again"
        )
    return load_embedder(config.clip_model, config.clip_weights)
