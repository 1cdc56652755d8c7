"""Compare the cost of curation with plain decoding and encoding: `kinora bench curate`.

All work runs on the same files, with the same number of Ray workers, in turns; each figure is from the
minimum over the repeats:

- `analysis_over_decode`: elapsed time of the analysis over that of a plain PyAV decode loop. Limit 1.3.
- `curate_over_decode_plus_encode`: whole `curate` over one plain decode and the encoding of the kept clips by
  the same encoder, straight from the decoded planes. Limit 1.4.
- `…_cpu`: the same two in processor time, in one process without Ray; less sensitive to other load.
- `analysis_ms_per_frame`: processor time of the analysis beyond plain decoding. Limit 0.4.
- `two_worker_speedup`: whole `curate` with one worker over that with two. Needs two idle cores.
- `one_file_speedup`: analysis of the whole film, one file, with one worker over that with two. Runs once; not
  with --quick.
- `overhead_ms_per_clip`: extra time per clip of one Ray worker over the same functions in this process.
- `speedup_over_data_juicer`: time of Data-Juicer's operators (`benchmarks.data_juicer`) on the same files
  with as many processes, over that of whole `curate`. Runs once; not with --quick. At least 5.
- `sandbox_cost_share`: as in `kinora bench sandbox`, on these files.

Ray's start is not counted. Files are parts of Big Buck Bunny (`benchmarks.film`), synthetic ones with
--quick. Figures that were not measured are absent.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import ray
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from rich.table import Table

from benchmarks import data_juicer, film, sandbox
from kinora.bench.figures import Figures
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CurateConfig, CutConfig, RayConfig, SelectConfig
from pipeline.jobs.curate import curate
from pipeline.jobs.report import CurateReport
from pipeline.runtime.session import RaySession
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.cut import cut
from video.encode import PRESET

CACHE = Path(".cache")
WORKERS = 2
Spans = Sequence[tuple[int, int]]


def prepare() -> None:
    """Fetch the film and install the peer, so that no measured run is charged for it."""
    film.film(CACHE)
    data_juicer.installed()


def bench(*, quick: bool, seed: int) -> Figures:
    """Measure. `seed` is for the synthetic files of --quick."""
    repeats = 1 if quick else 3
    peer_s: float | None = None
    with TemporaryDirectory() as folder:
        if quick:
            paths = sandbox.write_files(Path(folder), 2, 4.0, seed)
        else:
            paths = film.parts(film.film(CACHE), Path(folder), count=4, seconds=20.0)
        kept, no_ray = in_process(paths, repeats)
        num_frames = sum(map(decode_only, paths))
        long = None if quick else film.film(CACHE)
        one_worker = through_ray(folder, paths, kept, 1, repeats, long)
        workers = through_ray(folder, paths, kept, WORKERS, repeats, long)
        if not quick:
            peer_s = sum(data_juicer.seconds(paths, Path(folder), WORKERS).values())
        cost = sandbox.run(paths[:1], 1 if quick else 2)["sandbox_cost_share"]
    clips = sum(map(len, kept))
    figures = {
        "analysis_over_decode": workers["analysis"] / workers["decode"],
        "curate_over_decode_plus_encode": workers["curate"] / workers["decode_encode"],
        "analysis_over_decode_cpu": no_ray["analysis"] / no_ray["decode"],
        "analysis_ms_per_frame": 1000 * (no_ray["analysis"] - no_ray["decode"]) / num_frames,
        "curate_over_decode_plus_encode_cpu": no_ray["curate"] / no_ray["decode_encode"],
        "clips_per_s": clips / workers["curate"],
        "two_worker_speedup": one_worker["curate"] / workers["curate"],
        "overhead_ms_per_clip": 1000 * (one_worker["curate"] - no_ray["curate_wall"]) / clips,
        "sandbox_cost_share": cost,
        "clips": clips,
        "files": len(paths),
        "repeats": repeats,
    }
    if not quick:
        figures["one_file_speedup"] = one_worker["one_file"] / workers["one_file"]
    if peer_s is not None:
        figures["speedup_over_data_juicer"] = peer_s / workers["curate"]
    return Figures(figures=figures, text=_table(one_worker, workers, no_ray, figures))


def in_process(paths: Sequence[str], repeats: int) -> tuple[list[Spans], dict[str, float]]:
    """Run all work in this process, in turns; return the spans of each file's clips, and seconds by work.

    Seconds are processor time, except `curate_wall`.
    """
    kept: list[Spans] = [
        sandbox.spans(analyze_file(stat_source(path), AnalyzeConfig(), SandboxConfig())) for path in paths
    ]

    def all_of(work: Callable[..., Any]) -> Callable[[], list[Any]]:
        return lambda: [work(path, spans) for path, spans in zip(paths, kept, strict=True)]

    works = {
        "decode": all_of(lambda path, _: decode_only(path)),
        "analysis": all_of(lambda path, _: analyze_file(stat_source(path), AnalyzeConfig(), SandboxConfig())),
        "decode_encode": all_of(decode_encode),
        "curate": all_of(_curate_here),
    }
    minimum: dict[str, float] = {}
    for _ in range(repeats):
        for name, work in works.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            taken = {name: time.process_time() - cpu}
            if name == "curate":
                taken["curate_wall"] = time.perf_counter() - wall
            minimum |= {key: min(value, minimum.get(key, value)) for key, value in taken.items()}
    return kept, minimum


def through_ray(
    folder: str,
    paths: Sequence[str],
    kept: Sequence[Spans],
    workers: int,
    repeats: int,
    long: Path | None = None,
) -> dict[str, float]:
    """Return the minimum elapsed seconds of each work with `workers` workers; `long` is analysed once."""
    config = CurateConfig(ray=RayConfig(num_cpus=workers))
    minimum: dict[str, float] = {}
    with RaySession(config.ray) as session:
        if session.cpus != workers:
            raise ValueError(
                f"Ray runs with {session.cpus} CPUs, not {workers}: run the benchmark without a cluster"
            )
        decode, encode = ray.remote(num_cpus=1)(decode_only), ray.remote(num_cpus=1)(decode_encode)
        works = {
            "decode": lambda: ray.get([decode.remote(path) for path in paths]),
            "decode_encode": lambda: ray.get(
                [encode.remote(*each) for each in zip(paths, kept, strict=True)]
            ),
        }
        for turn in range(repeats + 1):  # the first warms up
            taken = {name: _seconds(work) for name, work in works.items()}
            with TemporaryDirectory(dir=folder) as made:
                report = curate(folder, f"{made}/dataset", config)
            _check(report, len(paths), sum(map(len, kept)))
            taken["analysis"] = report.seconds["analyze"]
            taken["curate"] = sum(report.seconds[name] for name in ("list", "analyze", "select", "cut"))
            if turn:
                minimum |= {name: min(value, minimum.get(name, value)) for name, value in taken.items()}
        if long is not None:
            with TemporaryDirectory(dir=folder) as made:
                no_cuts = replace(config, select=SelectConfig(min_side_px=long.stat().st_size))
                report = curate(str(long), f"{made}/dataset", no_cuts)
            minimum["one_file"] = report.seconds["analyze"]
    return minimum


def decode_only(path: str) -> int:
    """Decode every frame and discard it."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def decode_encode(path: str, spans: Spans) -> int:
    """Decode once and encode the frames of each span in memory; return the size of all, in bytes."""
    pending = list(spans)
    total = 0
    writer: _ClipEncoder | None = None
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            while pending and (frame.pts or 0) >= pending[0][1]:
                pending.pop(0)
                total, writer = total + (writer.finish() if writer else 0), None
            if pending and (frame.pts or 0) >= pending[0][0]:
                writer = writer or _ClipEncoder(stream)
                writer.write(frame)
    return total + (writer.finish() if writer else 0)


class _ClipEncoder:
    """Encodes one clip with the encoder and settings of `curate`."""

    def __init__(self, source: VideoStream) -> None:
        self.buffer = io.BytesIO()
        self.container = av.open(self.buffer, "w", format="mp4")
        options = {"crf": str(CutConfig().crf), "preset": PRESET}
        rate = source.average_rate or Fraction(25)
        self.stream = cast(VideoStream, self.container.add_stream("libx264", rate=rate, options=options))
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = (
            source.width // 2 * 2,
            source.height // 2 * 2,
            "yuv420p",
        )
        context.max_b_frames, context.thread_count = 0, 1
        context.time_base = source.time_base or 1 / rate
        self.first_pts: int | None = None

    def write(self, frame: VideoFrame) -> None:
        pts = frame.pts or 0
        self.first_pts = pts if self.first_pts is None else self.first_pts
        frame.pts = pts - self.first_pts
        frame.pict_type = PictureType.NONE  # the source's key frames are not the clip's
        self.container.mux(self.stream.encode(frame))

    def finish(self) -> int:
        self.container.mux(self.stream.encode())
        self.container.close()
        return len(self.buffer.getvalue())


def _curate_here(path: str, spans: Spans) -> None:
    analyze_file(stat_source(path), AnalyzeConfig(), SandboxConfig())
    for _ in cut(path, spans, max_side=CutConfig().max_side_px, crf=CutConfig().crf):
        pass


def _seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _check(report: CurateReport, files: int, clips: int) -> None:
    if report.analyzed != files or report.cut != clips:
        raise ValueError(
            f"curate cut {report.cut} of {clips} clips of {report.analyzed} of {files} files: "
            "its time would be that of less work"
        )


def _table(
    one_worker: dict[str, float],
    workers: dict[str, float],
    no_ray: dict[str, float],
    figures: dict[str, float],
) -> Table:
    table = Table("seconds", "processor, no Ray", "wall, 1 worker", f"wall, {WORKERS} workers", box=None)
    for name in ("decode", "analysis", "decode_encode", "curate", "one_file"):
        table.add_row(
            name,
            *(f"{column[name]:.2f}" if name in column else "" for column in (no_ray, one_worker, workers)),
        )
    table.add_section()
    for name, value in figures.items():
        table.add_row(name, f"{value:.3f}")
    return table
