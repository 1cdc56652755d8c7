#!/usr/bin/env bash
# A disk that fills up while weights are written is no OSError: torch 2.14.1 `torch.save(…, path)` raises RuntimeError without a word on space,
# safetensors 0.8.0 `save_file` raises SafetensorError, which is no OSError either. So `except OSError` and a look at errno miss both. A file object given to
# torch.save has the OSError as the context of its RuntimeError.
# Seen (limit of a file's size in place of a full disk): path RuntimeError/None, file RuntimeError/OSError, safetensors SafetensorError/None.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check numpy==2.4.6 safetensors==0.8.0 torch==2.14.1
seen=$(venv/bin/python - <<'PY'
import resource
import signal

import torch
from safetensors.torch import save_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
state = {"weight": torch.zeros(100_000)}


def to_file() -> None:
    with open("file.pt", "wb") as file:
        torch.save(state, file)


def context_of(error: BaseException | None) -> str:
    while error is not None:
        error = error.__cause__ or error.__context__
        if isinstance(error, OSError):
            return "OSError"
    return "None"


writers = {
    "path": lambda: torch.save(state, "path.pt"),
    "file": to_file,
    "safetensors": lambda: save_file(state, "weights.safetensors"),
}
found = []
for name, write in writers.items():
    try:
        write()
    except OSError:
        found.append(f"{name} OSError")
    except Exception as error:
        found.append(f"{name} {type(error).__name__}/{context_of(error)}")
    else:
        found.append(f"{name} no error")
print(", ".join(found))
PY
)
if [ "$seen" = "path RuntimeError/None, file RuntimeError/OSError, safetensors SafetensorError/None" ]; then state="as found"; else state="changed"; fi
echo "$state: $seen"
[ "$state" = "as found" ]
