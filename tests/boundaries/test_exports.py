"""What each package lets the others import: the pinned modules, listed in its `__all__`, and nothing else."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPORTS: dict[str, tuple[str, ...]] = {
    "video": (
        "audio",
        "camera_motion",
        "chosen_frames",
        "config",
        "container",
        "cut",
        "encode",
        "errors",
        "formats",
        "frames",
        "gif",
        "probe",
        "resize",
        "sandbox",
        "scorers.nsfw",
        "scorers.text",
        "seek",
        "tags",
    ),
    "worlds": (
        "canvas.judge",
        "canvas.truth",
        "claims",
        "color_lookup",
        "families",
        "family",
        "grid.judge",
        "grid.rules",
        "grid.truth",
        "occlusion.captions",
        "occlusion.truth",
        "palette",
        "physics.truth",
        "raw.config",
        "raw.editing",
        "raw.match",
        "raw.render",
        "raw.truth",
        "rooms.rigid",
        "rooms.truth",
        "shapes.captions",
        "shapes.draw",
        "shapes.family",
        "shapes.grammar",
        "shapes.judge",
        "shapes.measure",
        "shapes.truth",
        "split",
        "styles",
    ),
    "manifests": (
        "arrow",
        "buckets",
        "caption_checks",
        "caption_order",
        "carried",
        "clips_view",
        "conservation",
        "dataset",
        "digest",
        "embeddings",
        "gc",
        "integrity",
        "lineage",
        "live_view",
        "migrations",
        "own_functions",
        "parts",
        "purge",
        "ranges",
        "records",
        "redact",
        "removals",
        "renamed_fields",
        "renamed_flags",
        "replacing",
        "review.app",
        "review.cards",
        "review.checks",
        "review.config",
        "review.decisions",
        "review.desk",
        "review.estimate",
        "review.facts",
        "review.messages",
        "review.pictures",
        "review.quality",
        "review.summary",
        "review.web.desk_routes",
        "review.web.quality_routes",
        "review.web.session_routes",
        "row_reads",
        "sandboxed_sql",
        "schemas",
        "scores",
        "shards",
        "shown_frames",
        "snapshots",
        "sql",
        "storage",
        "storage.s3",
        "text_files",
        "thumbnails",
        "tombstones",
        "view_schemas",
        "web.audit",
        "web.guard",
        "web.hosts",
        "web.limits",
        "web.server",
        "web.static_files",
        "web.tokens",
    ),
    "captioner": (
        "agreement",
        "auto",
        "captions",
        "choices",
        "claims.autodq",
        "claims.check",
        "claims.claim",
        "claims.heard",
        "claims.measures",
        "claims.questions",
        "claims.refine",
        "claims.split",
        "clip_scorer",
        "config",
        "embedded",
        "embedded_scorer",
        "embedding",
        "endpoint",
        "facts",
        "frames",
        "language",
        "loops",
        "measured_scorer",
        "outcome",
        "prompts",
        "protocol",
        "questions",
        "separation",
        "text_config",
        "text_model",
        "train.build",
        "train.config",
        "train.data",
        "train.fit",
        "train.lora",
        "train.scorer",
        "transcript",
        "upsample",
        "vllm_client",
        "vllm_protocol",
        "vlm",
        "vlm_inputs",
        "windows",
    ),
    "pipeline": (
        "analysis",
        "analyze.shots.boundaries",
        "analyze.shots.detector",
        "analyze.shots.features",
        "analyze.shots.model",
        "analyze.shots.pyscenedetect",
        "analyze.signals.columns",
        "analyze.signals.frame_view",
        "analyze.task",
        "ask.load",
        "ask.units",
        "caption.engines",
        "caption.load",
        "caption.stage",
        "columns",
        "config",
        "cut.crop",
        "dedup.decisions",
        "errors",
        "fingerprint_format",
        "jobs.ask",
        "jobs.audit",
        "jobs.caption",
        "jobs.curate",
        "jobs.pack",
        "jobs.report",
        "media.read",
        "media.tar",
        "pack.reviews",
        "pack.shard_sets",
        "pack.stale_sets",
        "planning.asking",
        "planning.auditing",
        "planning.dry_run",
        "planning.last_config",
        "runtime.attempt_log",
        "runtime.context",
        "runtime.progress",
        "runtime.session",
        "runtime.tasks",
        "runtime.units",
        "score.digests",
        "score.load",
        "select.presets",
        "select.rules",
        "select.select",
        "sources.fetch",
        "sources.left_out",
        "sources.lists",
        "sources.stat",
        "sources.uri",
    ),
    "trainer": (
        "callbacks",
        "checkpoints",
        "cli",
        "config",
        "data.decode",
        "data.encode",
        "data.encode_pool",
        "data.encode_tasks",
        "data.encode_worker",
        "data.encoded_gc",
        "data.latents",
        "data.pixels",
        "dit.module",
        "ema",
        "model_files",
        "optim",
        "pixels",
        "precision",
        "run.ending",
        "run.lock",
        "run.logs",
        "run.saving",
        "run.settings",
        "run.stopping",
        "sample.conditions",
        "sample.cost",
        "sample.decode",
        "sample.frames",
        "sample.model",
        "sample.sampler",
        "sample.verbs",
        "vae.model",
        "vae.module",
        "vae.streaming",
        "vocabulary",
    ),
    "kinora": (
        "bench.before",
        "bench.cpu_time",
        "bench.figures",
        "captions.score",
        "demo.clips",
        "evaluation.cases",
        "evaluation.config",
        "evaluation.intervals",
        "evaluation.judging",
        "evaluation.run",
        "generation.inputs",
        "generation.prepare",
        "generation.request",
        "generation.run",
        "safety.config",
        "safety.rules",
        "search.found",
        "search.index",
        "search.rank",
        "search.where",
        "training.caption_score",
    ),
    "benchmarks": (),
}
API = (
    "Dataset",
    "Provenance",
    "Request",
    "SampleConfig",
    "TextToVideo",
    "Video",
    "generate",
    "generate_batch",
    "load_model",
    "open_dataset",
    "read_provenance",
)
"""Names of the Python interface, which `kinora` itself has; docs/api.md lists them."""


def modules_named(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        children = [f"{node.module}.{alias.name}" for alias in node.names]
        modules = [name for name in children if is_module(name)]
        yield from modules
        if len(modules) < len(children):
            yield node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imported_from(package: str) -> dict[str, str]:
    """Return the submodules of `package` that other packages import, each with one importing file."""
    found: dict[str, str] = {}
    for path in (path for other in EXPORTS if other != package for path in (ROOT / other).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in modules_named(node):
                if name.startswith(f"{package}."):
                    found[name.removeprefix(f"{package}.")] = str(path.relative_to(ROOT))
    return found


@pytest.mark.parametrize("package", EXPORTS)
def test_other_packages_import_exported_modules_alone(package):
    unexported = {name: path for name, path in imported_from(package).items() if name not in EXPORTS[package]}
    assert unexported == {}


@pytest.mark.parametrize("package", EXPORTS)
def test_all_lists_the_exported_modules(package):
    names = {name.partition(".")[0] for name in EXPORTS[package]}
    names |= {*API} if package == "kinora" else set()
    assert importlib.import_module(package).__all__ == sorted(names)
    assert all(is_module(f"{package}.{name}") for name in EXPORTS[package])


def test_imports_are_found_in_every_form():
    tree = ast.parse(
        "from video import probe, VideoError\nimport manifests.storage.s3\ndef f():\n    import os"
    )
    names = {name for node in ast.walk(tree) for name in modules_named(node)}
    assert names == {"video.probe", "video", "manifests.storage.s3", "os"}


def test_the_python_interface_is_there_and_documented():
    import kinora

    documented = (ROOT / "docs" / "api.md").read_text()
    for name in API:
        assert getattr(kinora, name).__doc__
        assert f"`{name}" in documented
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        _ = kinora.generat
