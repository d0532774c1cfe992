"""The objects that the sections send, and a client of a running server to send them with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from minik.api.builtin import builtin_registry
from minik.client.client import Client
from minik.client.transport_http import HttpTransport
from scripts.benchlib import load
from scripts.benchlib.process import Server
from scripts.benchlib.waiting import until

PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
OVERHEAD = 220
"""Bytes of a stored ConfigMap around its one value: names, times, uid."""
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@contextlib.asynccontextmanager
async def client_of(running: Server) -> AsyncIterator[Client]:
    """The administrator's client."""
    transport = HttpTransport(running.url, ssl_context=running.tls())
    try:
        yield Client(transport, builtin_registry())
    finally:
        await transport.close()


def pod(name: str) -> dict[str, Any]:
    """A pod of ordinary size, about 1.5 KB when stored; it names a node without an agent, so that nothing acts on it.

    Where it is to live for more than 40 seconds there has to be a Node `nobody`, or it is collected as an orphan.
    """
    labels = {f"label-{n}.example.com/key": f"value-{n}" for n in range(5)}
    env = [{"name": f"VARIABLE_{n}", "value": f"some value number {n}"} for n in range(8)]
    container = {
        "name": "main",
        "image": "registry.example.com/app:1.2.3",
        "env": env,
        "ports": [{"containerPort": 8080}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"nodeName": "nobody", "containers": [container]},
    }


def small_pod(name: str, node: str = "nobody") -> dict[str, Any]:
    """What most pods of a big cluster look like to their author: a label, an image, requests. `node` "": the scheduler's work."""
    container = {"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "10m"}}}
    spec = {"containers": [container], **({"nodeName": node} if node else {})}
    metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def config_map(name: str, size: int) -> dict[str, Any]:
    """A ConfigMap that takes about `size` bytes where it is stored."""
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "x" * max(1, size - OVERHEAD)}}


def deployment(name: str, replicas: int) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "10m"}}}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def node(name: str, *, pods: int = 110, zone: str = "") -> dict[str, Any]:
    """A Node as its agent would announce it; labels only if it has a zone. Nobody renews it, so after some 40 seconds it is no longer
    Ready."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    size = {"cpu": "128", "memory": "1Ti", "pods": str(pods)}
    status = {"conditions": [ready], "capacity": size, "allocatable": size}
    metadata: dict[str, Any] = {"name": name}
    if zone:
        metadata["labels"] = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}


async def make_nodes(running: Server, client: Client, count: int, *, pods: int = 110, zones: int = 0) -> None:
    """`count` Nodes that pods can be scheduled to, in so many zones."""
    made = (node(f"node-{n}", pods=pods, zone=f"zone-{n % zones}" if zones else "") for n in range(count))
    bodies = (json.dumps(each).encode() for each in made)
    messages = (load.message("POST", NODES, body) for body in bodies)
    await load.send(running.port, running.tls(), messages, clients=16, expect=201)

    async def all_untainted() -> bool:
        found = await client.list("nodes")
        return not any((each.get("spec") or {}).get("taints") for each in found.items)

    await until(all_untainted, f"{count} nodes are schedulable", timeout=60, every=0.1)


async def make_nobody(running: Server) -> None:
    """The Node without an agent that pods name here."""
    message = load.message("POST", NODES, json.dumps(node("nobody")).encode())
    await load.send(running.port, running.tls(), [message], clients=1, expect=201)


@contextlib.asynccontextmanager
async def heartbeats(client: Client) -> AsyncIterator[None]:
    """All Nodes stay Ready for the block: each is renewed every ten seconds."""
    names = [each["metadata"]["name"] for each in (await client.list("nodes")).items]

    async def beat() -> None:
        while True:
            for name in names:
                status = {"conditions": node(name)["status"]["conditions"]}
                await client.patch("nodes", name, "", {"status": status}, subresource="status")
                await asyncio.sleep(10 / len(names))

    beating = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        beating.cancel()


async def count_ready(client: Client) -> int:
    """How many nodes are Ready."""
    found = await client.list("nodes")
    return sum(any(_is_ready(c) for c in (node.get("status") or {}).get("conditions") or ()) for node in found.items)


def _is_ready(condition: Mapping[str, Any]) -> bool:
    return bool(condition["type"] == "Ready" and condition["status"] == "True")
