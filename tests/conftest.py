"""Lets every test use the helpers in tests/unit and tests/web, and those of the golden corpus."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: more threads starve a busy machine

sys.path += [str(Path(__file__).parent / folder) for folder in ("golden", "unit", "web")]
