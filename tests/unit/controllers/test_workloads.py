"""All workloads together: at rest they cost nothing (issue 4, point 4), and their namespace can be deleted."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.controllers import (
    cronjob,
    daemonset,
    deployment,
    garbagecollector,
    job,
    namespace,
    podgc,
    replicaset,
    serviceaccount,
    statefulset,
    ttlafterfinished,
)
from tests.support.cluster import control_plane, named
from tests.support.kubelet import Exit, Run
from tests.unit.controllers.test_cronjob import a_cron_job
from tests.unit.controllers.test_daemonset import Nodes, _nodes
from tests.unit.controllers.test_daemonset import a_set as a_daemon_set
from tests.unit.controllers.test_job import a_job
from tests.unit.controllers.test_statefulset import a_set as a_stateful_set

pytestmark = pytest.mark.looptime


async def test_an_hour_at_rest() -> None:
    def plays(pod: Any) -> Any:
        return Exit(0) if "job-name" in pod["metadata"]["labels"] else Run()

    controllers = [c.CONTROLLER for c in (
        cronjob, daemonset, deployment, garbagecollector, job, replicaset, statefulset, ttlafterfinished)]  # fmt: skip
    kubelet = Nodes(plays)
    async with control_plane(*controllers, kubelet.controller) as c:
        await _nodes(c, "n1", "n2")
        for number in range(5):
            await c.create("daemonsets.apps", a_daemon_set(f"d{number}"))
            await c.create("statefulsets.apps", a_stateful_set(f"s{number}"))
            await c.create("jobs.batch", a_job(f"j{number}", completions=3))
            await c.create("cronjobs.batch", a_cron_job(f"c{number}", schedule="0 0 29 2 *"))
        await c.settle(60)
        names = [controller.name for controller in controllers]
        before = await c.server.store.current_revision()
        worked = {name: c.manager.statistics()["controllers"][name]["adds"] for name in names}
        await c.settle(3600)
        assert await c.server.store.current_revision() == before
        assert {name: c.manager.statistics()["controllers"][name]["adds"] for name in names} == worked


async def test_a_namespace_full_of_workloads_goes() -> None:
    controllers = [c.CONTROLLER for c in (
        cronjob, daemonset, garbagecollector, job, namespace, podgc, serviceaccount, statefulset)]  # fmt: skip
    async with control_plane(*controllers, Nodes().controller) as c:
        await _nodes(c, "n1", "n2")
        await c.create("namespaces", named("team"))
        made = (
            ("daemonsets.apps", a_daemon_set()),
            ("statefulsets.apps", a_stateful_set()),
            ("jobs.batch", a_job(completions=3, parallelism=3, podReplacementPolicy="Failed")),
            ("cronjobs.batch", a_cron_job()),
        )
        for resource, obj in made:
            obj["metadata"]["namespace"] = "team"
            await c.create(resource, obj)
        await c.settle(100)
        assert len(await c.names("pods", "team")) == 2 + 3 + 3 + 1
        await c.client.delete("namespaces", "team")
        await c.settle(120)
        assert await c.get("namespaces", "team") is None
        assert await c.names("pods", "team") == [] and await c.names("jobs.batch", "team") == []


async def test_a_deployment_says_that_its_replica_set_is_refused() -> None:
    async with control_plane(deployment.CONTROLLER) as c:
        quota = {"hard": {"count/replicasets.apps": "0"}}
        await c.create("resourcequotas", named("none", "default", spec=quota))
        await c.client.patch("resourcequotas", "none", "default", {"status": quota}, subresource="status")
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        await c.create("deployments.apps", named("web", "default", spec=spec))

        async def progressing() -> tuple[str, str, str]:
            found = meta.condition(await c.client.get("deployments.apps", "web", "default"), "Progressing")
            return (found["status"], found["reason"], found["message"]) if found is not None else ("", "", "")

        await c.settle(5)
        status, reason, message = await progressing()
        assert (status, reason) == ("False", "ReplicaSetCreateError")
        assert message.startswith('Failed to create new replica set "web-') and "exceeded quota" in message
        events = (await c.client.list("events", "default")).items
        assert {(e["type"], e["reason"], e["message"]) for e in events} == {
            ("Warning", "ReplicaSetCreateError", message)
        }
        await c.client.delete("resourcequotas", "none", "default")
        await c.settle(60)
        assert (await progressing())[:2] == ("True", "NewReplicaSetCreated")
