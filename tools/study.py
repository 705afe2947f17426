"""A user study: serves the page on which people vote, and reports the votes; --help shows the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon.cli.study import main

if __name__ == "__main__":
    sys.exit(main())
