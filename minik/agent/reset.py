"""Remove what minik made on this host, and only that: containers, network, mounts, directories.

Called by `minik reset`. Containers are known by their label and the network by its names, so those two are removed by the parts
that make them; here are the order, the mounts and the directories. Everything is tried even if something before it failed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minik.agent.volumes import mounting

Part = Callable[[], Awaitable[int]]
"""Removes all of one sort and says how many there were."""


@dataclass(slots=True)
class Removed:
    """What was removed; `failures` in words for a person."""

    containers: int = 0
    interfaces: int = 0
    mounts: int = 0
    directories: int = 0
    failures: list[str] = field(default_factory=list)


async def reset(*, remove_containers: Part | None, remove_network: Part | None, directories: Sequence[Path]) -> Removed:
    """Containers first (they hold mounts and interfaces), then the rest. `directories` are removed whole: data directories, or
    their `pods`. None: there is nothing of that sort, or no way to it."""
    removed = Removed()

    async def part(what: str, remove: Part | None) -> int:
        if remove is None:
            return 0
        try:
            return await remove()
        except Exception as error:
            removed.failures.append(f"{what}: {error}")
            return 0

    removed.containers = await part("containers", remove_containers)
    removed.interfaces = await part("network", remove_network)
    for directory in directories:
        await asyncio.to_thread(_remove_directory, directory, removed)
    return removed


def _remove_directory(directory: Path, removed: Removed) -> None:
    if not directory.is_dir():
        return
    for point in mounting.mounts_below(directory):
        try:
            mounting.unmount(point)
            removed.mounts += 1
        except OSError as error:
            removed.failures.append(str(error))
    if mounting.mounts_below(directory):
        return  # what is still mounted is perhaps not ours to delete
    try:
        shutil.rmtree(directory)
        removed.directories += 1
    except OSError as error:
        removed.failures.append(str(error))
