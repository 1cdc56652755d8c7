"""A retry runs under the configuration that the dataset was made with."""

from dataclasses import asdict

from captioner.config import CaptionerConfig, VlmConfig
from manifests.dataset import Commit, Dataset
from pipeline.config import AnalyzeConfig, CaptionConfig, CutConfig, RayConfig
from pipeline.planning.last_config import last, last_curation


def test_the_newest_configuration_of_each_stage_is_restored(tmp_path):
    caption = CaptionConfig(captioner=CaptionerConfig(kind="vlm", vlm=VlmConfig(model="m")), max_frames=7)
    dataset = Dataset.create(tmp_path)
    for config in (AnalyzeConfig(max_shot_s=3), AnalyzeConfig(max_shot_s=4)):
        dataset = dataset.commit(Commit(stage="analyze", config=asdict(config)))
    dataset.commit(Commit(stage="caption", config=asdict(caption) | {"a_field_of_the_past": 1}))
    dataset = Dataset.open(tmp_path)
    found = last_curation(dataset, RayConfig())
    assert (found.analyze, found.cut) == (AnalyzeConfig(max_shot_s=4), CutConfig())
    assert last(dataset, "caption", CaptionConfig) == caption
