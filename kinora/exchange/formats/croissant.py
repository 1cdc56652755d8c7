"""`croissant`: a table and tars of clips, described by `croissant.json` (Croissant 1.0).

    clips.parquet        a row for each clip
    videos-00000.tar     KEY.mp4 of the clips        images-00000.tar     KEY.png of the stills

Records of `videos` and `images` join each file with its row. The field with the file's name carries the
reference: the other way round is valid as well, but gives the bytes of the table for every video.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from kinora.exchange.export_rows import ExportRows
from kinora.exchange.formats.huggingface import FOLDERS, TableWriter
from kinora.exchange.media_reader import MediaReader, file_name
from manifests.storage import LocalStorage
from pipeline.media.tar import TarWriter

FILE = "croissant.json"
TABLE = "clips.parquet"
MAX_TAR_BYTES = 2**30
_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_ENCODING = {"mp4": "video/mp4", "png": "image/png", "jpg": "image/jpeg"}
_CONTENT = {"video": "sc:VideoObject", "image": "sc:ImageObject"}
_NAMES = """
    citeAs column conformsTo dataBiases dataCollection equivalentProperty extract field fileProperty fileSet
    fileObject format includes isLiveDataset jsonPath key md5 parentField path personalSensitiveInformation
    recordSet references regex repeated replace samplingRate separator source subField transform
"""
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in _NAMES.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The standard context of Croissant 1.0."""


def write(rows: ExportRows, folder: Path, reader: MediaReader | None, about: Mapping[str, Any]) -> None:
    """Write the table, the tars and their description.

    Args:
        about: properties of the dataset: `name`, `description`, `license` and others of schema.org.
    """
    with TableWriter(folder / TABLE, rows.schema) as table:
        if reader is None:
            for row in rows:
                table.add(row.values)
            tars: dict[tuple[str, str], list[str]] = {}
        else:
            tars = _write_tars(rows, folder, reader, table)
    description = _describe(rows.schema, folder, tars, about)
    (folder / FILE).write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _write_tars(
    rows: ExportRows, folder: Path, reader: MediaReader, table: TableWriter
) -> dict[tuple[str, str], list[str]]:
    """Write the clips into tars; return the tars by kind and ending of their files."""
    storage, tars = LocalStorage(folder), dict[tuple[str, str], list[str]]()
    with ExitStack() as stack:
        opened: dict[tuple[str, str], tuple[TarWriter, ExitStack]] = {}
        for row, content in reader.read(rows):
            table.add(row.values)
            group = (row.values["kind"], row.media["extension"])
            if group in opened and opened[group][0].end > MAX_TAR_BYTES:
                opened.pop(group)[1].close()
            if group not in opened:
                names = tars.setdefault(group, [])
                names.append(_tar_name(group, len(names)))
                closing = stack.enter_context(ExitStack())
                opened[group] = closing.enter_context(TarWriter(storage, names[-1])), closing
            opened[group][0].add(file_name(row), content)
    return tars


def _tar_name(group: tuple[str, str], number: int) -> str:
    kind, extension = group
    name = FOLDERS[kind][0] if extension in ("mp4", "png") else f"{FOLDERS[kind][0]}-{extension}"
    return f"{name}-{number:05d}.tar"


def _describe(
    schema: pa.Schema, folder: Path, tars: Mapping[tuple[str, str], list[str]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the description of the files in `folder`."""
    files = [_file(folder, TABLE, "application/x-parquet")]
    records: list[dict[str, Any]] = [_table_records(schema)]
    for (kind, extension), names in tars.items():
        files += [_file(folder, name, "application/x-tar") for name in names]
        group = _tar_name((kind, extension), 0).removesuffix("-00000.tar")
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": f"{group}-files",
                "containedIn": [{"@id": name} for name in names],
                "encodingFormat": _ENCODING[extension],
                "includes": f"*.{extension}",
            }
        )
        records.append(_media_records(group, kind, extension, schema))
    head = {"@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": _CONFORMS_TO}
    return {**head, **about, "distribution": files, "recordSet": records}


def _file(folder: Path, name: str, encoding: str) -> dict[str, Any]:
    with (folder / name).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    size = (folder / name).stat().st_size
    about = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name}
    return {**about, "contentSize": f"{size} B", "encodingFormat": encoding, "sha256": digest}


def _table_records(schema: pa.Schema) -> dict[str, Any]:
    fields = [_field("clips", field) for field in schema]
    return {"@type": "cr:RecordSet", "@id": "clips", "key": {"@id": "clips/key"}, "field": fields}


def _media_records(group: str, kind: str, extension: str, schema: pa.Schema) -> dict[str, Any]:
    """Return the records that join each file with the plain columns of its row."""
    files = {"fileSet": {"@id": f"{group}-files"}}
    name = {**files, "extract": {"fileProperty": "filename"}}
    name["transform"] = {"regex": rf"^(.*)\.{extension}$"}
    key = {"@type": "cr:Field", "@id": f"{group}/file_key", "dataType": "sc:Text", "source": name}
    key["references"] = {"fileObject": {"@id": TABLE}, "extract": {"column": "key"}}
    content = {**files, "extract": {"fileProperty": "content"}}
    media = {"@type": "cr:Field", "@id": f"{group}/{kind}", "dataType": _CONTENT[kind], "source": content}
    plain = (field for field in schema if not pa.types.is_nested(field.type) and field.name != "key")
    return {
        "@type": "cr:RecordSet",
        "@id": group,
        "field": [key, media, *(_field(group, field) for field in plain)],
    }


def _field(owner: str, field: pa.Field) -> dict[str, Any]:
    """Return the field of a column; of one with structs, a sub-field for each of theirs."""
    about: dict[str, Any] = {"@type": "cr:Field", "@id": f"{owner}/{field.name}"}
    is_list = pa.types.is_list(field.type)
    inner = field.type.value_type if is_list else field.type
    if not pa.types.is_struct(inner):
        return about | {"dataType": _data_type(inner), "source": _column(field.name)}
    about |= {"repeated": True} if is_list else {}
    return about | {"subField": [*_sub_fields(about["@id"], field.name, inner, repeated=is_list)]}


def _sub_fields(
    owner: str, column: str, struct: pa.StructType, *, repeated: bool
) -> Iterator[dict[str, Any]]:
    for field in struct:
        is_list = pa.types.is_list(field.type)
        inner = field.type.value_type if is_list else field.type
        about: dict[str, Any] = {"@type": "cr:Field", "@id": f"{owner}/{field.name}"}
        about |= {"dataType": _data_type(inner)}
        about["source"] = {**_column(column), "transform": {"jsonPath": field.name}}
        yield about | ({"repeated": True} if repeated or is_list else {})


def _column(name: str) -> dict[str, Any]:
    return {"fileObject": {"@id": TABLE}, "extract": {"column": name}}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
