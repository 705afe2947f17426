"""The benchmark of the HTTP service under load."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def benchmark(*options):
    command = [sys.executable, "tools/benchmark.py", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_each_load_is_compared_with_the_engine_and_leaves_no_files():
    done = benchmark("--clients", "3", "--photos", "6", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[4:] if line]
    assert [row[0] for row in rows] == [
        "3 clients", "3 clients, 1 of them with videos", "1 client", "1 client, while another's video is made"
    ]  # fmt: skip
    for _, rate, share, median, late, memory, files in rows:
        assert float(rate.split()[0]) > 0 and 0 < float(share.split()[0]) < 3 and files == "0"
        assert 0 < float(median) <= float(late) and all(50 < int(mb) < 4000 for mb in memory.split(" to "))


def test_a_load_without_clients_is_refused():
    done = benchmark("--clients", "1")
    assert done.returncode == 1 and done.stderr == (
        "benchmark: --clients must be at least 2, --photos, --rounds and --threads at least 1\n"
    )
