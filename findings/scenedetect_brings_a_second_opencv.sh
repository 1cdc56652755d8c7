#!/usr/bin/env bash
# scenedetect 0.7.2 requires opencv-python. In an environment with opencv-python-headless both packages then own the same
# files of cv2, and which build is imported depends on the order of installation. scenedetect-headless 0.7.2 does not.
# Seen: both packages are installed, with files in common; with scenedetect-headless one.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
for package in scenedetect scenedetect-headless; do
    python3 -m venv "$package"
    "$package/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 opencv-python-headless==5.0.0.93 "$package==0.7.2"
    "$package/bin/python" - > "$package.txt" <<'PY'
from importlib.metadata import PackageNotFoundError, files

owners = {}
for package in ("opencv-python", "opencv-python-headless"):
    try:
        owners[package] = {str(path) for path in files(package) if str(path).startswith("cv2/")}
    except PackageNotFoundError:
        continue
common = set.intersection(*owners.values()) if len(owners) > 1 else set()
print(len(owners), "shared" if common else "apart")
PY
done
found="$(cat scenedetect.txt), $(cat scenedetect-headless.txt)"
if [ "$found" = "2 shared, 1 apart" ]; then state="as found"; else state="changed"; fi
echo "$state: builds of OpenCV with scenedetect, with scenedetect-headless: $found"
[ "$state" = "as found" ]
