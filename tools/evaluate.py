"""Measures cartoons and compares them: FID, the paper's tables and figures; --help shows the commands."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
