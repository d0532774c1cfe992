"""What this node's containers and the node itself use: read from cgroup files when the server asks, never otherwise.

`Stats.sample` answers a `StatsRequest` (`serve.py`). Where a container's files are follows from `/proc/<pid>/cgroup` and the mounts of
the cgroup file systems, so it works with cgroup v1, v2 and hybrids of them, whatever the engine's driver calls its groups; the engine's
own statistics, a second for a container, are never asked for. `UsageReader` is the boundary: `CgroupUsage` for real containers,
`FakeRuntime` for simulated ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from minik.agent import names
from minik.agent.containers.base import ContainerInfo
from minik.agent.observe import Observations
from minik.clock import Clock
from minik.link.samples import ContainerSample, NodeSample, Usage

_NANO = 10**9
_UNIFIED = ""
"""Name of the one hierarchy of cgroup v2."""


class UsageReader(Protocol):
    """Reads what is used."""

    async def usage(self, containers: Sequence[ContainerInfo]) -> Mapping[str, Usage]:
        """By container id; one that has gone meanwhile is left out."""
        ...

    async def host(self) -> Usage:
        """Of the whole host."""
        ...


class Stats:
    """Samples of one node."""

    def __init__(self, observations: Observations, reader: UsageReader, clock: Clock) -> None:
        self._observations, self._reader, self._clock = observations, reader, clock

    async def sample(self) -> NodeSample:
        running = [
            info for uid in self._observations.pods() for info in self._observations.pod(uid).running()
        ]  # sandboxes hold nothing worth counting
        found = await self._reader.usage(running)
        host = await self._reader.host()
        now = self._clock.now()
        containers = tuple(
            ContainerSample(
                info.labels.get(names.UID, ""), info.labels.get(names.CONTAINER, ""), started, found[info.id]
            )
            for info in running
            if info.id in found and (started := info.started_at) is not None
        )
        return NodeSample(now, host, containers)


class CgroupUsage:
    """Of containers on this host. `root`: where `/proc` and `/sys` are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._root = root
        self._mounts: Mapping[str, Path] | None = None

    async def usage(self, containers: Sequence[ContainerInfo]) -> Mapping[str, Usage]:
        return await asyncio.to_thread(self._usage, containers)

    async def memory_of(self, container: ContainerInfo) -> int:
        """Bytes that a running container uses and cannot give back at once; 0 for one that has gone meanwhile."""
        found = await self.usage([container])
        return found[container.id].memory if container.id in found else 0

    async def host(self) -> Usage:
        return await asyncio.to_thread(self._host)

    def _usage(self, containers: Iterable[ContainerInfo]) -> dict[str, Usage]:
        if self._mounts is None:
            self._mounts = cgroup_mounts((self._proc / "self" / "mounts").read_text())
        found = {}
        for info in containers:
            try:
                groups = parse_cgroup((self._proc / str(info.pid) / "cgroup").read_text())
                if any(info.id in path for path in groups.values()):  # else the pid is another process's by now
                    found[info.id] = self._of_groups(groups)
            except (OSError, KeyError, ValueError):
                continue  # it ended while it was looked at
        return found

    def _directory(self, groups: Mapping[str, str], controller: str) -> tuple[Path, bool]:
        """(the group's directory, whether it is cgroup v2's)."""
        assert self._mounts is not None
        name = controller if controller in groups and controller in self._mounts else _UNIFIED
        mount = self._mounts[name]
        return self._root / str(mount).lstrip("/") / groups[name].lstrip("/"), name == _UNIFIED

    def _of_groups(self, groups: Mapping[str, str]) -> Usage:
        cpu_directory, is_v2 = self._directory(groups, "cpuacct")
        if is_v2:
            cpu = _fields(cpu_directory / "cpu.stat")["usage_usec"] * 1000
        else:
            cpu = int((cpu_directory / "cpuacct.usage").read_text())
        directory, is_v2 = self._directory(groups, "memory")
        stat = _fields(directory / "memory.stat")
        if is_v2:
            memory = int((directory / "memory.current").read_text()) - stat.get("inactive_file", 0)
        else:
            memory = int((directory / "memory.usage_in_bytes").read_text()) - stat.get("total_inactive_file", 0)
        return Usage(cpu, max(0, memory))

    def _host(self) -> Usage:
        user, nice, system, _idle, _iowait, irq, softirq = map(
            int, (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:8]
        )
        ticks = user + nice + system + irq + softirq
        memory = {
            name.rstrip(":"): int(kib) * 1024
            for name, kib, *_ in map(str.split, (self._proc / "meminfo").read_text().splitlines())
        }
        used = memory["MemTotal"] - memory["MemFree"] - memory.get("Inactive(file)", 0)
        return Usage(ticks * _NANO // os.sysconf("SC_CLK_TCK"), max(0, used))


def cgroup_mounts(mounts: str) -> dict[str, Path]:
    """controller → where its hierarchy is mounted; "" → cgroup v2's. `mounts`: text of `/proc/self/mounts`."""
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, where, type_, options, *_ = line.split()
        path = Path(where.replace("\\040", " "))
        if type_ == "cgroup2":
            found.setdefault(_UNIFIED, path)
        elif type_ == "cgroup":
            for controller in options.split(","):
                found.setdefault(controller, path)
    return found


def parse_cgroup(text: str) -> dict[str, str]:
    """controller → path of a process's group in its hierarchy; "" → in cgroup v2's. `text`: of `/proc/<pid>/cgroup`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _fields(path: Path) -> dict[str, int]:
    """`name number` lines."""
    return {name: int(value) for name, value in map(str.split, path.read_text().splitlines())}
