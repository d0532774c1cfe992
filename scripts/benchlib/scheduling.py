"""Scheduling on 5,000 nodes that are objects only, in the shapes of kube-scheduler's own benchmark (test/integration/scheduler_perf):
plain pods; pods of one label that exclude each other by host name, in two namespaces; pods that spread over three zones with maxSkew 5.

Each shape has a server of its own. Pods are created by 16 clients while the scheduler works; what counts is the time from the first
creation until the last pod is bound.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from minik.client.client import Client
from scripts.benchlib import load
from scripts.benchlib.objects import client_of, make_nodes
from scripts.benchlib.process import Server, server
from scripts.benchlib.run import Run

NODES, PODS = 5000, 10000
ANTI_AFFINE, SPREAD = 2000, 5000
BEFORE = 1000
"""Pods of the same kind that are there already when measuring begins, as upstream has it."""
ZONES = 3
NAMESPACES = ("sched-0", "sched-1")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


async def scheduling(run: Run) -> None:
    nodes, sized = run.options.sized(NODES, 100), run.options.sized
    await _measure(run, f"{PODS:,} pods on {NODES:,} nodes", nodes, sized(PODS), plain, before=0)
    await _measure(run, "required pod anti-affinity", nodes, sized(ANTI_AFFINE), anti_affine, before=sized(BEFORE))
    await _measure(run, "required topology spread", nodes, sized(SPREAD), spread, before=sized(BEFORE))


def plain(number: int) -> dict[str, Any]:
    return _pod(number, "plain", {})


def anti_affine(number: int) -> dict[str, Any]:
    term = {
        "labelSelector": {"matchLabels": {"color": "green"}},
        "topologyKey": "kubernetes.io/hostname",
        "namespaces": list(NAMESPACES),
    }
    return _pod(number, "green", {"affinity": {"podAntiAffinity": {_REQUIRED: [term]}}})


def spread(number: int) -> dict[str, Any]:
    constraint = {
        "maxSkew": 5,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"color": "blue"}},
    }
    return _pod(number, "blue", {"topologySpreadConstraints": [constraint]})


def _pod(number: int, color: str, spec: dict[str, Any]) -> dict[str, Any]:
    requests = {"cpu": "100m", "memory": "500Mi"}
    container = {
        "name": "pause",
        "image": "pause:3",
        "ports": [{"containerPort": 80}],
        "resources": {"requests": requests},
    }
    metadata = {"name": f"pod-{number}", "namespace": NAMESPACES[number % 2], "labels": {"color": color}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def _measure(
    run: Run, name: str, nodes: int, count: int, make: Callable[[int], dict[str, Any]], *, before: int
) -> None:
    async with server("--no-agent") as running:
        await running.ready()
        async with client_of(running) as client:
            for namespace in NAMESPACES:
                await client.create("namespaces", {"metadata": {"name": namespace}})
            await make_nodes(running, client, nodes, zones=ZONES)
            if before:
                await _bind(running, client, [make(number) for number in range(before)])
            begin, cpu = time.monotonic(), running.cpu
            await _bind(running, client, [make(number) for number in range(before, before + count)])
            elapsed, used = time.monotonic() - begin, running.cpu - cpu
    note = f"{count:,} pods after {before:,}; {1e6 * used / count:.0f} µs of the server's CPU each"
    run.add(f"scheduling: {name}", count / elapsed, note, unit="pods/s")


async def _bind(running: Server, client: Client, pods: list[dict[str, Any]]) -> None:
    """Create pods and wait until each has a node."""
    messages = [
        load.message("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", json.dumps(pod).encode())
        for pod in pods
    ]
    waiting = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods}
    watcher = client.watch("pods", "")
    creating = asyncio.ensure_future(load.send(running.port, running.tls(), messages, clients=16, expect=201))
    async for event in watcher:
        if event.object.get("spec", {}).get("nodeName"):
            metadata = event.object["metadata"]
            waiting.discard((metadata["namespace"], metadata["name"]))
            if not waiting:
                break
    await creating
    await watcher.aclose()  # type: ignore[attr-defined]  # watches are asynchronous generators
