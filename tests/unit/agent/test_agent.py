"""`Agent` over the API server in one process, simulated containers and network: a node registers, runs pods, starts anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from minik.agent.agent import Agent
from minik.agent.containers.base import ContainerRuntime
from minik.agent.containers.fake import FakeRuntime
from minik.agent.hooks import no_hook
from minik.agent.images import ImagePuller
from minik.agent.network.fake import FakeNetwork
from minik.agent.probes import always_well
from minik.agent.volumes.base import NoVolumes
from minik.api.errors import NotFound
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from tests.support.apiserver import Running, running


class Cluster:
    """A server, and the nodes a test makes. Who gives nodes their pod CIDR and binds pods is the test."""

    def __init__(self, run: Running) -> None:
        self.run = run
        transport = run.local()
        self.client = Client(transport, run.server.registry)
        self.informers = Informers(transport, run.server.registry, clock=run.clock, entropy=run.entropy)
        self.recorder = Recorder(self.client, component="kubelet", clock=run.clock, entropy=run.entropy, host="n1")
        self.agents: list[Agent] = []

    def agent(self, runtime: ContainerRuntime, name: str = "n1") -> Agent:
        client = Client(self.run.local(), self.run.server.registry)
        agent = Agent(
            name=name, node_ip="192.0.2.1", client=client, informers=self.informers, runtime=runtime,
            network=FakeNetwork(), images=ImagePuller(runtime, client, clock=self.run.clock), clock=self.run.clock,
            entropy=self.run.entropy, data_dir=Path("data"), recorder=self.recorder, volumes=NoVolumes(),
            probe=always_well, hook=no_hook,
        )  # fmt: skip
        self.agents.append(agent)
        return agent

    def runtime(self) -> FakeRuntime:
        return FakeRuntime(clock=self.run.clock, entropy=self.run.entropy)

    async def start(self, agent: Agent, cidr: str = "10.244.0.0/24") -> None:
        await agent.start()
        await self.until(lambda: self.has("nodes", agent.name))
        await self.client.patch("nodes", agent.name, "", {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})
        await asyncio.wait_for(agent.ready.wait(), 5)

    async def has(self, resource: str, name: str, namespace: str = "") -> bool:
        try:
            await self.client.get(resource, name, namespace)
        except NotFound:
            return False
        return True

    async def pod(self, name: str, **spec: Any) -> ROObj:
        return await self.client.create(
            "pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"nodeName": "n1", "containers": [{"name": "web", "image": "nginx"}], **spec},
            },
        )

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
        """Look again each time the loop has been round, until it holds."""
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110  # the server is asked: there is nobody to set an event
                await asyncio.sleep(0.005)

    async def is_running(self, name: str) -> bool:
        status = (await self.client.get("pods", name, "default")).get("status") or {}
        return bool(status.get("phase") == "Running" and status.get("podIP"))

    async def close(self) -> None:
        for agent in self.agents:
            await agent.close()
        await self.recorder.close()
        await self.informers.close()


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    async with running(namespaces=("default", "kube-node-lease")) as run:
        made = Cluster(run)
        try:
            yield made
        finally:
            await made.close()


async def test_a_node_registers_and_is_ready() -> None:
    async with cluster() as c:
        runtime = c.runtime()
        await c.start(c.agent(runtime))
        node = await c.client.get("nodes", "n1")
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        assert {x["type"]: x["status"] for x in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["capacity"]["cpu"] == str((await runtime.info()).cpus)
        assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "192.0.2.1"}
        lease = await c.client.get("leases.coordination.k8s.io", "n1", "kube-node-lease")
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("n1", 40)


async def test_pods_run_and_go() -> None:
    async with cluster() as c:
        agent = c.agent(c.runtime())
        await c.start(agent)
        made = await c.pod("a")
        await c.until(lambda: c.is_running("a"))
        pod = await c.client.get("pods", "a", "default")
        assert pod["status"]["podIP"].startswith("10.244.0.")
        assert {x["type"]: x["status"] for x in pod["status"]["conditions"]}["Ready"] == "True"
        uid = made["metadata"]["uid"]
        assert agent.find_container("default", "a", uid, "web").state == "running"
        assert agent.find_container("default", "a", "", "web").state == "running"
        assert agent.find_sandbox("default", "a", uid).labels["minik.pod.ip"] == pod["status"]["podIP"]
        with pytest.raises(LookupError, match="previous terminated container"):
            agent.find_container("default", "a", uid, "web", previous=True)
        await c.client.delete("pods", "a", "default")

        async def is_gone() -> bool:
            return not await c.has("pods", "a", "default")

        await c.until(is_gone)
        assert list(agent.observations.pods()) == []


async def test_a_pod_has_the_runtime_of_its_class() -> None:
    async with cluster() as c:
        agent = c.agent(c.runtime())
        await c.start(agent)
        body = {"metadata": {"name": "sandboxed"}, "handler": "runsc"}
        await c.client.create(
            "runtimeclasses.node.k8s.io", {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", **body}
        )
        spec = {"nodeName": "n1", "runtimeClassName": "sandboxed", "containers": [{"name": "web", "image": "nginx"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
        await c.client.create("pods", {**pod, "metadata": {"name": "a", "namespace": "default"}})
        await c.until(lambda: c.is_running("a"))
        assert agent.find_sandbox("default", "a", "").labels["minik.runtime"] == "runsc"


async def test_a_pod_waits_for_its_runtime_class() -> None:
    """It was there when the pod was admitted."""
    async with cluster() as c:
        body = {"metadata": {"name": "gone"}, "handler": "runsc"}
        await c.client.create(
            "runtimeclasses.node.k8s.io", {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", **body}
        )
        spec = {"nodeName": "n1", "runtimeClassName": "gone", "containers": [{"name": "web", "image": "nginx"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
        await c.client.create("pods", {**pod, "metadata": {"name": "a", "namespace": "default"}})
        await c.client.delete("runtimeclasses.node.k8s.io", "gone")
        await c.start(c.agent(c.runtime()))

        async def is_told() -> bool:
            events = await c.client.list("events", "default")
            return any(each["reason"] == "FailedCreatePodSandBox" for each in events.items)

        await c.until(is_told)
        found = await c.client.list("events", "default")
        [event] = [each for each in found.items if each["reason"] == "FailedCreatePodSandBox"]
        assert event["message"].endswith('failed to get sandbox runtime: RuntimeClass "gone" not found')
        assert (await c.client.get("pods", "a", "default"))["status"]["phase"] == "Pending"


async def test_one_write_brings_a_pod_up() -> None:
    async with cluster() as c:
        await c.start(c.agent(c.runtime()))
        before = int((await c.pod("a"))["metadata"]["resourceVersion"])
        await c.until(lambda: c.is_running("a"))
        pod = await c.client.get("pods", "a", "default")
        events = await c.client.list("events", "default")
        assert int(pod["metadata"]["resourceVersion"]) - before <= 1 + len(events.items)


async def test_an_agent_that_starts_anew_finds_its_pods_and_clears_the_others() -> None:
    async with cluster() as c:
        runtime = c.runtime()
        first = c.agent(runtime)
        await c.start(first)
        for name in ("a", "b"):
            await c.pod(name)
            await c.until(lambda name=name: c.is_running(name))
        kept = first.find_container("default", "a", "", "web")
        a = await c.client.get("pods", "a", "default")
        await first.close()
        await c.client.delete("pods", "b", "default", grace_seconds=0)
        second = c.agent(runtime)
        await c.start(second)

        async def is_only_a() -> bool:
            return list(second.observations.pods()) == [a["metadata"]["uid"]]

        await c.until(is_only_a)
        assert second.find_container("default", "a", "", "web") == kept
        assert (await c.client.get("pods", "a", "default"))["status"] == a["status"]


async def test_a_pod_that_does_not_fit_is_refused() -> None:
    async with cluster() as c:
        await c.start(c.agent(c.runtime()))
        resources = {"requests": {"cpu": "1000"}}
        await c.pod("big", containers=[{"name": "web", "image": "nginx", "resources": resources}])

        async def is_failed() -> bool:
            return (await c.client.get("pods", "big", "default"))["status"]["phase"] == "Failed"

        await c.until(is_failed)
        status = (await c.client.get("pods", "big", "default"))["status"]
        assert (status["reason"], "containerStatuses" in status) == ("OutOfcpu", False)


async def test_events_are_about_the_container() -> None:
    async with cluster() as c:
        await c.start(c.agent(c.runtime()))
        await c.pod("a")

        async def has_started() -> bool:
            events = await c.client.list("events", "default")
            return any(e["reason"] == "Started" for e in events.items)

        await c.until(has_started)
        events = {e["reason"]: e for e in (await c.client.list("events", "default")).items}
        assert events["Started"]["involvedObject"]["fieldPath"] == "spec.containers{web}"
        assert events["Started"]["source"] == {"component": "kubelet", "host": "n1"}


async def test_a_resize_is_done_when_there_is_room() -> None:
    def sized(cpu: str) -> list[dict[str, Any]]:
        return [{"name": "web", "image": "nginx", "resources": {"requests": {"cpu": cpu}}}]

    async with cluster() as c:
        await c.start(c.agent(c.runtime()))
        cpus = int((await c.client.get("nodes", "n1"))["status"]["capacity"]["cpu"])
        half = str(cpus // 2)
        for name in ("a", "b"):
            await c.pod(name, containers=sized(half))
            await c.until(lambda name=name: c.is_running(name))
        patch = {"spec": {"containers": sized(str(cpus // 2 + 1))}}
        await c.client.patch("pods", "a", "default", patch, type="strategic", subresource="resize")

        async def reason() -> str:
            conditions = (await c.client.get("pods", "a", "default"))["status"]["conditions"]
            return next((x["reason"] for x in conditions if x["type"] == "PodResizePending"), "")

        async def is_deferred() -> bool:
            return await reason() == "Deferred"

        await c.until(is_deferred)
        await c.client.delete("pods", "b", "default", grace_seconds=0)

        async def is_done() -> bool:
            (status,) = (await c.client.get("pods", "a", "default"))["status"]["containerStatuses"]
            return bool(status["resources"]["requests"]["cpu"] == str(cpus // 2 + 1)) and not await reason()

        await c.until(is_done)
