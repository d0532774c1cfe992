"""Sections of whole clusters: a rollout on nodes that are objects only, and thousands of simulated nodes."""

from __future__ import annotations

import time

from scripts.benchlib.objects import client_of, count_ready, deployment, make_nodes
from scripts.benchlib.process import server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import until


async def rollout(run: Run) -> None:
    """A Deployment of 3,000 replicas on 100 nodes that are objects only: created and bound."""
    async with server("--no-agent") as running:
        await running.ready()
        async with client_of(running) as client:
            await make_nodes(running, client, 100)
            await client.create("deployments.apps", deployment("web", 3000))
            begin = time.monotonic()
            watcher = client.watch("pods", "default")
            bound: set[str] = set()
            async for event in watcher:
                if event.object.get("spec", {}).get("nodeName"):
                    bound.add(event.object["metadata"]["name"])
                    if len(bound) >= 3000:
                        break
            elapsed = time.monotonic() - begin
            await watcher.aclose()  # type: ignore[attr-defined]  # watches are asynchronous generators
            run.add(
                "3,000-replica Deployment on 100 nodes", 3000 / elapsed, f"{running.memory:.0f} MB resident at the end"
            )


async def update(run: Run) -> None:
    """A rolling update of 1,000 replicas on 100 simulated nodes, against their creation: a quarter at a time, each wave waits for the
    one before to be ready, and as many pods go as come."""
    replicas = 1000
    async with server("--containers", "fake", "--nodes", "100") as running:
        await running.ready(timeout=60)
        async with client_of(running) as client:

            async def nodes_ready() -> bool:
                return await count_ready(client) >= 100

            await until(nodes_ready, "100 nodes are Ready", timeout=60)

            async def is_complete() -> bool:
                found = await client.get("deployments.apps", "web", "default")
                status = found.get("status") or {}
                counts = {status.get(field) or 0 for field in ("replicas", "updatedReplicas", "availableReplicas")}
                return counts == {replicas} and status.get("observedGeneration") == found["metadata"]["generation"]

            begin, cpu = time.monotonic(), running.cpu
            await client.create("deployments.apps", deployment("web", replicas))
            await until(is_complete, f"{replicas} pods are Ready", timeout=120)
            created, cpu_created = time.monotonic() - begin, running.cpu - cpu
            begin, cpu = time.monotonic(), running.cpu
            template = {"metadata": {"annotations": {"changed": "yes"}}}
            await client.patch("deployments.apps", "web", "default", {"spec": {"template": template}})
            await until(is_complete, "the update is complete", timeout=240)
            updated = time.monotonic() - begin
            note = f"{updated:.1f} s, {replicas / updated:,.0f} pods/s; created in {created:.1f} s"
            run.add("rolling update of 1,000 replicas against their creation", updated / created, note)
            run.add("rolling update, CPU against the creation's", (running.cpu - cpu) / cpu_created)


async def scale(run: Run) -> None:
    """Thousands of simulated nodes in the server's process, and pods that run on them."""
    nodes, pods = run.options.nodes, run.options.pods
    async with server("--containers", "fake", "--nodes", str(nodes)) as running:
        await running.ready(timeout=120)
        async with client_of(running) as client:

            async def nodes_ready() -> bool:
                return await count_ready(client) >= nodes

            await until(nodes_ready, f"{nodes} nodes are Ready", timeout=300, every=1)
            nodes_after = time.monotonic() - running.started
            begin = time.monotonic()
            share = max(1, pods // 10)
            for number in range(pods // share):
                await client.create("deployments.apps", deployment(f"web-{number}", share))

            async def running_all() -> bool:
                found = await client.list(
                    "deployments.apps", "default"
                )  # not the pods: that would measure their download
                return bool(sum((d.get("status") or {}).get("readyReplicas", 0) for d in found.items) >= pods)

            await until(running_all, f"{pods} pods are Running", timeout=300, every=1)
            pods_after = time.monotonic() - begin
            found = await client.list("pods", "default")
            running_pods = sum(1 for p in found.items if (p.get("status") or {}).get("phase") == "Running")
            if running_pods < pods:
                raise RuntimeError(f"only {running_pods} pods are Running")
            note = f"{nodes} nodes Ready after {nodes_after:.1f} s, {pods} pods Running {pods_after:.1f} s later"
            run.add("scale: nodes and pods Running", nodes_after + pods_after, note)
            run.add("scale: memory", running.memory)
