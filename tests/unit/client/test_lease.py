from __future__ import annotations

import asyncio

import pytest

from minik.api.errors import ServiceUnavailable
from minik.client.lease import LEASES, LeaderElector, LeadershipLost
from tests.support.cluster import Cluster, cluster

pytestmark = pytest.mark.looptime


def _elector(c: Cluster, identity: str) -> LeaderElector:
    return LeaderElector(
        c.client, namespace="kube-system", name="x", identity=identity, clock=c.clock, entropy=c.entropy
    )


async def _forever() -> None:
    await asyncio.sleep(1e9)


async def test_one_leads_at_a_time_and_another_takes_over_from_the_dead() -> None:
    async with cluster() as c:
        a, b = _elector(c, "a"), _elector(c, "b")
        first = asyncio.ensure_future(a.run(_forever))
        await c.settle(1)
        second = asyncio.ensure_future(b.run(_forever))
        await c.settle(60)
        assert a.leading and not b.leading
        first.cancel()
        await c.settle(10)
        assert not b.leading
        await c.settle(15)
        lease = c.get(LEASES, "x", "kube-system")
        assert b.leading and lease is not None and lease["spec"]["leaseTransitions"] == 1
        second.cancel()


async def test_one_that_cannot_renew_stops_leading_before_another_may() -> None:
    async with cluster() as c:
        a = _elector(c, "a")
        running = asyncio.ensure_future(a.run(_forever))
        await c.settle(1)
        began = c.clock.monotonic()
        c.api.fail = lambda method, path: ServiceUnavailable("down")
        with pytest.raises(LeadershipLost):
            await running
        assert not a.leading and c.clock.monotonic() - began < 15


async def test_one_that_is_done_gives_the_lease_up() -> None:
    async with cluster() as c:
        a, b = _elector(c, "a"), _elector(c, "b")

        async def briefly() -> None:
            await asyncio.sleep(5)

        await a.run(briefly)
        began = c.clock.monotonic()
        await b.run(briefly)
        assert c.clock.monotonic() - began < 13
