"""A disruption budget is never violated by preemption: not by many preemptors at once, not while its controller lags, not beside `drain`s.

A full cluster; pods of high priority come, and each commit by which a healthy pod of the budget goes leaves as many as it wants. In the
end every one of them has a place all the same, because there are other pods that may go, or says that a budget is in its way.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj
from minik.api.policy_v1 import poddisruptionbudget as budgets
from minik.client.manager import Manager
from minik.clock import Entropy
from minik.controllers import disruption, replicaset
from minik.metrics import Metrics
from tests.properties.test_budgets import Judge, Late, _drain
from tests.support.cluster import control_plane, named
from tests.support.kubelet import Hang, Kubelet, Run
from tests.support.objects import node
from tests.support.scheduling import scheduler_on

pytestmark = pytest.mark.looptime


def _replica_set(name: str, replicas: int) -> Obj:
    labels = {"app": name}
    container = {"name": "c", "image": "a", "resources": {"requests": {"cpu": "1"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return named(
        name, "default", spec={"selector": {"matchLabels": labels}, "template": template, "replicas": replicas}
    )


class OfWeb(Judge):
    """Looks at the pods of the budget alone."""

    def healthy(self) -> int:
        mine = [pod for pod in self.pods.values() if meta.labels(pod).get("app") == "web"]
        return sum(pods.is_ready(pod) and not meta.is_deleting(pod) for pod in mine)


@pytest.mark.parametrize("seed", range(6))
async def test_no_preemption_breaks_a_budget(seed: int) -> None:
    rng = random.Random(seed)
    kubelet = Kubelet(lambda pod: Run(ready_after=1) if pods.is_scheduled(pod) else Hang())
    judge = OfWeb(wanted=4)
    async with control_plane(replicaset.CONTROLLER, kubelet.controller) as plane:
        late = Late(plane.server.local(), rng, 0.0 if seed % 3 == 0 else 2.0)
        registry = plane.server.server.registry
        counting = Manager(
            [disruption.CONTROLLER], late, registry, clock=plane.clock, entropy=Entropy(seed), metrics=Metrics()
        )
        await counting.start()
        async with scheduler_on(plane, Late(plane.server.local(), rng, 0.5)) as rig:
            stop = plane.server.store.listen(judge)
            await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
            for number in range(4):
                await rig.node(node(f"n{number}", cpu="3"))
            await rig.create("replicasets.apps", _replica_set("web", 6))
            await rig.create("replicasets.apps", _replica_set("free", 6))
            guarded = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 4}
            await rig.create(budgets.RESOURCE, named("b", "default", spec=guarded))
            await rig.settle(20)
            assert judge.healthy() == 6 and not len(rig.scheduler.queue)
            for number in range(4):
                await rig.pod(f"high-{number}", cpu="2", priorityClassName="high")
                await rig.settle(rng.random() * 2)
            if seed % 2:
                await _drain(rig.client, rng, [])
            await rig.settle(90)
            assert not judge.violations
            high = [
                item for item in (await rig.client.list("pods", "default")).items if item["spec"]["priority"] == 1000
            ]
            if not seed % 2:  # a drain may have evicted those
                assert len(high) == 4 and sum(pods.is_ready(item) for item in high) >= 3
                assert judge.left, "the budget gave what it could"
                for item in high:
                    said = (meta.condition(item, "PodScheduled") or {}).get("message", "")
                    assert pods.is_ready(item) or "would violate a disruption budget" in said
            stop()
        await asyncio.sleep(0)
        await counting.close()
