"""A cluster at rest does nothing but show signs of life: no reconcile, no write to the disk, whatever is in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minik.api.builtin import builtin_registry
from minik.api.meta import Obj
from minik.cli.controlplane import MASTERS
from minik.client.client import Client
from minik.storage.base import Event
from minik.storage.compactor import Retention
from tests.support.simulation import checks, loop
from tests.support.simulation.disk import Disk
from tests.support.simulation.history import History
from tests.support.simulation.host import SimulatedNode
from tests.support.simulation.network import Link
from tests.support.simulation.server import Server

REST = 300.0
"""Seconds of rest that are looked at; with ten nodes they hold some 300 renewals of leases."""
RENEWALS, STATUS = "leases.coordination.k8s.io/kube-node-lease/", "nodes/"
"""Signs of life: every ten seconds, in memory; every five minutes, for good."""


def workload(kind: str, name: str, replicas: int) -> Obj:
    labels = {"app": name}
    template: Obj = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
    spec: Obj = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def cron_job(name: str) -> Obj:
    pod: Obj = {"containers": [{"name": "c", "image": "app:1"}], "restartPolicy": "Never"}
    spec: Obj = {"schedule": "0 12 1 6 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


class Writes:
    """What the store published since `clear`: key → how often."""

    def __init__(self) -> None:
        self.keys: Counter[str] = Counter()

    def __call__(self, events: Sequence[Event]) -> None:
        self.keys.update(event.key for event in events)


async def fill(client: Client) -> None:
    for number in range(100):
        await client.create("deployments.apps", workload("Deployment", f"web-{number}", 1))
        service = {"selector": {"app": f"web-{number}"}, "ports": [{"port": 80}]}
        await client.create(
            "services", {"metadata": {"name": f"web-{number}", "namespace": "default"}, "spec": service}
        )
    for number in range(20):
        await client.create("statefulsets.apps", workload("StatefulSet", f"db-{number}", 2))
        await client.create("cronjobs.batch", cron_job(f"cron-{number}"))


def reconciles(server: Server) -> dict[str, float]:
    """Controller → reconciles so far."""
    found: dict[str, float] = {}
    for line in server.plane.metrics.render().splitlines():
        if line.startswith("controller_reconcile_total{") and (value := float(line.rsplit(" ", 1)[1])):
            name = line.split('controller="', 1)[1].split('"', 1)[0]
            found[name] = found.get(name, 0.0) + value
    return found


async def rest(directory: Path) -> dict[str, Any]:
    """Fill a cluster, let it settle, and look at what it does then."""
    seeds, history, writes = loop.Seeds(1), History(None), Writes()
    disk, link = Disk(directory, seeds.rng("disk")), Link("server", seeds.rng("link"), latency=0.001)
    server = Server(disk, link, seeds=seeds, history=history, on_events=writes, retention=Retention())
    registry = builtin_registry()
    nodes = [
        SimulatedNode(number, server, registry, seeds=seeds, history=history, on_start=lambda _node, _info: None)
        for number in range(10)
    ]
    await server.start()
    for node in nodes:
        await node.start_agent()
    users = Link("users", seeds.rng("users"), latency=0.001)
    await fill(Client(server.transport(users, "minik-admin", MASTERS), registry))
    for _ in range(100):
        await asyncio.sleep(10)
        unsettled = checks.unsettled(server.plane.cache, nodes, server.plane.manager)
        if not unsettled:
            break
    await asyncio.sleep(120)
    writes.keys.clear()
    commits, reconciled = disk.commits, reconciles(server)
    await asyncio.sleep(REST)
    after = reconciles(server)
    found = {
        "unsettled": unsettled,
        "reconciled": {name: after[name] - reconciled.get(name, 0) for name in after if after[name] != reconciled.get(name, 0)},
        "written": {key: n for key, n in writes.keys.items() if not key.startswith((RENEWALS, STATUS))},
        "renewals": sum(n for key, n in writes.keys.items() if key.startswith(RENEWALS)),
        "statuses": sum(n for key, n in writes.keys.items() if key.startswith(STATUS)),
        "commits": disk.commits - commits,
    }  # fmt: skip
    for node in nodes:
        await node.close()
    await server.stop()
    return found


def test_a_full_cluster_at_rest(tmp_path: Path) -> None:
    found = loop.run(rest(tmp_path))
    assert not found["unsettled"]
    assert found["renewals"] > 200, "the nodes are alive"
    assert found["written"] == {}
    watching = found["reconciled"].pop("node-lifecycle", 0.0)
    assert watching < found["renewals"] / 2, "what looks after signs of life costs less than they do"
    assert found["reconciled"] == {}
    assert found["commits"] <= found["statuses"] + 5, "nothing else goes to the disk, but that history is forgotten"
