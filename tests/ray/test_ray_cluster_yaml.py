"""`ray_cluster.yaml` is what Ray's own schema allows, and its node types can run our stages."""

import json
from pathlib import Path

import jsonschema
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]


def test_the_cluster_file_follows_rays_schema():
    cluster = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    kinds = cluster["available_node_types"]
    assert cluster["head_node_type"] in kinds
    assert kinds["caption"]["resources"]["GPU"] > 0
    assert cluster["max_workers"] >= sum(kind.get("max_workers", 0) for kind in kinds.values())
    assert any("requirements.lock" in command for command in cluster["setup_commands"])
    validate_config(prepare_config(cluster))
    assert kinds["head"]["resources"]["CPU"] == 0
    for name in ("decode", "caption"):  # what `--ray.analyze.label decode` and its like look for
        assert kinds[name]["resources"][name] == 1
