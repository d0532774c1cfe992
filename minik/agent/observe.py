"""`Observations`: what the engine has on this node, kept up to date and sorted by pod.

The engine's list is the truth. Its events are hints that make one container be looked at again; a full list follows each
(re)connect and comes from time to time (`heartbeat.py`). The agent's own doings are entered at once (`put`, `drop`), so a worker
never plans on a state older than its own last act.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection

from minik.agent import names
from minik.agent.containers.base import ContainerInfo, ContainerRuntime, NoSuchContainer, RuntimeFailure
from minik.agent.observed import NOTHING, ObservedPod, observed_pod

log = logging.getLogger("minik.agent.observe")


class Observations:
    """All sandboxes and containers of this node."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        on_change: Callable[[str], None],
        on_resync: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change(pod uid)` when something of a pod changed; `on_resync` when the engine is there (again)."""
        self._runtime, self._on_change, self._on_resync = runtime, on_change, on_resync
        self._infos: dict[str, ContainerInfo] = {}
        self._pods: dict[str, dict[str, ContainerInfo]] = {}
        self._sorted: dict[str, ObservedPod] = {}
        self._version = 0
        self._changed_at: dict[str, int] = {}
        self._listing = 0
        self.listed = asyncio.Event()
        self.failure = ""
        """Why the engine cannot be listed; "" while it can."""

    def pod(self, uid: str) -> ObservedPod:
        """What there is of one pod."""
        found = self._sorted.get(uid)
        if found is None:
            infos = self._pods.get(uid)
            if not infos:
                return NOTHING
            found = self._sorted[uid] = observed_pod(infos.values())
        return found

    def pods(self) -> Collection[str]:
        """The uids of all pods that have containers."""
        return list(self._pods)

    def get(self, container: str) -> ContainerInfo | None:
        return self._infos.get(container)

    # --- entering what is known --------------------------------------------------------------------------------------

    def put(self, info: ContainerInfo) -> None:
        """This is how `info.id` is now."""
        if self._infos.get(info.id) == info:
            return
        self._touch(info.id)
        self._infos[info.id] = info
        uid = info.labels.get(names.UID, "")
        self._pods.setdefault(uid, {})[info.id] = info
        self._sorted.pop(uid, None)
        self._on_change(uid)

    def drop(self, container: str) -> None:
        """It is gone."""
        info = self._infos.pop(container, None)
        if info is None:
            return
        self._touch(container)
        uid = info.labels.get(names.UID, "")
        of_pod = self._pods.get(uid, {})
        of_pod.pop(container, None)
        if not of_pod:
            self._pods.pop(uid, None)
        self._sorted.pop(uid, None)
        self._on_change(uid)

    def _touch(self, container: str) -> None:
        """While a list is under way, note what is newer than it."""
        if self._listing:
            self._version += 1
            self._changed_at[container] = self._version

    # --- asking the engine ---------------------------------------------------------------------------------------------

    async def look(self, container: str) -> None:
        """Inspect one container. RuntimeFailure when the engine does not answer."""
        try:
            self.put(await self._runtime.inspect(container))
        except NoSuchContainer:
            self.drop(container)

    async def relist(self) -> None:
        """List everything. RuntimeFailure when the engine does not answer."""
        self._listing += 1
        mark = self._version
        try:
            infos = await self._runtime.list()
        except RuntimeFailure as error:
            self.failure = str(error)
            raise
        finally:
            self._listing -= 1
            newer = {container for container, at in self._changed_at.items() if at > mark}
            if not self._listing:
                self._changed_at.clear()
        self.failure = ""
        seen = {info.id for info in infos}
        for info in infos:
            if info.id not in newer:
                self.put(info)
        for container in [c for c in self._infos if c not in seen and c not in newer]:
            self.drop(container)
        self.listed.set()

    async def run(self) -> None:
        """Follow the engine's events until cancelled."""
        async for event in self._runtime.events():
            with contextlib.suppress(RuntimeFailure):  # the next resync tells
                if event.kind == "resync":
                    await self.relist()
                    self._on_resync()
                elif event.kind == "destroy":
                    self.drop(event.container)
                else:
                    await self.look(event.container)
