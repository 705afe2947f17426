"""The CPU, and the cores and memory that this process may use: those of the machine, or fewer in a container."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS, SELF = Path("/sys/fs/cgroup"), Path("/proc/self")


def cores() -> int:
    """The number of CPU cores that this process may use, by its affinity and the CPU quota of its container."""
    available = os.cpu_count() or 1
    if hasattr(psutil.Process, "cpu_affinity"):  # not on macOS
        available = len(psutil.Process().cpu_affinity())
    for folder in _cgroups("cpu"):
        numbers = _numbers(folder / "cpu.max")  # version 2: quota and period; "max" without a limit
        numbers = numbers or _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        if len(numbers) == 2 and min(numbers) > 0:
            available = min(available, math.ceil(numbers[0] / numbers[1]))
    return available


def cpu_name() -> str:
    """The CPU's name, such as "AMD EPYC 7763"; its architecture if the system does not name it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name":
                return name.strip()
    return platform.machine()


def memory() -> int:
    """Bytes of memory that this process may use, by the machine, its container and `ulimit -v`."""
    limits = [psutil.virtual_memory().total]
    for folder in _cgroups("memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limits += _numbers(folder / name)
    if hasattr(psutil, "RLIMIT_AS"):  # on Linux
        process = psutil.Process()
        (addresses, _), used = process.rlimit(psutil.RLIMIT_AS), process.memory_info()
        if addresses != psutil.RLIM_INFINITY:
            limits.append(addresses - (used.vms - used.rss))  # without what is reserved and not in use
    return max(0, min(limits))


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that limit this process, where they exist."""
    with suppress(OSError, ValueError):
        for line in (SELF / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:  # version 2
                root = CGROUPS
            elif controller in controllers.split(","):
                root = CGROUPS / controller
            else:
                continue
            folder = root / path.lstrip("/")
            yield from (group for group in (folder, *folder.parents) if group.is_relative_to(root))


def _numbers(path: Path) -> list[int]:
    """The integers in a file; empty if there is none, or it contains words such as "max"."""
    try:
        return [int(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError):
        return []
