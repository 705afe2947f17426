"""Cores and memory: the least of the machine's and of the limits of its container and of the process."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.utils import machine
from tests.helpers.samples import photo

GB = 1 << 30
NONE_V1 = 0x7FFFFFFFFFFFF000  # how version 1 writes that there is no limit
V1 = "4:memory:{0}\n2:cpu,cpuacct:{0}\n1:name=systemd:/\n0::/\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes the files of control groups, on a machine of 16 cores and 64 GB."""
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda process: list(range(16)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GB))
    monkeypatch.setattr(machine, "SELF", tmp_path / "self")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")

    def write(groups, files):
        for path, text in {"self/cgroup": groups, **{f"cgroup/{name}": text for name, text in files.items()}}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(f"{text}\n")

    return write


@pytest.mark.parametrize(
    "groups, files, cores, memory",
    [
        ("", {}, 16, 64 * GB),
        ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, 16, 64 * GB),
        ("0::/", {"cpu.max": "200000 100000", "memory.max": 2 * GB, "memory.high": "max"}, 2, 2 * GB),
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000", "a/memory.high": GB}, 2, GB),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/memory.max": GB, "a/b/memory.max": 3 * GB}, 1, GB),
        ("0::/gone", {"cpu.max": "300000 100000", "memory.max": GB}, 3, GB),
        (
            V1.format("/docker/0123"),  # which is not in the container
            {"cpu/cpu.cfs_quota_us": 400_000, "cpu/cpu.cfs_period_us": 100_000, "memory/memory.limit_in_bytes": GB},
            4,
            GB,
        ),
        (
            V1.format("/"),
            {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100_000, "memory/memory.limit_in_bytes": NONE_V1},
            16,
            64 * GB,
        ),
        ("0::/", {"cpu.max": "", "memory.max": "nonsense"}, 16, 64 * GB),
        ("0::/../..", {"cpu.max": "100000 100000"}, 1, 64 * GB),
    ],
)
def test_limits_of_control_groups_apply(write, groups, files, cores, memory):
    write(groups, files)
    assert (machine.cores(), machine.memory()) == (cores, memory)


def test_affinity_below_the_quota_applies(write, monkeypatch):
    write("0::/", {"cpu.max": "400000 100000"})
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda process: [3])
    assert machine.cores() == 1


def test_without_affinity_and_limits_all_of_the_machine_is_used(write, monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(psutil.Process, "cpu_affinity")
    monkeypatch.delattr(psutil, "RLIMIT_AS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert (machine.cores(), machine.memory()) == (8, 64 * GB)


def test_limit_on_addresses_applies():
    script = "from ppcartoon.utils import machine; print(machine.memory())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GB, GB)),
    )
    assert GB / 2 < int(done.stdout) <= GB, done.stderr


def test_image_that_does_not_fit_into_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    images.write(tmp_path / "a.png", images.Picture(photo(100, 200)))
    monkeypatch.setattr(machine, "memory", lambda: 8 * 100 * 200 - 1)
    with pytest.raises(InputError, match=r"a\.png: 200x100: needs more than the 0\.00016 GB of memory here"):
        images.read(tmp_path / "a.png")
