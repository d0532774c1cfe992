"""`LeaderElector`: one of several processes does the work, by a Lease object (coordination.k8s.io/v1; client-go leaderelection).

The holder renews; the others watch the clock, not the timestamps: a lease is taken over once it has not changed for its duration
on the observer's own monotonic clock, so clocks of different hosts need not agree. Used with several servers on one etcd.
(The node's heartbeat lease is `agent/heartbeat.py`'s: it is written without being read.)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minik.aio import Tasks
from minik.api import meta, times
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.client.lease")

LEASES = "leases.coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Kubernetes' defaults: `duration` > `deadline` > `retry` × 1.2."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


def plan_take(lease: ROObj | None, *, identity: str, stale: bool, now: str, duration: int) -> Mapping[str, Any] | None:
    """The `spec` to write in order to hold or keep the lease; None if somebody else holds it.

    `stale`: the lease has not changed for its duration. `now`: a MicroTime."""
    spec = dict((lease or {}).get("spec") or {})
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return {**spec, "renewTime": now, "leaseDurationSeconds": duration}
    if holder and not stale:
        return None
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": (spec.get("leaseTransitions") or 0) + (1 if lease is not None else 0),
    }


class LeaderElector:
    """Holds (or tries to get) the Lease `namespace/name` as `identity`."""

    def __init__(
        self, client: Client, *, namespace: str, name: str, identity: str, clock: Clock, entropy: Entropy,
        timing: Timing = Timing(),
    ) -> None:  # fmt: skip
        self.identity = identity
        self.leading = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._entropy = entropy
        self._timing = timing
        self._seen: tuple[str, float] = ("", 0.0)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to become the leader, then run `lead` for as long as the lease holds; raises LeadershipLost after that.

        Returns when `lead` returns (the lease is then given up)."""
        while not await self._try():
            await self._clock.sleep(self._timing.retry * (1 + 1.2 * self._entropy.rng.random()))
        self.leading = True
        log.info("became leader", extra={"lease": self._name, "identity": self.identity})
        tasks = Tasks(f"leader {self._name}")
        try:
            work = tasks.start("work", _awaited(lead()))
            renewed = self._clock.monotonic()
            while not work.done():
                await self._clock.sleep(self._timing.retry)
                if work.done():
                    break
                if await self._try():
                    renewed = self._clock.monotonic()
                elif self._clock.monotonic() - renewed > self._timing.deadline:
                    raise LeadershipLost(self._name)
            await work
        finally:
            self.leading = False
            await tasks.close()
        await self.release()

    async def _try(self) -> bool:
        """Take or renew the lease; False if that did not work now."""
        try:
            return await self._take()
        except StatusError as error:
            log.debug("lease not written", extra={"lease": self._name, "error": error.message})
            return False

    async def _take(self) -> bool:
        try:
            lease: ROObj | None = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            lease = None
        monotonic = self._clock.monotonic()
        if lease is not None:
            version = lease["metadata"].get("resourceVersion", "")
            if version != self._seen[0]:
                self._seen = (version, monotonic)
        duration = ((lease or {}).get("spec") or {}).get("leaseDurationSeconds") or self._timing.duration
        stale = monotonic - self._seen[1] > duration
        spec = plan_take(
            lease, identity=self.identity, stale=stale, now=times.format_micro_time(self._clock.now()),
            duration=int(self._timing.duration),
        )  # fmt: skip
        if spec is None:
            return False
        if lease is None:
            await self._client.create(LEASES, self._lease(spec))
        else:
            await self._client.update(LEASES, {**lease, "spec": spec})
        return True

    def _lease(self, spec: Mapping[str, Any]) -> Obj:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": dict(spec),
        }

    async def release(self) -> None:
        """Give the lease up, so that another may lead at once."""
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
            if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.update(LEASES, {**meta.draft(lease), "spec": spec})
        except StatusError as error:
            log.debug("lease not released", extra={"lease": self._name, "error": error.message})


class LeadershipLost(Exception):
    """The lease could not be renewed in time; somebody else may lead now."""


async def _awaited(work: Awaitable[None]) -> None:
    await work
