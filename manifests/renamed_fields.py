"""Former names of configuration fields: flags, YAML files and stored configurations keep working.

To rename a field, rename it in its class and add a line to RENAMED. After that:

- `rename_args` (manifests/renamed_flags.py) accepts the old name in flags and YAML files, with a warning.
- `rename_keys` reads stored configurations, such as those in a dataset's log.
- `old_keys` gives the names that digests are computed from, so that a digest does not change.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from inspect import getmro
from typing import Any, cast, get_args, get_type_hints

RENAMED: Mapping[str, str] = {
    "trainer.config.FlowConfig.level_mean": "logit_mean",
    "trainer.config.FlowConfig.level_spread": "logit_std",
    "trainer.config.FlowConfig.uniform_share": "uniform_prob",
    "trainer.config.FlowConfig.given_share": "clean_prob",
    "trainer.config.OptimConfig.decay_share": "cooldown_fraction",
    "trainer.config.TextChoice.dropped_share": "drop_prob",
    "trainer.config.TextChoice.dense_share": "dense_prob",
    "trainer.config.VaeLossConfig.absolute": "l1",
    "trainer.config.VaeLossConfig.squared": "l2",
    "trainer.config.VaeLossConfig.edges": "gradient",
    "trainer.config.VaeLossConfig.divergence": "kl",
    "trainer.config.WatchConfig.say_every_s": "log_every_s",
    "trainer.data.shards.ShardData.start_steps": "warmup_bucket_steps",
    "trainer.data.shards.ShardData.validation_share": "validation_fraction",
    "pipeline.config.AnalyzeConfig.share_s": "min_chunk_s",
    "pipeline.config.CutConfig.share_s": "max_chunk_s",
    "pipeline.config.DedupConfig.cluster_clips": "cluster_size",
    "pipeline.config.DedupConfig.max_relative": "max_relative_distance",
    "pipeline.config.DedupConfig.min_covered": "min_coverage",
    "pipeline.config.PoolConfig.least": "min_size",
    "pipeline.config.PoolConfig.most": "max_size",
    "captioner.config.VlmConfig.rate_hz": "fps",
    "captioner.train.config.ModelConfig.init": "initializer_range",
    "captioner.train.config.ModelConfig.patch": "patch_size",
    "captioner.train.config.TrainConfig.checkpoint_every": "checkpoint_every_n_steps",
    "captioner.train.config.TrainConfig.dense_share": "dense_fraction",
    "captioner.train.config.TrainConfig.learning_rate": "lr",
    "captioner.train.config.TrainConfig.log_every": "log_every_n_steps",
    "captioner.train.config.TrainConfig.look_classes": "num_cell_classes",
    "captioner.train.config.TrainConfig.look_steps": "vision_steps",
    "captioner.train.config.TrainConfig.look_weights": "cell_loss_weights",
    "captioner.train.config.TrainConfig.sight_rate": "patch_embed_lr",
    "captioner.train.config.TrainConfig.validate_every": "validate_every_n_steps",
    "kinora.demo.run.Config.num_judged": "num_eval_videos",
    "kinora.demo.run.Config.two_things_share": "two_objects_prob",
    "worlds.raw.config.RawConfig.two_things_share": "two_objects_prob",
}
"""New name of a field by its old one, written `module.Class.old_name`.

The class is the one that declares the field: a dataclass, or any class whose `__init__` takes it. Of several
old names of one field, put the one that digests use first.
"""

Node = type | Mapping[str, Any]
"""A configuration class, or a mapping of names to nodes."""


def rename_path(node: Node, path: str) -> tuple[str, Node]:
    """Return a dotted field path in new names, and the node that it leads to (empty for a plain value)."""
    names: list[str] = []
    for part in path.split("."):
        names.append(_renames(node).get(part, part))
        node = _child(node, names[-1])
    return ".".join(names), node


def rename_keys(node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested configuration with every old field name replaced by the new one."""
    return _rename(node, values, _renames)


def old_keys(node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested configuration with every renamed field under its oldest name."""
    return _rename(node, values, _olds)


def _rename(node: Node, values: Mapping[str, Any], names_of: Any) -> dict[str, Any]:
    names: dict[str, str] = names_of(node)
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        child = _child(node, _renames(node).get(key, key))
        if child and isinstance(value, Mapping):
            value = _rename(child, cast(Mapping[str, Any], value), names_of)
        renamed[names.get(key, key)] = value
    return renamed


def _renames(node: Node) -> dict[str, str]:
    """Return the new names of a class's fields by their old ones."""
    return {} if isinstance(node, Mapping) else _class_renames(node)


@cache
def _class_renames(node: type) -> dict[str, str]:
    owners = {f"{cls.__module__}.{cls.__qualname__}" for cls in node.__mro__}
    split = [(*key.rsplit(".", 1), new) for key, new in RENAMED.items()]
    return {old: new for owner, old, new in split if owner in owners}


def _olds(node: Node) -> dict[str, str]:
    return {new: old for old, new in reversed(_renames(node).items())}


def _child(node: Node, name: str) -> Node:
    if isinstance(node, Mapping):
        return node.get(name, {})
    return _class_child(node, name)


@cache
def _class_child(node: type, name: str) -> Node:
    hint = field_types(node).get(name)
    kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind)]
    return kinds[0] if kinds else {}


def field_types(cls: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, or of the parameters of any other class's `__init__`."""
    bases = getmro(cls)[:-1]
    if is_dataclass(cls):
        return get_type_hints(cls)
    types: dict[str, Any] = {}
    for base in reversed(bases):
        if init := vars(base).get("__init__"):
            types |= get_type_hints(init)
    return types
