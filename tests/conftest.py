"""Lets every test use the helpers in tests/unit and those of the golden corpus (tests/golden/golden_*.py)."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent / folder) for folder in ("golden", "unit")]
