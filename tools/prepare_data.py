"""Prepares what tools/train.py reads: downloads, key frames of videos, smoothed edges, checks; --help shows them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon.cli.prepare import main

if __name__ == "__main__":
    sys.exit(main())
