"""What the host of a node has left: memory, disk, and how far its processes may be kept from being killed. Read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path

_CAP_SYS_RESOURCE = 1 << 24


def min_oom_score(status: Path = Path("/proc/self/status")) -> int:
    """The lowest oom_score_adj that can be given to a container: without CAP_SYS_RESOURCE none below the one inherited.

    The engine's own capabilities count; on one host they are those of root, hence the agent's."""
    try:
        for line in status.read_text().splitlines():
            if line.startswith("CapEff:"):
                return -1000 if int(line.split()[1], 16) & _CAP_SYS_RESOURCE else 0
    except (OSError, ValueError):
        return 0
    return 0


def disk_size(path: Path) -> int:
    try:
        stats = os.statvfs(path)
    except OSError:
        return 0
    return stats.f_frsize * stats.f_blocks


def free_disk(path: Path) -> int | None:
    try:
        stats = os.statvfs(path)
    except OSError:
        return None
    return stats.f_frsize * stats.f_bavail


def free_memory() -> int | None:
    try:
        with Path("/proc/meminfo").open() as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
