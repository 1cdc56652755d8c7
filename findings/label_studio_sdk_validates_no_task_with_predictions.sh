#!/usr/bin/env bash
# label-studio-sdk 2.1.2: `LabelInterface.validate_task` of a task with predictions raises TypeError, since it calls
# `validate_prediction` without the prediction. The same prediction alone is valid, and so is the task without it.
# Seen: with predictions: TypeError; the prediction alone: True; the task alone: True.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check label-studio-sdk==2.1.2
venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
from label_studio_sdk.label_interface import LabelInterface

interface = LabelInterface(
    '<View><Video name="video" value="$video"/><TextArea name="caption" toName="video"/></View>'
)
about = {"id": "one", "from_name": "caption", "to_name": "video", "type": "textarea"}
prediction = {"model_version": "v1", "score": 0.5, "result": [about | {"value": {"text": ["a square"]}}]}
task = {"data": {"video": "/clips/a.mp4"}}


def outcome(function, *args):
    try:
        return str(function(*args))
    except TypeError as error:
        missing = "missing 1 required positional argument: 'prediction'" in str(error)
        return "TypeError" if missing else f"another TypeError: {error}"


whole = outcome(interface.validate_task, task | {"predictions": [prediction]})
alone = outcome(interface.validate_prediction, prediction)
bare = outcome(interface.validate_task, task)
same = (whole, alone, bare) == ("TypeError", "True", "True")
shown = f"with predictions: {whole}; the prediction alone: {alone}; the task alone: {bare}"
print(f"{'as found' if same else 'changed'}: {shown}")
raise SystemExit(not same)
PY
