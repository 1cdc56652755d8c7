#!/usr/bin/env bash
# mlcroissant 1.1.1: a record set joins a table (Parquet) with the files of a tar by `references`. Where the field of the
# table's key carries it, the description is valid, without an error or a warning, but the content of each file is the
# bytes of the table. Where the field of the file's name carries it, each record has the bytes of its own file.
# Seen: valid either way; by the table's key: 0 of 3 contents right, all the Parquet file's; by the file's name: 3 of 3.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check mlcroissant==1.1.1 pyarrow==26.0.1 pandas==3.1.1
venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
import hashlib
import io
import json
import tarfile

import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq

contents = {name: b"the bytes of " + name.encode() for name in ("a1", "b2", "c3")}
with tarfile.open("clips.tar", "w") as tar:
    for name, content in contents.items():
        member = tarfile.TarInfo(f"{name}.mp4")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
pq.write_table(pa.table({"key": [*contents], "text": ["one", "two", "three"]}), "clips.parquet")
NAMES = "column extract field fileProperty fileObject fileSet includes recordSet references regex source transform"


def describe(carrier):
    def file(name, kind):
        digest = hashlib.sha256(open(name, "rb").read()).hexdigest()
        about = {"@type": "cr:FileObject", "@id": name, "contentUrl": name}
        return about | {"encodingFormat": f"application/{kind}", "sha256": digest}

    by_name = {"fileSet": {"@id": "files"}, "extract": {"fileProperty": "filename"}}
    by_name["transform"] = {"regex": r"^(.*)\.mp4$"}
    by_key = {"fileObject": {"@id": "clips.parquet"}, "extract": {"column": "key"}}
    source, target = (by_name, by_key) if carrier == "name" else (by_key, by_name)
    content = {"fileSet": {"@id": "files"}, "extract": {"fileProperty": "content"}}
    text = {"fileObject": {"@id": "clips.parquet"}, "extract": {"column": "text"}}
    fields = [
        {"@type": "cr:Field", "@id": "r/key", "dataType": "sc:Text", "source": source, "references": target},
        {"@type": "cr:Field", "@id": "r/video", "dataType": "sc:VideoObject", "source": content},
        {"@type": "cr:Field", "@id": "r/text", "dataType": "sc:Text", "source": text},
    ]
    files = {"@type": "cr:FileSet", "@id": "files", "containedIn": {"@id": "clips.tar"}}
    context = {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/"}
    context |= {"cr": "http://mlcommons.org/croissant/"}
    context |= {"dct": "http://purl.org/dc/terms/", **{name: f"cr:{name}" for name in NAMES.split()}}
    context |= {"conformsTo": "dct:conformsTo", "dataType": {"@id": "cr:dataType", "@type": "@vocab"}}
    return {
        "@context": context,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "clips",
        "distribution": [
            file("clips.tar", "x-tar"),
            file("clips.parquet", "x-parquet"),
            files | {"encodingFormat": "video/mp4", "includes": "*.mp4"},
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "r", "field": fields}],
    }


found = {}
for carrier in ("key", "name"):
    with open("croissant.json", "w") as out:
        json.dump(describe(carrier), out)
    dataset = mlcroissant.Dataset(jsonld="croissant.json")
    rows = list(dataset.records("r"))
    texts = dict(zip((b"one", b"two", b"three"), contents.values(), strict=True))
    right = sum(row["r/video"] == texts[row["r/text"]] for row in rows)
    table = sum(row["r/video"] == open("clips.parquet", "rb").read() for row in rows)
    found[carrier] = (len(dataset.metadata.ctx.issues.errors), len(rows), right, table)
same = found == {"key": (0, 3, 0, 3), "name": (0, 3, 3, 0)}
shown = "; ".join(
    f"by the {carrier}: {errors} errors, {right} of {rows} contents right, {table} the table's"
    for carrier, (errors, rows, right, table) in found.items()
)
print(f"{'as found' if same else 'changed'}: {shown}")
raise SystemExit(not same)
PY
