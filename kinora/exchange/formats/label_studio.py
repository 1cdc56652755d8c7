"""`label-studio`: projects of the videos and of the images, each with tasks, labelling interface and clips.

    videos/label_config.xml  videos/tasks.json  videos/clips/KEY.mp4
    images/label_config.xml  images/tasks.json  images/stills/KEY.png

A task has one prediction for each caption version; that of the caption that counts is the last. Spans are
frames counted from 1 at the constant rate `fps`, by which its player converts them. `tasks-2.json` and so on
hold the tasks beyond `MAX_TASKS_CHARS`, since the server refuses large files.

`kinora captions import --format label-studio` takes the annotations back as reviews.
"""

from contextlib import ExitStack
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kinora.exchange.export_rows import ExportRow, ExportRows
from kinora.exchange.formats.huggingface import FOLDERS
from kinora.exchange.frame_spans import check_frames, spans_of
from kinora.exchange.json_stream import JsonList, json_list
from kinora.exchange.media_reader import MediaReader, file_name
from manifests.records import LENGTHS, Verdict

MAX_TASKS_CHARS = 100_000_000
"""Characters of one file of tasks."""
VERDICTS = (Verdict.APPROVE.value, Verdict.REJECT.value, Verdict.FLAG.value)
SPAN_LABEL = "clip should be this"
CLAIM_LABELS = ("supported", "contradicted", "unseen", "unsupported", "claim")
_CONFIG = """\
<View>
{media}
  <Header value="Caption"/>
{texts}
  <Choices name="verdict" toName="{kind}" choice="single" showInLine="true">
{verdicts}
  </Choices>
  <TextArea name="reason" toName="{kind}" rows="1" maxSubmissions="1" placeholder="Reason"/>
</View>
"""
_TEXT = (
    '  <TextArea name="{length}" toName="{kind}" rows="{rows}" maxSubmissions="1" editable="true" '
    'placeholder="{length} caption"/>'
)
_TIMELINE = """\
  <Video name="video" value="$video" framerate="$fps"/>
  <TimelineLabels name="spans" toName="video">
{labels}
  </TimelineLabels>"""


def label_config(kind: str, labels: tuple[str, ...] = CLAIM_LABELS) -> str:
    """Return the labelling interface of videos or images."""
    media = '  <Image name="image" value="$image"/>'
    if kind == "video":
        lines = [f'    <Label value="{label}"/>' for label in (SPAN_LABEL, *labels)]
        media = _TIMELINE.format(labels="\n".join(lines))
    texts = [_TEXT.format(length=length, kind=kind, rows=1 + 2 * n) for n, length in enumerate(LENGTHS)]
    verdicts = [f'    <Choice value="{verdict}"/>' for verdict in VERDICTS]
    return _CONFIG.format(kind=kind, media=media, texts="\n".join(texts), verdicts="\n".join(verdicts))


def write(rows: ExportRows, folder: Path, reader: MediaReader, media_prefix: str) -> None:
    """Write the projects.

    Args:
        media_prefix: folder of a project, relative to the root of the server's local files.
    """
    with ExitStack() as stack:
        projects: dict[str, _Tasks] = {}
        for row, content in reader.read(rows):
            kind = row.values["kind"]
            name, files = FOLDERS[kind]
            root = folder / name
            if kind not in projects:
                (root / files).mkdir(parents=True)
                (root / "label_config.xml").write_text(label_config(kind))
                projects[kind] = _Tasks(root)
                stack.callback(projects[kind].close)
            (root / files / file_name(row)).write_bytes(content)
            path = "/".join(part for part in (media_prefix.strip("/"), files, file_name(row)) if part)
            projects[kind].add(_task(row, path))


class _Tasks:
    """The files of tasks of one project; a new one is begun when the last is large."""

    def __init__(self, root: Path) -> None:
        self._root, self._opened = root, ExitStack()
        self._list: JsonList | None = None
        self._files = self._chars = 0

    def add(self, task: dict[str, Any]) -> None:
        if self._list is None or self._chars > MAX_TASKS_CHARS:
            self.close()
            self._files, self._chars = self._files + 1, 0
            name = "tasks.json" if self._files == 1 else f"tasks-{self._files}.json"
            self._list = self._opened.enter_context(json_list(self._root / name))
        self._chars += self._list.add(task)

    def close(self) -> None:
        self._opened.close()


def _task(row: ExportRow, path: str) -> dict[str, Any]:
    values = row.values
    names = ("key", "clip_id", "media_id", "uri", "licence", "fps", "num_frames", "duration_s")
    data: dict[str, Any] = {values["kind"]: f"/data/local-files/?d={quote(path)}"}
    data |= {name: values[name] for name in (*names, *LENGTHS)}
    counting = values["caption_version"]
    digests = {each["version"]: each["caption_digest"] for each in values["captions"]}
    data |= {"caption_version": counting or "", "caption_digest": digests.get(counting, "")}
    data["saw"] = values["review"]["newest"] if values["review"] else ""
    data |= {name: values[name] for name in ("scores", "review") if name in values}
    captions = sorted(values["captions"], key=lambda each: each["version"] == counting)
    predictions = [_prediction(each, values, is_last=each["version"] == counting) for each in captions]
    return {"data": data, "predictions": predictions}


def _prediction(caption: dict[str, Any], values: dict[str, Any], *, is_last: bool) -> dict[str, Any]:
    """Return the texts of a caption; for the one that counts as edited, and with the spans."""
    kind = values["kind"]
    texts = {length: (values if is_last else caption)[length] for length in LENGTHS}
    result: list[dict[str, Any]] = [
        {"id": length, "from_name": length, "to_name": kind, "type": "textarea", "value": {"text": [text]}}
        for length, text in texts.items()
        if text is not None
    ]
    if is_last and kind == "video":
        result += [_timeline(number, span, values) for number, span in enumerate(spans_of(values))]
    return {"model_version": caption["version"], "result": result}


def _timeline(number: int, span: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    first, last = to_frames(span["start_s"], span["end_s"], values["fps"], values["num_frames"])
    check_frames([(first, last)], values["num_frames"], values["key"])
    label = span["label"] if span["label"] in CLAIM_LABELS else CLAIM_LABELS[-1]
    label = SPAN_LABEL if span["kind"] == "span" else label
    return {
        "id": f"span-{number}",
        "from_name": "spans",
        "to_name": "video",
        "type": "timelinelabels",
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [label]},
        "meta": {"text": [text for text in (span["label"], span["text"]) if text]},
    }


def to_frames(start_s: float, end_s: float, fps: float, num_frames: int) -> tuple[int, int]:
    """Return the first and last frame of a span, counted from 1 at a constant rate."""
    first = min(max(floor(start_s * fps + 1e-6), 0), num_frames - 1) + 1
    return first, min(max(ceil(end_s * fps - 1e-6), first), num_frames)


def to_seconds(first: int, last: int, fps: float) -> tuple[float, float]:
    """Return [start, end) of frames, in seconds: the inverse of `to_frames`."""
    return (first - 1) / fps, last / fps
