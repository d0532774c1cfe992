"""Pods on a real Docker engine: an agent, the in-process API server, and a dockerd of its own, in a network namespace of their own.

Needs root, network namespaces, `dockerd`, `docker` and a statically linked busybox.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minik.agent import names
from minik.agent.agent import Agent
from minik.agent.containers.base import LogOptions
from minik.agent.containers.docker import DockerRuntime
from minik.agent.images import ImagePuller
from minik.agent.network.nft import open_nft
from minik.agent.network.routed import RoutedNetwork
from minik.agent.volumes import mounting
from minik.api import meta
from minik.api.errors import NotFound
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from tests.support.apiserver import Running, running
from tests.support.docker import Daemon, why_no_daemon
from tests.support.images import busybox_archive, busybox_missing
from tests.support.netlab import LabNode, lab, needs_namespaces

IMAGE = "test/busybox:1"


pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    needs_namespaces,
    pytest.mark.skipif(bool(why_no_daemon()), reason=why_no_daemon() or "-"),
    pytest.mark.skipif(bool(busybox_missing()), reason=busybox_missing() or "-"),
]


class Engine(Daemon):
    """A Docker engine inside a lab node's network namespace."""

    def __init__(self, node: LabNode, root: Path) -> None:
        super().__init__(root, node.path, f"/minik-pods-{os.getpid()}", live_restore=False)
        self.node = node

    def docker(self, *words: str) -> str:
        command = ["docker", "--host", self.url, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def remove_all(self) -> None:
        if ids := self.docker("ps", "-aq").split():
            self.docker("rm", "--force", *ids)


class Cluster:
    """The API server, and agents over one engine and network."""

    def __init__(self, run: Running, engine: Engine, data: Path) -> None:
        self.run, self.engine, self.data = run, engine, data
        self.client = Client(run.local(), run.server.registry)
        self._closing: list[Any] = []
        self.agent: Agent

    async def start_agent(self) -> None:
        run, transport = self.run, self.run.local()
        client = Client(transport, run.server.registry)
        informers = Informers(transport, run.server.registry, clock=run.clock, entropy=run.entropy)
        recorder = Recorder(client, component="kubelet", clock=run.clock, entropy=run.entropy, host="n1")
        self.runtime = DockerRuntime("n1", url=self.engine.url, clock=run.clock)
        self.network = RoutedNetwork(
            cluster_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16", dns_address="10.96.0.10", nft=open_nft()
        )
        images = ImagePuller(self.runtime, client, clock=run.clock)
        self.agent = Agent(
            name="n1", node_ip="192.0.2.1", client=client, informers=informers, runtime=self.runtime,
            network=self.network, images=images, clock=run.clock, entropy=run.entropy, data_dir=self.data,
            recorder=recorder,
        )  # fmt: skip
        self._closing = [self.agent, images, recorder, informers, self.network, self.runtime]
        await self.agent.start()
        await self.until(lambda: self.has("nodes", "n1"))
        await self.client.patch(
            "nodes", "n1", "", {"spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}}
        )
        async with asyncio.timeout(20):
            await self.agent.ready.wait()

    async def stop_agent(self) -> None:
        for part in self._closing:
            await part.close()
        self._closing = []

    async def create(self, name: str, *containers: dict[str, Any], **spec: Any) -> ROObj:
        made = [
            {
                "name": "c",
                "image": IMAGE,
                "command": ["sleep", "100000"],
                "imagePullPolicy": "IfNotPresent",
                **container,
            }
            for container in containers or ({},)
        ]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": "n1", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
                "containers": made, **spec,
            },
        }  # fmt: skip
        return await self.client.create("pods", body)

    async def get(self, name: str) -> ROObj:
        return await self.client.get("pods", name, "default")

    async def status(self, name: str) -> dict[str, Any]:
        return (await self.get(name)).get("status") or {}

    async def has(self, resource: str, name: str, namespace: str = "") -> bool:
        try:
            await self.client.get(resource, name, namespace)
        except NotFound:
            return False
        return True

    async def until(self, condition: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110  # the server is asked: there is nobody to set an event
                await asyncio.sleep(0.02)

    async def until_status(self, name: str, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        async def check() -> bool:
            try:
                return bool(holds(await self.status(name)))
            except (KeyError, IndexError):
                return False

        try:
            await self.until(check)
        except TimeoutError:
            raise AssertionError(f"never came: {await self.status(name)}") from None
        return await self.status(name)

    async def until_running(self, name: str) -> dict[str, Any]:
        return await self.until_status(name, lambda s: is_ready(s))

    async def logs(self, name: str, container: str = "c") -> str:
        info = self.agent.find_container("default", name, "", container)
        return b"".join([data async for _, data in self.runtime.logs(info.id, LogOptions())]).decode()

    async def delete(self, name: str) -> None:
        await self.client.delete("pods", name, "default")

        async def is_gone() -> bool:
            return not await self.has("pods", name, "default")

        await self.until(is_gone)

    def leftovers(self) -> list[str]:
        """What is on the host of pods."""
        found = self.engine.docker("ps", "-aq", "--filter", f"label={names.NODE}=n1").split()
        found += [str(path) for path in (self.data / "pods").glob("*")]
        found += mounting.mounts_below(self.data)
        command = ["nsenter", f"--net={self.engine.node.path}", "ip", "-o", "route"]
        routes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return found + [line for line in routes if line.startswith("10.244.0.")]

    async def until_nothing_is_left(self) -> None:
        async def is_clean() -> bool:
            return not await asyncio.to_thread(self.leftovers)

        try:
            await self.until(is_clean)
        except TimeoutError:
            raise AssertionError(f"left: {self.leftovers()}") from None


def is_ready(status: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    root = Path(tempfile.mkdtemp(prefix="minik-pods-"))
    with lab("n1") as (node,):
        node.shell("ip", "link", "add", "eth0", "type", "bridge")
        node.shell("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
        node.shell("ip", "link", "set", "eth0", "up")
        daemon = Engine(node, root)
        try:
            daemon.start()
            daemon.load(busybox_archive(IMAGE))
            yield daemon
        finally:
            daemon.wipe()


@pytest.fixture
def run(engine: Engine) -> Iterator[Callable[[Callable[[Cluster], Awaitable[None]]], None]]:
    """Runs a scenario over a fresh cluster, in the node's namespace and loop."""
    data = Path(tempfile.mkdtemp(prefix="minik-agent-"))

    @contextlib.asynccontextmanager
    async def cluster() -> AsyncIterator[Cluster]:
        async with running(namespaces=("default", "kube-node-lease")) as server:
            made = Cluster(server, engine, data)
            await made.start_agent()
            try:
                yield made
            finally:
                await made.stop_agent()

    def go(scenario: Callable[[Cluster], Awaitable[None]]) -> None:
        async def main() -> None:
            async with cluster() as made:
                await scenario(made)

        engine.node.run(main, timeout=120)

    yield go
    engine.remove_all()
    for point in mounting.mounts_below(data):
        mounting.unmount(point)
    shutil.rmtree(data, ignore_errors=True)


Run = Callable[[Callable[[Cluster], Awaitable[None]]], None]


def test_a_pod_runs_is_reached_and_leaves_nothing(run: Run) -> None:
    async def scenario(c: Cluster) -> None:
        serve = {
            "command": ["sh", "-c", "echo hello > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp"],
            "readinessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1},
            "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
        }
        await c.create("web", serve)
        status = await c.until_running("web")
        assert status["podIP"].startswith("10.244.0.")
        reader, writer = await asyncio.open_connection(status["podIP"], 8080)
        writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"hello\n")
        writer.close()
        await c.create(
            "client", {"command": ["wget", "-qO-", f"http://{status['podIP']}:8080/"]}, restartPolicy="Never"
        )
        await c.until_status("client", lambda s: s["phase"] == "Succeeded")
        assert await c.logs("client") == "hello\n"
        await c.delete("web")
        await c.delete("client")
        await c.until_nothing_is_left()

    run(scenario)


def test_environment_volumes_and_security(run: Run) -> None:
    async def scenario(c: Cluster) -> None:
        config_map = {"kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "one"}}
        secret = {"kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"p": "cGFzcw=="}}
        await c.client.create("configmaps", {"apiVersion": "v1", **config_map})
        await c.client.create("secrets", {"apiVersion": "v1", **secret})
        script = (
            "echo $A $B $IP; id; cat /cm/k; echo; cat /s/p; echo; ls -ld /e; echo x > /e/f && cat /e/f;"
            "cat /etc/resolv.conf; cat /etc/hosts;"
            "touch /ro 2>/dev/null || echo refused; exec sleep 1000"
        )  # fmt: skip
        container = {
            "command": ["sh", "-c", script],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "volumeMounts": [
                {"name": "cm", "mountPath": "/cm"}, {"name": "s", "mountPath": "/s"}, {"name": "e", "mountPath": "/e"},
            ],
            "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False},
            "resources": {"limits": {"memory": "32Mi", "cpu": "500m"}},
        }  # fmt: skip
        volumes = [
            {"name": "cm", "configMap": {"name": "cm"}}, {"name": "s", "secret": {"secretName": "s"}},
            {"name": "e", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ]  # fmt: skip
        security = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}
        await c.create("p", container, volumes=volumes, securityContext=security)
        status = await c.until_running("p")

        async def has_written() -> bool:
            return "refused" in await c.logs("p")

        await c.until(has_written)
        said = await c.logs("p")
        for expected in (
            f"1 one {status['podIP']}\n", "uid=1000 gid=3000", "groups=2000", "one\npass\n", "x\n",
            "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local", f"{status['podIP']}\tp\n",
        ):  # fmt: skip
            assert expected in said, (expected, said)
        await c.client.patch("configmaps", "cm", "default", {"data": {"k": "two"}})
        uid = meta.uid(await c.get("p"))
        shown = c.data / "pods" / uid / "volumes/cm/k"

        async def has_changed() -> bool:
            return shown.read_text() == "two"

        await c.until(has_changed)
        info = c.agent.find_container("default", "p", "", "c")
        session = await c.runtime.exec(info.id, ["cat", "/cm/k"])
        assert [data async for _, data in session.output()] == [b"two"]
        await session.close()
        await c.delete("p")
        await c.until_nothing_is_left()

    run(scenario)


def test_ends_of_containers(run: Run) -> None:
    async def scenario(c: Cluster) -> None:
        await c.create(
            "bad", {"command": ["sh", "-c", "echo why > /dev/termination-log; exit 3"]}, restartPolicy="Never"
        )
        await c.create("none", {"command": ["/no/such"]}, restartPolicy="Never")
        await c.create("loop", {"command": ["false"]})
        await c.create(
            "init", {}, initContainers=[{"name": "i", "image": IMAGE, "imagePullPolicy": "Never", "command": ["true"]}]
        )
        await c.create("gone", {"image": "test.invalid/nothing:1"})
        bad = await c.until_status("bad", lambda s: s["phase"] == "Failed")
        end = bad["containerStatuses"][0]["state"]["terminated"]
        assert (end["exitCode"], end["reason"], end["message"]) == (3, "Error", "why\n")
        none = await c.until_status("none", lambda s: s["phase"] == "Failed")
        end = none["containerStatuses"][0]["state"]["terminated"]
        assert (end["exitCode"], end["reason"]) == (127, "ContainerCannotRun")
        await c.until_status(
            "loop", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        )
        init = await c.until_running("init")
        assert init["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        reasons = ("ErrImagePull", "ImagePullBackOff")
        await c.until_status("gone", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] in reasons)
        for name in ("bad", "none", "loop", "init", "gone"):
            await c.delete(name)
        await c.until_nothing_is_left()

    run(scenario)


def test_killed_from_outside_and_an_agent_that_starts_anew(run: Run) -> None:
    async def scenario(c: Cluster) -> None:
        await c.create("p")
        before = await c.until_running("p")
        first = c.agent.find_container("default", "p", "", "c")
        await c.stop_agent()
        await c.start_agent()

        async def is_found() -> bool:
            with contextlib.suppress(LookupError):
                return c.agent.find_container("default", "p", "", "c").pid == first.pid
            return False

        await c.until(is_found)
        assert await c.status("p") == before
        c.engine.docker("kill", first.id)
        status = await c.until_status("p", lambda s: s["containerStatuses"][0]["restartCount"] == 1 and is_ready(s))
        assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
        sandbox = c.agent.find_sandbox("default", "p", "")
        c.engine.docker("rm", "-f", sandbox.id)
        status = await c.until_status("p", lambda s: s["containerStatuses"][0]["restartCount"] == 2 and is_ready(s))
        assert status["podIP"] == before["podIP"]

    run(scenario)


def test_docker_starts_anew(run: Run, engine: Engine) -> None:
    async def scenario(c: Cluster) -> None:
        await c.create("always")
        await c.create("never", {}, restartPolicy="Never")
        for name in ("always", "never"):
            await c.until_running(name)
        await asyncio.to_thread(engine.stop, signal.SIGTERM)
        await asyncio.to_thread(engine.start)
        status = await c.until_status(
            "always", lambda s: s["containerStatuses"][0]["restartCount"] >= 1 and is_ready(s)
        )
        assert status["phase"] == "Running"
        await c.until_status("never", lambda s: s["phase"] == "Failed")

    run(scenario)
