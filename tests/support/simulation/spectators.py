"""Watchers that only look: what they are told must be every event, once, in order, over whatever happens to their streams.

`Spectator` lists, watches, and goes on from the last revision when the stream ends, as any client does. At the end what each of
them saw is compared with what the store published.
"""

from __future__ import annotations

import asyncio
import bisect
import random

from minik.api import meta
from minik.api.errors import Expired, StatusError
from minik.client.client import Client
from tests.support.simulation.history import History

RESOURCES = ("pods", "deployments.apps", "configmaps", "namespaces")


class Spectator:
    """Watches one resource from a list on, until cancelled."""

    def __init__(self, resource: str, client: Client, rng: random.Random) -> None:
        self._resource, self._client, self._rng = resource, client, rng
        self._segments: list[tuple[int, list[int]]] = []
        """From each list on: its revision, and those of the events that came after it."""
        self._reached = 0
        """The last revision of an event or a bookmark."""
        self._wrong: list[str] = []

    async def run(self) -> None:
        while True:
            try:
                self._reached = int((await self._client.list(self._resource)).resource_version)
                self._segments.append((self._reached, []))
                while True:
                    await self._watch()
            except StatusError:
                await asyncio.sleep(self._rng.uniform(0.1, 2.0))

    async def _watch(self) -> None:
        asked = self._reached
        try:
            async for event in self._client.watch(self._resource, resource_version=str(asked), bookmarks=True):
                revision = meta.revision(event.object)
                if event.type == "BOOKMARK":
                    self._reached = max(self._reached, revision)
                    continue
                if revision <= self._reached and len(self._wrong) < 5:
                    self._wrong.append(
                        f"{self._resource}: revision {revision} after {self._reached}, asked from {asked}"
                    )
                self._reached = revision
                self._segments[-1][1].append(revision)
        except Expired:
            raise
        except StatusError:
            await asyncio.sleep(self._rng.uniform(0.1, 2.0))

    def problems(self, history: History) -> list[str]:
        """Where what it saw is not what was published."""
        found = list(self._wrong)
        published = history.revisions(self._resource)
        for since, seen in self._segments:
            if seen:
                wanted = published[bisect.bisect_right(published, since) : bisect.bisect_right(published, seen[-1])]
                if wanted != seen:
                    missing, extra = sorted({*wanted} - {*seen})[:5], sorted({*seen} - {*wanted})[:5]
                    found.append(f"a watch of {self._resource} since {since} missed {missing} and saw {extra} besides")
        return found
