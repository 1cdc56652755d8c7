"""Arrow's compute functions, which pyarrow makes when it is imported, so that checkers see none of them."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
