"""`Volumes`: what the pod workers want of a pod's files on this host. `manager.py` is the real one; `NoVolumes` keeps none,
for simulated containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from minik.agent.containers.base import Mount
from minik.agent.fields import PodFacts
from minik.api.meta import ROObj


class Volumes(Protocol):
    """The volumes, /etc files and termination logs of pods."""

    async def prepare(self, pod: ROObj, facts: PodFacts) -> datetime | None:
        """Make all of the pod's volumes, or bring them up to date; idempotent. The moment to come again (a token to renew), or
        None. Raises VolumeError; what came before it is done."""
        ...

    def mounts(
        self, pod: ROObj, container: Mapping[str, Any], attempt: int, env: Mapping[str, str], facts: PodFacts
    ) -> Sequence[Mount]:
        """What to bind into one attempt of a container, after `prepare`. Raises VolumeError."""
        ...

    def termination_message(self, pod_uid: str, container: str, attempt: int) -> str:
        """What that attempt wrote to its terminationMessagePath, at most 4096 bytes; "" for nothing."""
        ...

    async def release(self, pod_uid: str) -> None:
        """The pod has ended: unmount what is in memory. Idempotent."""
        ...

    async def remove(self, pod_uid: str) -> None:
        """The pod is gone: remove all its files. Idempotent."""
        ...

    def pods(self) -> Sequence[str]:
        """The uids of pods that have files here."""
        ...


class NoVolumes:
    """Keeps nothing on disk."""

    async def prepare(self, pod: ROObj, facts: PodFacts) -> datetime | None:
        return None

    def mounts(
        self, pod: ROObj, container: Mapping[str, Any], attempt: int, env: Mapping[str, str], facts: PodFacts
    ) -> Sequence[Mount]:
        return ()

    def termination_message(self, pod_uid: str, container: str, attempt: int) -> str:
        return ""

    async def release(self, pod_uid: str) -> None:
        return None

    async def remove(self, pod_uid: str) -> None:
        return None

    def pods(self) -> Sequence[str]:
        return ()
