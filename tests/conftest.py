"""Lets every test use the files of the golden corpus (tests/golden/golden_*.py)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "golden"))
