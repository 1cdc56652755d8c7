"""Entry point of `python -m kinora`."""

import sys

from kinora.cli.main import main

sys.exit(main())
