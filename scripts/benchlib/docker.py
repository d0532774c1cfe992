"""A pod on real Docker against the same two containers made through the Docker API, in turns.

`--docker URL` names the engine; else one that is there, or (as root) a dockerd of our own in a network namespace of its own. The
server and its node run in the engine's network namespace, as they would on its host. The bare side asks for what minik's builders
make of a sandbox and a container with the pod's image, command and limits; it plumbs no network, mounts nothing, writes no status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

from minik.agent import pauseimage
from minik.agent.containers import docker_api
from minik.agent.containers.base import ContainerSpec, Limits, RuntimeFailure, SandboxSpec
from minik.agent.containers.docker_client import Engine, EngineError
from minik.agent.network.netns import enter
from minik.api.errors import StatusError
from minik.client.client import Client
from scripts.benchlib.objects import client_of, count_ready
from scripts.benchlib.process import Server, server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import Skip, until
from tests.support import docker as support
from tests.support.images import BUSYBOX, busybox_archive, busybox_missing

ROUNDS = 12
PATIENCE = 30.0
"""Seconds that one pod may take."""
COMMAND = ("sleep", "1000")


@contextlib.contextmanager
def engine(named: str) -> Iterator[support.DockerHost]:
    """An engine with the busybox image loaded. Raises Skip."""
    if missing := busybox_missing():
        raise Skip(missing)
    if named or support.answers(support.DEFAULT_SOCKET):
        yield support.DockerHost(named or f"unix://{support.DEFAULT_SOCKET}")
        return
    if reason := support.why_no_daemon():
        raise Skip(reason)
    with support.own_daemon() as daemon:
        yield support.DockerHost(daemon.url, daemon.netns)


@contextlib.contextmanager
def moved(netns: str) -> Iterator[None]:
    """This thread, and with it the processes that it starts, in another network namespace ("": where it is)."""
    if not netns:
        yield
        return
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(netns, os.O_RDONLY)
    try:
        enter(other)
        yield
    finally:
        enter(own)
        os.close(own)
        os.close(other)


def pod(name: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": BUSYBOX,
        "command": list(COMMAND),
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
    }
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def by_minik(client: Client, name: str) -> float:
    """Seconds from the create until a watch shows the pod Running with its container started; the pod is gone afterwards.

    Raises TimeoutError with the last that was seen of it.
    """
    watcher = client.watch("pods", "default", field_selector=f"metadata.name={name}")
    first = asyncio.ensure_future(anext(watcher))
    seen: list[Any] = []
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(0.1)  # the watch is open before the clock starts
            begin = time.monotonic()
            await client.create("pods", pod(name))
            event = await first
            while not _runs(event.object):
                seen.append(event)
                event = await anext(watcher)
            elapsed = time.monotonic() - begin
            await client.delete("pods", name, "default", grace_seconds=0)
            while event.type != "DELETED":
                seen.append(event)
                event = await anext(watcher)
    except TimeoutError:
        raise TimeoutError(f"{name} does not run or does not go: {seen[-1:]}") from None
    finally:
        first.cancel()
    await watcher.aclose()  # type: ignore[attr-defined]  # watches are asynchronous generators
    return elapsed


def _runs(found: Any) -> bool:
    status = found.get("status") or {}
    return status.get("phase") == "Running" and all("running" in c["state"] for c in status["containerStatuses"])


async def by_docker(docker: Engine, name: str, pause: str) -> float:
    """Seconds for the same sandbox and container by bare requests; both are removed afterwards."""
    labels = {"minik.bench": name}
    begin = time.monotonic()
    sandbox = await _run(docker, f"bench_POD_{name}", docker_api.sandbox_body(
        SandboxSpec(name=f"bench_POD_{name}", labels=labels, hostname=name), pause
    ))  # fmt: skip
    spec = ContainerSpec(
        name=f"bench_main_{name}",
        image=BUSYBOX,
        sandbox=sandbox,
        labels=labels,
        command=COMMAND,
        limits=Limits(cpu_shares=512, cpu_quota=50_000, cpu_period=100_000, memory=64 << 20),
    )
    container = await _run(docker, spec.name, docker_api.container_body(spec))
    elapsed = time.monotonic() - begin
    for each in (container, sandbox):
        await docker.ask("DELETE", f"containers/{each}", params={"force": "1", "v": "1"})
    return elapsed


async def _run(docker: Engine, name: str, body: dict[str, Any]) -> str:
    made = await docker.ask("POST", "containers/create", params={"name": name}, body=body)
    await docker.ask("POST", f"containers/{made['Id']}/start")
    return str(made["Id"])


async def load(docker: Engine, archive: bytes) -> None:
    headers = {"Content-Type": "application/x-tar"}
    async for _ in docker.messages("POST", "images/load", params={"quiet": "1"}, data=archive, headers=headers):
        pass


async def pods(run: Run) -> None:
    """Raises Skip where there is no engine, or no node on it."""
    with engine(run.options.docker) as host:
        docker = Engine(host.url)
        try:
            await load(docker, busybox_archive())
            machine = docker_api.parse_engine(await docker.ask("GET", "info")).architecture
            pause, archive = pauseimage.archive(pauseimage.architecture(machine))
            await load(docker, archive)
            with moved(host.netns):
                async with server("--docker", host.url, "--node-name", "bench") as running:
                    await _compare(run, running, docker, pause)
        except (RuntimeFailure, EngineError, LookupError) as error:
            raise Skip(f"the Docker engine cannot be used: {error}") from error
        finally:
            await docker.close()


async def _compare(run: Run, running: Server, docker: Engine, pause: str) -> None:
    await running.ready()
    async with client_of(running) as client:

        async def is_ready() -> bool:
            with contextlib.suppress(StatusError):
                return await count_ready(client) > 0
            return False

        try:
            await until(is_ready, "the node is Ready", timeout=30)
        except TimeoutError:
            raise Skip(f"the node does not become Ready: {running.log.read_text()[-500:]}") from None
        await by_minik(client, "warm-up")
        await by_docker(docker, "warm-up", pause)
        ours, bare = [], []
        for number in range(ROUNDS):
            ours.append(await by_minik(client, f"pod-{number}"))
            bare.append(await by_docker(docker, f"bare-{number}", pause))
    pod_seconds, bare_seconds = statistics.median(ours), statistics.median(bare)
    note = f"medians of {ROUNDS} in turns: {1000 * pod_seconds:.0f} ms and {1000 * bare_seconds:.0f} ms"
    run.add("pod start against the Docker API", pod_seconds / bare_seconds, note)
