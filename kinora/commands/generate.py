"""Generate videos and images: from a prompt, images, videos, or a file of prompts."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from captioner.text_config import TextModelConfig
from kinora.cli.result import Exit, Result
from kinora.cli.subconfig import subconfig
from kinora.generation.checks import Checks, Finish
from kinora.generation.config import WORDS, RequestConfig, to_request
from kinora.generation.cost import describe_cost
from kinora.generation.files import check_ending, check_place
from kinora.generation.inputs import MediaReader
from kinora.generation.prepare import Prepared, prepare
from kinora.generation.provenance import command_line, from_prompt_at, read_provenance
from kinora.generation.request import Request, verb_of
from kinora.generation.row_worker import OpenRowWorkers, RowOptions, make_rows, open_worker
from kinora.generation.rows import Row, RowError, read_rows
from kinora.generation.run import Written, batches, check_new_part, sample_chunks, write_result
from kinora.generation.sign_config import SignConfig
from kinora.generation.vbench import Layout, NamedRows, lay_out
from kinora.generation.weights import check_weights
from kinora.prompts.expand import expand_prompts
from kinora.safety.config import SafetyConfig
from manifests.ranges import PositiveInt, UnitFloat
from pipeline.config import PoolConfig, RayConfig
from trainer.config import SampleConfig
from trainer.precision import Dtype
from trainer.sample.model import TextToVideo, load_model

__all__ = ["POSITIONAL", "WORDS", "Config", "run"]

POSITIONAL = "prompt"


@dataclass(frozen=True, kw_only=True)
class Config(RequestConfig, SampleConfig):
    model: str = "shipped"
    """Model folder written by `kinora train dit`; by default the weights in the package."""
    out: str | None = None
    """Output file (also `-o`): .mp4, .webm, .mov, .mkv or .gif; .png or .jpg with --frames 1. By default
    out.mp4 or out.png; with --prompts a folder, `out`."""
    prompts: str | None = None
    """File with a JSON object a line, whose keys are options, such as {"prompt": "…", "seed": 3}; options of
    the command hold for lines that do not name them. In a .txt file, a line is a prompt."""
    format: str = "mp4"
    """Ending of the files of --prompts; images are .png."""
    layout: Layout = "flat"
    """Of --prompts: with `vbench` or `vbench2`, the videos are also in a folder of that name in --out, as
    VBench or VBench-2.0 read them: PROMPT-0.mp4, PROMPT-1.mp4, … for --num-videos."""
    upsample_prompt: bool = False
    """Expand prompts into dense descriptions first, as `kinora prompts upsample` does: with the language
    model of `upsampler`, or, without one, prompts about the simulated worlds."""
    upsampler: TextModelConfig = field(default_factory=TextModelConfig)
    """Language model of --upsample-prompt."""
    num_videos: PositiveInt = 1
    """Videos to make, with seeds that count up; the seed is in the name of each file."""
    new_part_only: bool = False
    """Leave the frames of given videos out of the file."""
    device: str | None = None
    """`cpu`, `cuda` or `cuda:1`; by default the GPU where there is one."""
    dtype: Dtype = "auto"
    """Numbers that the networks compute in; `auto` is bfloat16 where the device multiplies it natively."""
    offload: bool = False
    """Hold each network on the device only while it is used, and in main memory otherwise: slower, for a GPU
    that cannot hold the text encoder, the transformer and the VAE together."""
    max_failed: UnitFloat = 0.01
    """Fraction of the lines of --prompts that may fail; the exit code is 10 above it."""
    on_ray: bool = False
    """Share the lines of --prompts out to `processes` actors on Ray: on the cluster of RAY_ADDRESS, else on
    this machine."""
    processes: PositiveInt = 1
    """Actors on Ray, each with a model of its own."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Resources of each actor on Ray."""
    ray: RayConfig = field(default_factory=RayConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    """Checks of prompts and of frames."""
    sign: SignConfig = field(default_factory=SignConfig)
    """Certificate of C2PA manifests."""


def run(config: Config) -> Result:
    """Generate what a configuration asks for. Raises ValueError or OSError for what cannot be made."""
    command = command_line(sys.argv[2:]) if sys.argv[1:2] == ["generate"] else ""
    if config.layout != "flat" and config.prompts is None:
        raise ValueError(f"--layout {config.layout} is for the videos of --prompts FILE")
    return _run_one(config, command) if config.prompts is None else _run_rows(config, command)


def _run_one(config: Config, command: str) -> Result:
    """Generate the videos of one request, which differ in their seeds."""
    config = _with_draft(config)
    words = list[str]()
    if config.upsample_prompt:
        config, words = _upsampled(config)
    first = to_request(subconfig(config, RequestConfig), seed=config.seed or 0)
    verb_of(first)
    requests = [replace(first, seed=first.seed + number) for number in range(config.num_videos)]
    out = Path(config.out or ("out.png" if config.frames == 1 else "out.mp4"))
    check_ending(out, config.frames)
    outs = [_numbered(out, request.seed, config.num_videos) for request in requests]
    for path in outs:
        check_place(path)
    weights = check_weights(config.model)
    checks = Checks(config.safety, config.sign)
    verdict = checks.check(first)
    if verdict.found:
        _print(f"warning: {verdict.record}")
    model = load_model(weights, device=config.device, dtype=config.dtype, offload=config.offload)
    with MediaReader() as reader:
        prepared = prepare(model, first, subconfig(config, SampleConfig), reader)
    if config.new_part_only:
        check_new_part(prepared)
    videos = [_with_seed(prepared, request) for request in requests]
    if cost := describe_cost(model, videos):
        _print(cost)
    started = monotonic()
    written = _make(model, videos, outs, config, command, checks.finish(verdict.record))
    prepared = replace(prepared, notes=(*words, *prepared.notes))
    return _result(prepared, outs, requests, written, monotonic() - started)


def _upsampled(config: Config) -> tuple[Config, list[str]]:
    """Return the configuration with its prompts expanded, and a word on each."""
    texts = [config.prompt, *(text for _, text in config.prompt_at)]
    found = expand_prompts(texts, config.upsampler, still=config.frames == 1)
    places = [(start, each.text) for (start, _), each in zip(config.prompt_at, found[1:], strict=True)]
    words = [
        f"the prompt “{each.prompt}” {each.note or f'became: {each.text}'}" for each in found if each.prompt
    ]
    return replace(config, prompt=found[0].text, prompt_at=tuple(places)), words


def _make(
    model: TextToVideo,
    videos: list[Prepared],
    outs: list[Path],
    config: Config,
    command: str,
    finish: Finish,
) -> list[Written]:
    """Sample and write videos."""
    written: dict[int, Written] = {}
    for places in batches(model, videos):
        batch = [videos[place] for place in places]
        chunks = sample_chunks(model, batch, new_part_only=config.new_part_only)
        for place, each, video in zip(places, batch, chunks, strict=True):
            written[place] = write_result(model, each, video, outs[place], command, finish)
    return [written[place] for place in range(len(videos))]


def _with_seed(prepared: Prepared, request: Request) -> Prepared:
    conditions = replace(prepared.conditions, seed=request.seed)
    return replace(prepared, request=request, conditions=conditions)


def _with_draft(config: Config) -> Config:
    """Take what is not given from the provenance of the draft."""
    if config.from_draft is None:
        return config
    made = read_provenance(config.from_draft)
    if made is None:
        if not config.prompt.strip():
            raise ValueError(f"--from-draft {config.from_draft}: the file does not say its prompt: give it")
        return config
    return replace(
        config,
        prompt=config.prompt or made.prompt,
        prompt_at=config.prompt_at or (() if config.prompt else from_prompt_at(made.prompt_at)),
        negative_prompt=config.negative_prompt or made.negative_prompt,
        seed=int(made.seed) if config.seed is None else config.seed,
    )


def _numbered(out: Path, seed: int, num_videos: int) -> Path:
    return out if num_videos == 1 else out.with_name(f"{out.stem}-{seed}{out.suffix}")


def _result(
    prepared: Prepared, outs: list[Path], requests: list[Request], written: list[Written], seconds: float
) -> Result:
    size, notes = prepared.size, prepared.notes
    videos: list[dict[str, Any]] = [
        {"out": str(out), "seed": request.seed, "frames": made.frames, "safety": made.safety}
        for out, request, made in zip(outs, requests, written, strict=True)
    ]
    shape = {"width": size.width, "height": size.height}
    never_trained = next((note for note in notes if "never trained" in note), "")
    data = {**videos[0], **shape, "verb": prepared.verb, "seconds": seconds, "videos": videos}
    lines = [f"{video['out']}: {_count(video['frames'], 'frame')} of {size}" for video in videos]
    lines[-1] += f" in {seconds:.1f} s"
    text = "\n".join([*lines, *notes])
    return Result({**data, "notes": notes, "never_trained": never_trained}, text, Exit.DONE)


def _run_rows(config: Config, command: str) -> Result:
    """Generate the videos of a prompts file that are not there yet."""
    if config.prompt:
        raise ValueError("a prompt and --prompts do not go together: put the prompt into the file")
    check_ending(Path(f"x.{config.format}"))
    model, folder, prompts = (
        check_weights(config.model),
        Path(config.out or "out"),
        Path(config.prompts or ""),
    )
    if config.on_ray:  # processes on other nodes have other working folders
        model, folder, prompts = model.absolute(), folder.absolute(), prompts.absolute()
    options = RowOptions(
        model=str(model),
        folder=str(folder),
        format=config.format,
        config=subconfig(config, SampleConfig),
        new_part_only=config.new_part_only,
        device=config.device,
        dtype=config.dtype,
        offload=config.offload,
        command=command,
        safety=config.safety,
        sign=config.sign,
    )
    rows = read_rows(prompts, subconfig(config, RequestConfig), config.num_videos)
    named = NamedRows(config.layout, "png" if config.frames == 1 else config.format)
    if config.layout != "flat":
        rows = named.name(rows)
    if config.upsample_prompt:
        rows = _upsampled_rows(rows, config)
    report = make_rows(rows, options, _workers(config), progress=_print)
    if named.names:
        _print(f"laid out in {lay_out(folder / config.layout, named.names, report.results)}")
    if not report.results:
        return Result(report.to_json(), f"{config.prompts}: no line asks for a video", Exit.NOTHING)
    too_many = len(report.failed) > config.max_failed * len(report.results)
    return Result(report.to_json(), report.to_text(), Exit.FAILED if too_many else Exit.DONE)


def _upsampled_rows(rows: Iterator[Row | RowError], config: Config) -> Iterator[Row | RowError]:
    """Expand the prompts of rows, each text once; print what stays as it was."""
    listed = list(rows)
    texts = [*dict.fromkeys(row.request.prompt for row in listed if isinstance(row, Row))]
    found = expand_prompts(texts, config.upsampler, still=config.frames == 1)
    expanded = {each.prompt: each for each in found}
    for each in found:
        if each.note and each.prompt:
            _print(f"the prompt “{each.prompt}” {each.note}")
    for row in listed:
        if isinstance(row, Row):
            row = row._replace(request=replace(row.request, prompt=expanded[row.request.prompt].text))
        yield row


def _workers(config: Config) -> OpenRowWorkers:
    if not config.on_ray:
        return open_worker
    from kinora.generation.rows_on_ray import on_ray

    return on_ray(config.processes, config.pool, config.ray)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
