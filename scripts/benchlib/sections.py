"""The measurements, one function a section."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from minik.api.builtin import builtin_registry
from minik.client.client import Client
from minik.client.transport_http import HttpTransport
from scripts.benchlib import load
from scripts.benchlib.process import Process, Server, output, server
from scripts.benchlib.report import Report


class Skip(Exception):
    """The section cannot run here; says why."""


def client_of(running: Server) -> Client:
    return Client(HttpTransport(running.url, ssl_context=running.tls()), builtin_registry())


def pod(name: str) -> dict[str, Any]:
    """A pod of ordinary size, about 1.5 KB when stored; it names a node nobody has, so that nothing acts on it."""
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


async def until(condition: Callable[[], Awaitable[bool]], *, timeout: float, every: float = 0.02) -> float:
    """Seconds until the condition holds."""
    start = time.monotonic()
    while not await condition():
        if time.monotonic() - start > timeout:
            raise RuntimeError("timed out")
        await asyncio.sleep(every)
    return time.monotonic() - start


async def start(report: Report, _options: argparse.Namespace) -> None:
    """Cold starts: no data, certificates made on the way."""
    readies, nodes = [], []
    for _ in range(3):
        async with server("--containers", "fake") as running:
            readies.append(await running.ready())
            client = client_of(running)

            async def is_ready(client: Client = client) -> bool:
                found = await client.list("nodes")
                return any(
                    c["type"] == "Ready" and c["status"] == "True"
                    for node in found.items
                    for c in node.get("status", {}).get("conditions", ())
                )

            await until(is_ready, timeout=30, every=0.01)
            nodes.append(time.monotonic() - running.started)
            await client.transport.close()
    report.add("cold start to /readyz", min(readies), f"median {statistics.median(readies):.2f} of 3")
    report.add("cold start to node Ready", min(nodes), f"median {statistics.median(nodes):.2f} of 3")


async def idle(report: Report, _options: argparse.Namespace) -> None:
    """A server with all controllers and nobody talking to it."""
    async with server("--no-agent") as running:
        await running.ready()
        await asyncio.sleep(5)
        cpu, writes, begin = running.cpu, running.writes, time.monotonic()
        await asyncio.sleep(20)
        elapsed = time.monotonic() - begin
        report.add("idle memory, server with controllers", running.memory)
        report.add("idle CPU, server", 100 * (running.cpu - cpu) / elapsed)
        report.add("idle disk writes", (running.writes - writes) / 4096 / elapsed, "pages of 4 KB")


async def agent(report: Report, _options: argparse.Namespace) -> None:
    """An agent process of its own (simulated containers) with nothing to run."""
    async with server("--no-agent") as running:
        await running.ready()
        token = (await output("token", "create", "--data-dir", str(running.directory))).strip()
        with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
            joined = Process(
                ["agent", "--join", running.url, "--token", token, "--name", "bench", "--data-dir", directory,
                 "--containers", "fake", "--log-level", "warning"],
                Path(directory) / "log",
            )  # fmt: skip
            try:
                await asyncio.sleep(8)
                joined.check()
                cpu, begin = joined.cpu, time.monotonic()
                await asyncio.sleep(25)
                joined.check()
                report.add("idle memory, agent", joined.memory)
                report.add("idle CPU, agent", 100 * (joined.cpu - cpu) / (time.monotonic() - begin))
            finally:
                joined.stop()


async def requests(report: Report, _options: argparse.Namespace) -> None:
    """Requests over TLS with client certificates."""
    async with server("--no-agent") as running:
        await running.ready()
        tls, port = running.tls(), running.port
        collection = "/api/v1/namespaces/default/pods"

        def create(prefix: str) -> Callable[[int], bytes]:
            return lambda n: load.message("POST", collection, json.dumps(pod(f"{prefix}-{n}")).encode())

        one = await load.rate(port, tls, create("one"), clients=1, seconds=3, expect=201)
        report.add("durable creates, 1 client", one)
        many = await load.rate(port, tls, create("many"), clients=32, seconds=5, expect=201)
        report.add("durable creates, 32 clients", many)
        get = load.message("GET", f"{collection}/one-0")
        report.add("GET one object", await load.rate(port, tls, lambda _: get, clients=32, seconds=4, expect=200))
    async with server("--no-agent") as running:
        await running.ready()
        tls, port = running.tls(), running.port
        connection = await load.Connection.open(port, tls)
        for number in range(500):
            await connection.request(load.message("POST", collection, json.dumps(pod(f"p-{number}")).encode()))
        connection.close()
        listing = load.message("GET", collection)
        report.add("LIST of 500 pods", await load.rate(port, tls, lambda _: listing, clients=8, seconds=4, expect=200))


async def watchers(report: Report, _options: argparse.Namespace) -> None:
    """1,000 watch streams of ConfigMaps; every event must reach each of them, measured from the create's send to its arrival."""
    count, events = 1000, 20
    async with server("--no-agent") as running:
        await running.ready()
        tls = running.tls()
        latencies: list[float] = []
        sent: dict[str, float] = {}
        seen = [0] * count
        get = load.message(
            "GET", "/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name!%3Dkube-root-ca.crt"
        )

        async def watch(index: int, open_: asyncio.Event) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=tls, limit=1 << 20)
            writer.write(get)
            await reader.readuntil(b"\r\n\r\n")
            open_.set()
            while True:
                line = await reader.readline()
                if not line:
                    return
                for name in names_in(line):
                    latencies.append(time.monotonic() - sent[name])
                    seen[index] += 1

        def names_in(line: bytes) -> list[str]:
            return [line.split(b'"name":"', 1)[1].split(b'"', 1)[0].decode()] if b'"type":"ADDED"' in line else []

        opened = [asyncio.Event() for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch(i, e)) for i, e in enumerate(opened)]
            for event in opened:
                await event.wait()
            connection = await load.Connection.open(running.port, tls)
            for number in range(events):
                name = f"event-{number}"
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * 500}}
                sent[name] = time.monotonic()
                status, answer = await connection.request(
                    load.message("POST", "/api/v1/namespaces/default/configmaps", json.dumps(body).encode())
                )
                if status != 201:
                    raise RuntimeError(answer)
                await asyncio.sleep(0.25)

            async def all_seen() -> bool:
                return sum(seen) >= count * events

            with contextlib.suppress(RuntimeError):  # the figure says how many were lost
                await until(all_seen, timeout=30)
            for task in tasks:
                task.cancel()
        report.add("1,000 watchers, events lost", count * events - sum(seen))
        report.add("1,000 watchers, p99", 1000 * statistics.quantiles(latencies, n=100)[98], "client on the same cores")


async def rollout(report: Report, _options: argparse.Namespace) -> None:
    """A Deployment of 3,000 replicas on 100 nodes that are objects only: created and bound."""
    async with server("--no-agent") as running:
        await running.ready()
        client = client_of(running)
        for number in range(100):
            await make_node(client, f"node-{number}")
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
        report.add(
            "3,000-replica Deployment on 100 nodes", 3000 / elapsed, f"{running.memory:.0f} MB resident at the end"
        )
        await client.transport.close()


async def make_node(client: Client, name: str) -> None:
    """A Node that stays Ready for as long as a section lasts."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    size = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    node = await client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    status: Mapping[str, Any] = {"conditions": [ready], "capacity": size, "allocatable": size}
    await client.patch("nodes", node["metadata"]["name"], "", {"status": dict(status)}, subresource="status")


async def scale(report: Report, options: argparse.Namespace) -> None:
    """Thousands of simulated nodes in the server's process, and pods that run on them."""
    async with server("--containers", "fake", "--nodes", str(options.nodes)) as running:
        await running.ready(timeout=120)
        client = client_of(running)

        async def nodes_ready() -> bool:
            found = await client.list("nodes")
            return (
                sum(
                    1
                    for node in found.items
                    if any(
                        c["type"] == "Ready" and c["status"] == "True"
                        for c in node.get("status", {}).get("conditions", ())
                    )
                )
                >= options.nodes
            )

        await until(nodes_ready, timeout=300, every=1)
        nodes_after = time.monotonic() - running.started
        begin = time.monotonic()
        share = max(1, options.pods // 10)
        for number in range(options.pods // share):
            await client.create("deployments.apps", deployment(f"web-{number}", share))

        async def running_all() -> bool:
            found = await client.list("deployments.apps", "default")  # not the pods: that would measure their download
            return sum((d.get("status") or {}).get("readyReplicas", 0) for d in found.items) >= options.pods

        await until(running_all, timeout=300, every=1)
        pods_after = time.monotonic() - begin
        found = await client.list("pods", "default")
        running_pods = sum(1 for p in found.items if (p.get("status") or {}).get("phase") == "Running")
        if running_pods < options.pods:
            raise RuntimeError(f"only {running_pods} pods are Running")
        note = f"{options.nodes} nodes Ready after {nodes_after:.1f} s, {options.pods} pods Running {pods_after:.1f} s later"
        report.add("scale: nodes and pods Running", nodes_after + pods_after, note)
        report.add("scale: memory", running.memory)
        await client.transport.close()


async def pods(report: Report, options: argparse.Namespace) -> None:
    """A pod on real Docker, from create to Running, against the same two containers made through the Docker API."""
    from scripts.benchlib.docker import measure

    await measure(report, options)


ALL: Mapping[str, Callable[[Report, argparse.Namespace], Awaitable[None]]] = {
    "start": start,
    "idle": idle,
    "agent": agent,
    "requests": requests,
    "watchers": watchers,
    "rollout": rollout,
    "scale": scale,
    "pods": pods,
}
