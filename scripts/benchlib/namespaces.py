"""Section `namespace`: a namespace with 5,000 objects of several kinds, pods that run among them, is deleted."""

from __future__ import annotations

import json
import time

from minik.api.errors import NotFound
from scripts.benchlib import load
from scripts.benchlib.objects import client_of, config_map, count_ready, deployment
from scripts.benchlib.process import server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import until

SPACE = "full"
PODS = 300
NODES = 3


def _messages(configmaps: int, secrets: int, services: int) -> list[bytes]:
    """The requests that create what is not made by controllers."""
    port = [{"port": 80}]
    bodies = [
        *(("configmaps", config_map(f"m{n}", 1000)) for n in range(configmaps)),
        *(("secrets", {"metadata": {"name": f"s{n}"}, "stringData": {"key": "x" * 500}}) for n in range(secrets)),
        *(
            ("services", {"metadata": {"name": f"v{n}"}, "spec": {"ports": port, "selector": {"n": str(n)}}})
            for n in range(services)
        ),
    ]
    made = []
    for plural, body in bodies:
        metadata = {**body["metadata"], "namespace": SPACE}
        path = f"/api/v1/namespaces/{SPACE}/{plural}"
        made.append(load.message("POST", path, json.dumps({**body, "metadata": metadata}).encode()))
    return made


async def namespace(run: Run) -> None:
    """Time from the DELETE until the namespace is gone."""
    async with server("--containers", "fake", "--nodes", str(NODES)) as running:
        await running.ready(timeout=60)
        async with client_of(running) as client:

            async def nodes_ready() -> bool:
                return await count_ready(client) >= NODES

            await until(nodes_ready, f"{NODES} nodes are Ready", timeout=60)
            await client.create("namespaces", {"metadata": {"name": SPACE}})
            messages = _messages(3700, 500, 200)
            await load.send(running.port, running.tls(), messages, clients=16, expect=201)
            wanted = deployment("web", PODS)
            wanted["metadata"]["namespace"] = SPACE
            await client.create("deployments.apps", wanted)

            async def pods_run() -> bool:
                found = await client.get("deployments.apps", "web", SPACE)
                return bool((found.get("status") or {}).get("readyReplicas") == PODS)

            await until(pods_run, f"{PODS} pods are Ready", timeout=60)

            async def is_gone() -> bool:
                try:
                    await client.get("namespaces", SPACE)
                except NotFound:
                    return True
                return False

            begin, cpu = time.monotonic(), running.cpu
            await client.delete("namespaces", SPACE)
            await until(is_gone, "the namespace is gone", timeout=120, every=0.05)
            elapsed = time.monotonic() - begin
            run.add("a namespace with 5,000 objects deleted", elapsed, f"{running.cpu - cpu:.1f} s of CPU")
