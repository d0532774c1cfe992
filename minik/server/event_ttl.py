"""Events live for an hour after they were last written, as with kube-apiserver's `--event-ttl`; then they are deleted, and watchers told.

`cli/controlplane.py` runs it. It keeps the Events in the order in which they were last written; since all live equally long, the first
of them is always the next that is due. While there are no Events it waits for one, and costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from itertools import islice, takewhile

from minik.clock import Clock
from minik.storage.base import ConflictError, Op, Store, StoreError
from minik.storage.cache import Cache, Entry

log = logging.getLogger("minik.server.events")

EVENTS = "events"
TTL = 3600.0
_SLACK = 30.0
"""Seconds that an Event may live on, so that those that are due one after the other go at once."""
_BATCH = 200
"""Deletions in one commit."""


class EventTtl:
    """Deletes Events whose time is over."""

    def __init__(self, store: Store, cache: Cache, clock: Clock, *, ttl: float = TTL) -> None:
        self._store, self._cache, self._clock, self._ttl = store, cache, clock, ttl
        self._due: OrderedDict[str, float] = OrderedDict()
        """Key → when it is due, the first one first."""
        self._some = asyncio.Event()
        cache.follow(EVENTS, self._follow)

    def _follow(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._due.pop(key, None)
            return
        self._due[key] = self._clock.monotonic() + self._ttl
        self._due.move_to_end(key)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._due:
                self._some.clear()
                await self._some.wait()
                continue
            first = next(iter(self._due.values()))
            await self._clock.sleep(max(0.0, first - self._clock.monotonic()) + _SLACK)
            try:
                await self._expire()
            except StoreError as error:
                log.warning("events not expired", extra={"error": str(error)})

    async def _expire(self) -> None:
        """Delete what is due. What is written again at this very moment is not. Raises StoreError."""
        while ops := self._expired():
            try:
                await self._store.commit(ops)
            except ConflictError:
                continue

    def _expired(self) -> list[Op]:
        now = self._clock.monotonic()
        keys = [key for key, _ in takewhile(lambda item: item[1] <= now, islice(self._due.items(), _BATCH))]
        found = [entry for key in keys if (entry := self._cache.get(key)) is not None]
        return [Op(entry.key, None, entry.revision, durable=False) for entry in found]
