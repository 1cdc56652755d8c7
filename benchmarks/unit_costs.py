"""Measure the unit costs of docs/scale.md: `python -m benchmarks.unit_costs VIDEO [DATASET]`.

VIDEO is footage to analyse and cut; DATASET, a dataset of real clips, whose bytes per row are printed.
Requests are counted against a local S3 (moto, of the `dev` extra).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.client import BaseClient

from benchmarks.scale import table_sizes
from benchmarks.synthetic_dataset import make, touch
from manifests.dataset import Commit, Dataset
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CutConfig
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.cut import cut

COMMITS = 50
_SERVER = Path(__file__).parent.parent / "tests" / "unit" / "s3_server.py"


def costs(video: str, dataset: str | None) -> dict[str, float]:
    """Measure everything."""
    figures = processor(video)
    with tempfile.TemporaryDirectory(prefix="kinora-costs-") as scratch:
        figures |= commits(Path(scratch) / "d")
    with s3() as bucket:
        figures |= requests(f"s3://{bucket}/d")
    if dataset is not None:
        real: dict[str, float] = {}
        table_sizes(Dataset.open(dataset), real)
        rows = Dataset.open(dataset).read("media", ["length", "duration_s"])
        seconds = sum(rows["duration_s"].to_pylist())
        figures |= {f"real_{name}": value for name, value in real.items()}
        figures["real_media_bytes_a_second"] = round(sum(rows["length"].to_pylist()) / seconds)
    return figures


def processor(video: str) -> dict[str, float]:
    """Return processor seconds per minute of footage, for analysis and for cutting all of it."""
    begin = time.process_time()
    analysis = analyze_file(stat_source(str(Path(video).absolute())), AnalyzeConfig(), SandboxConfig())
    analyze_s = time.process_time() - begin
    source = analysis.source
    assert source.end_pts is not None
    assert source.start_pts is not None
    assert source.time_base_num is not None
    assert source.time_base_den is not None
    minutes = (source.end_pts - source.start_pts) * source.time_base_num / source.time_base_den / 60
    spans = [(clip["start_pts"], clip["end_pts"]) for clip in analysis.clips]
    config = CutConfig()
    begin = time.process_time()
    clips = [clip.media for clip in cut(video, spans, max_side=config.max_side_px, crf=config.crf)]
    return {
        "footage_minutes": round(minutes, 3),
        "footage_height_px": source.height or 0,
        "source_bytes_a_minute": round(source.size_bytes / minutes),
        "clips_a_minute": round(len(clips) / minutes, 2),
        "media_bytes_a_minute": round(sum(map(len, clips)) / minutes),
        "analyze_cpu_s_a_minute": round(analyze_s / minutes, 2),
        "cut_cpu_s_a_minute": round((time.process_time() - begin) / minutes, 2),
    }


def commits(root: Path) -> dict[str, float]:
    """Return the time of a commit with one part on this disk, one after another."""
    dataset = Dataset.create(root)
    begin = time.monotonic()
    for _ in range(COMMITS):
        part = dataset.write_records("failures", [])
        dataset = dataset.commit(Commit(stage="x", added=(part,)), rebase=True)
    seconds = (time.monotonic() - begin) / COMMITS
    return {"commit_ms": round(1000 * seconds, 2), "commits_an_hour": round(3600 / seconds)}


def requests(uri: str) -> dict[str, float]:
    """Count the S3 requests of each operation of a task, a job and a reader."""
    figures: dict[str, float] = {}
    with counted_requests() as calls:
        dataset = Dataset.create(uri)
    figures |= _named("create", calls)
    with counted_requests() as calls:
        part = dataset.write_records("failures", [])
    figures |= _named("put_part", calls)
    with counted_requests() as calls:
        dataset = dataset.commit(Commit(stage="x", added=(part,)), rebase=True)
    figures |= _named("commit", calls)
    for _ in range(9):
        dataset = dataset.commit(Commit(stage="x"), rebase=True)
    with counted_requests() as calls:
        Dataset.open(uri)
    figures |= _named("open_11_commits", calls)
    with counted_requests() as calls:
        dataset.read("failures")
    figures |= _named("read_small_part", calls)
    with tempfile.TemporaryDirectory() as scratch:
        made = make(Path(scratch) / "d", touch(Path(scratch) / "raw", 1000), parts=1, commits=1)
        table = made.read("clips")
    large = dataset.write_part("clips", table)
    dataset = dataset.commit(Commit(stage="x", added=(large,)), rebase=True)
    figures["large_part_mb"] = round(large.size_bytes / 1e6, 1)
    for name, columns in (
        ("read_2_columns_of_large_part", ["clip_id", "analysis"]),
        ("read_large_part", None),
    ):
        with counted_requests() as calls:
            dataset.read("clips", columns)
        figures |= _named(name, calls)
    return figures


def _named(name: str, calls: Counter[str]) -> dict[str, float]:
    return {f"s3_{name}_{call}": count for call, count in sorted(calls.items())}


@contextmanager
def counted_requests() -> Iterator[Counter[str]]:
    """Count boto3's requests by operation, within the context."""
    calls, original = Counter[str](), BaseClient._make_api_call

    def call(self: BaseClient, operation_name: str, api_params: dict) -> object:
        calls[operation_name] += 1
        return original(self, operation_name, api_params)

    BaseClient._make_api_call = call
    try:
        yield calls
    finally:
        BaseClient._make_api_call = original


@contextmanager
def s3() -> Iterator[str]:
    """Run a local S3 and yield the name of a bucket."""
    with subprocess.Popen(
        [sys.executable, str(_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(server.stdout.readline())}",
            "AWS_ACCESS_KEY_ID": "counting",
            "AWS_SECRET_ACCESS_KEY": "counting",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        boto3.Session().client("s3").create_bucket(Bucket="counted")
        yield "counted"
        server.terminate()


if __name__ == "__main__":
    print(json.dumps(costs(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None), indent=1))
