"""`wait_served`: until kinds are there. Custom ones come and go while clients run; whoever needs them waits without asking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from minik.api.registry import Registry


async def wait_served(registry: Registry, resources: Iterable[str]) -> None:
    """Wait until the registry has all of them."""
    wanted = tuple(resources)
    while any(registry.get(resource) is None for resource in wanted):
        changed = asyncio.Event()
        forget = registry.on_change(changed.set)
        try:
            await changed.wait()
        finally:
            forget()
