"""The signs of life of a node: its Lease every ten seconds, its status when it changes and every five minutes.

One timer does all that has to be done from time to time on a node; the full list of containers, too, so that a lost event does no
lasting harm. Rules: kubelet's node lease controller and `tryUpdateNodeStatus`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from minik.agent.containers.base import ImageInfo, RuntimeFailure
from minik.agent.observe import Observations
from minik.agent.registration import Health, HostFacts, image_list, node_status, verdicts
from minik.api import meta
from minik.api.errors import AlreadyExists, NotFound, StatusError
from minik.api.meta import Obj, ROObj
from minik.api.times import format_micro_time
from minik.client.client import Client
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.agent.heartbeat")

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
BEAT_SECONDS = 10.0
STATUS_SECONDS = 300.0
RELIST_BEATS = 6
LEASES = "leases.coordination.k8s.io"


class Heartbeat:
    """Keeps lease and node status. `measure` gives what the host is short of (see `registration.Health`); `images`, on real hosts, what
    images it has, asked for every minute."""

    def __init__(
        self,
        client: Client,
        observations: Observations,
        facts: HostFacts,
        node: ROObj,
        *,
        clock: Clock,
        entropy: Entropy,
        measure: Callable[[], Health],
        images: Callable[[], Awaitable[Sequence[ImageInfo]]] | None = None,
    ) -> None:
        self._client, self._observations, self._facts, self._node = client, observations, facts, node
        self._clock, self._entropy, self._measure = clock, entropy, measure
        self._list_images = images
        self._images: Sequence[Obj] | None = None
        self._told_images: Sequence[Obj] | None = None
        self._has_lease = False
        self._told: Health | None = None
        self._told_at = 0.0
        self._renewed_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        beat = 0
        while True:
            try:
                await self.beat()
            except StatusError as error:
                log.warning("heartbeat not delivered", extra={"node": self._facts.name, "error": str(error)})
            # Apart from one another, or 5,000 nodes would beat in step.
            await self._clock.sleep(BEAT_SECONDS * (0.96 + 0.08 * self._entropy.rng.random()))
            beat += 1
            if beat % RELIST_BEATS == 0 or self._observations.failure:
                try:
                    await self._observations.relist()
                except RuntimeFailure as error:
                    log.warning("containers not listed", extra={"node": self._facts.name, "error": str(error)})
                await self._see_images()

    async def beat(self) -> None:
        """Renew the lease, and write the status if it is due. Raises StatusError."""
        await self._renew_lease()
        now = self._clock.monotonic()
        if now - self._renewed_at > LEASE_SECONDS - BEAT_SECONDS:
            self._told = None  # silent for so long, the node may have been declared Unknown: say anew how it is
        self._renewed_at = now
        await self.report()

    async def report(self) -> None:
        """Write the node's status if it changed or five minutes have passed. Raises StatusError."""
        health = replace(self._measure(), runtime=self._observations.failure)
        now = self._clock.monotonic()
        if self._images is None:
            await self._see_images()
        same = self._told is not None and verdicts(health) == verdicts(self._told) and self._images == self._told_images
        if same and now - self._told_at < STATUS_SECONDS:
            return
        images = self._images
        status = node_status(self._facts, health, self._node, self._clock.now(), images)
        self._node = await self._client.patch_status(
            "nodes", self._facts.name, "", {"status": status}, type="strategic"
        )
        self._told, self._told_at, self._told_images = health, now, images

    async def _see_images(self) -> None:
        if self._list_images is None:
            return
        try:
            self._images = image_list(await self._list_images())
        except RuntimeFailure as error:
            log.warning("images not listed", extra={"node": self._facts.name, "error": str(error)})

    async def _renew_lease(self) -> None:
        renew = format_micro_time(self._clock.now())
        if self._has_lease:
            try:
                await self._client.patch(LEASES, self._facts.name, LEASE_NAMESPACE, {"spec": {"renewTime": renew}})
                return
            except NotFound:
                self._has_lease = False
        lease = node_lease(self._node, renew)
        try:
            await self._client.create(LEASES, lease)
        except AlreadyExists:
            await self._client.patch(LEASES, self._facts.name, LEASE_NAMESPACE, {"spec": lease["spec"]})
        self._has_lease = True


def node_lease(node: ROObj, renew_time: str) -> Obj:
    """The node's Lease, owned by the node."""
    name = meta.name(node)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": meta.uid(node)}],
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renew_time},
    }
