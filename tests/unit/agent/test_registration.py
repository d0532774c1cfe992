"""The Node's status, the heartbeat, reset, and keeping observations: in simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import looptime
import pytest

from minik.agent.containers.base import EngineInfo, ImageInfo, RuntimeFailure, RuntimeUnavailable
from minik.agent.heartbeat import Heartbeat
from minik.agent.observe import Observations
from minik.agent.registration import Health, HostFacts, host_facts, node_object, node_status, register
from minik.agent.reset import reset
from minik.api import meta
from minik.api.errors import already_exists, not_found
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.clock import Entropy, LoopClock
from tests.unit.agent.builders import NOW, ran, sandbox
from tests.unit.agent.engine import Engine

FACTS = HostFacts(name="n1", address="192.0.2.1", cpus=4, memory=8 << 30, labels={"disk": "ssd"})


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def test_the_node_says_what_it_is() -> None:
    node = node_object(FACTS, Health(), NOW)
    assert node["metadata"]["labels"] == {
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": "n1", "kubernetes.io/os": "linux", "disk": "ssd",
    }  # fmt: skip
    assert node["status"]["capacity"] == {"cpu": "4", "memory": "8388608Ki", "pods": "110", "ephemeral-storage": "0"}
    assert conditions(node["status"])["Ready"] == ("True", "KubeletReady")


@pytest.mark.parametrize(
    ("health", "kind", "expected"),
    [
        (Health(runtime="away"), "Ready", ("False", "KubeletNotReady")),
        (Health(network="no"), "Ready", ("False", "KubeletNotReady")),
        (Health(free_memory=1), "MemoryPressure", ("True", "KubeletHasInsufficientMemory")),
        (Health(free_disk=1), "DiskPressure", ("True", "KubeletHasDiskPressure")),
    ],
)
def test_the_node_says_how_it_is(health: Health, kind: str, expected: tuple[str, str]) -> None:
    assert conditions(node_status(FACTS, health, None, NOW))[kind] == expected


def test_transition_times_are_kept() -> None:
    node = node_object(FACTS, Health(), NOW.replace(year=2025))
    status = node_status(FACTS, Health(runtime="away"), node, NOW)
    times = {c["type"]: c["lastTransitionTime"][:4] for c in status["conditions"]}
    assert times == {"MemoryPressure": "2025", "DiskPressure": "2025", "PIDPressure": "2025", "Ready": "2026"}


def test_host_facts(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("abc\n")
    engine = EngineInfo(name="docker", version="28.2.2", cpus=2, memory=5, architecture="aarch64")
    facts = partial(host_facts, "n1", "192.0.2.1", engine, etc=tmp_path, var=tmp_path, proc=tmp_path, sys=tmp_path)
    found = facts()
    assert (found.engine, found.architecture, found.boot_id) == ("docker://28.2.2", "arm64", "")
    assert (found.machine_id, found.system_uuid) == ("abc", "abc")
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree/vm,uuid").write_bytes(b"uuid\0")
    assert (facts().machine_id, facts().system_uuid) == ("abc", "uuid")
    (tmp_path / "machine-id").write_text("")
    (tmp_path / "lib/dbus").mkdir(parents=True)
    (tmp_path / "lib/dbus/machine-id").write_text("def\n")
    assert facts().machine_id == "def"
    simulated = facts(is_real=False)
    assert (simulated.machine_id, simulated.system_uuid) == ("", "")


class Nodes:
    """Nodes and leases in a dict; `calls` lists the writes."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Any] = {}
        self.calls: list[str] = []

    async def create(self, resource: str, obj: ROObj) -> ROObj:
        key = resource, meta.name(obj)
        if key in self.objects:
            raise already_exists(resource, "", meta.name(obj))
        self.calls.append(f"create {resource}")
        self.objects[key] = obj
        return obj

    async def get(self, resource: str, name: str, namespace: str = "") -> ROObj:
        return cast("ROObj", self.objects[resource, name])

    async def patch(self, resource: str, name: str, namespace: str, patch: Any) -> ROObj:
        if (resource, name) not in self.objects:
            raise not_found(resource, "", name)
        self.calls.append(f"patch {resource} {sorted(patch)} {sorted(*patch.values())}")
        return cast("ROObj", self.objects[resource, name])

    async def patch_status(self, resource: str, name: str, namespace: str, patch: Any, *, type: str) -> ROObj:  # noqa: A002  # as the client has it
        self.calls.append("status")
        self.objects[resource, name] = {**self.objects[resource, name], "status": patch["status"]}
        return cast("ROObj", self.objects[resource, name])


def in_time(scenario: Any) -> None:
    loop = looptime.new_event_loop(start=0)
    try:
        loop.run_until_complete(scenario)
    finally:
        loop.close()


def test_registering_twice_adds_what_is_missing() -> None:
    async def scenario() -> None:
        api = Nodes()
        client = cast("Client", api)
        await register(client, node_object(FACTS, Health(), NOW))
        await register(client, node_object(FACTS, Health(), NOW))
        await register(client, node_object(replace(FACTS, labels={"new": "1"}), Health(), NOW))
        assert api.calls == ["create nodes", "patch nodes ['metadata'] ['labels']"]

    in_time(scenario())


def test_the_heartbeat() -> None:
    async def scenario() -> None:
        clock, api, health = LoopClock(), Nodes(), [Health()]
        engine = Engine(clock)
        node = await api.create("nodes", {**node_object(FACTS, Health(), NOW), "metadata": {"name": "n1", "uid": "u"}})
        observations = Observations(engine.as_runtime(), lambda uid: None)
        heartbeat = Heartbeat(
            cast("Client", api), observations, FACTS, node,
            clock=clock, entropy=Entropy(1), measure=lambda: health[0],
        )  # fmt: skip
        api.calls.clear()
        task = asyncio.ensure_future(heartbeat.run())
        await asyncio.sleep(295)
        leases = [call for call in api.calls if "leases" in call]
        assert (leases[0], api.calls.count("status")) == ("create leases.coordination.k8s.io", 1)
        assert 28 <= len(leases) <= 31
        await asyncio.sleep(20)
        assert api.calls.count("status") == 2, "after five minutes"
        health[0] = Health(network="down")
        await asyncio.sleep(11)
        assert api.calls.count("status") == 3, "at once when it changes"
        engine.down = "no engine"
        await asyncio.sleep(75)
        assert conditions(api.objects["nodes", "n1"]["status"])["Ready"][0] == "False"
        assert "no engine" in str(api.objects["nodes", "n1"]["status"])
        del api.objects["leases.coordination.k8s.io", "n1"]
        await asyncio.sleep(11)
        assert ("leases.coordination.k8s.io", "n1") in api.objects
        task.cancel()

    in_time(scenario())


def test_the_heartbeat_tells_of_images_when_they_change() -> None:
    async def scenario() -> None:
        clock, api = LoopClock(), Nodes()
        engine = Engine(clock)
        node = await api.create("nodes", {**node_object(FACTS, Health(), NOW), "metadata": {"name": "n1", "uid": "u"}})
        there = [
            ImageInfo(id="sha256:1", tags=["small:1"], size=1000),
            ImageInfo(id="sha256:2", digests=["x@sha256:2"], tags=[f"large:{n}" for n in range(6)], size=2000),
            ImageInfo(id="sha256:3", size=3000),
        ]

        async def images() -> list[ImageInfo]:
            if not there:
                raise RuntimeUnavailable("no engine")
            return list(there)

        heartbeat = Heartbeat(
            cast("Client", api), Observations(engine.as_runtime(), lambda uid: None), FACTS, node,
            clock=clock, entropy=Entropy(1), measure=Health, images=images,
        )  # fmt: skip
        task = asyncio.ensure_future(heartbeat.run())
        await asyncio.sleep(1)
        names = [[f"large:{n}" for n in range(5)], ["small:1"]]
        assert [image["names"] for image in api.objects["nodes", "n1"]["status"]["images"]] == names
        await asyncio.sleep(100)
        assert api.calls.count("status") == 1
        there.pop(1)
        await asyncio.sleep(80)
        assert api.objects["nodes", "n1"]["status"]["images"] == [{"names": ["small:1"], "sizeBytes": 1000}]
        assert api.calls.count("status") == 2
        there.clear()
        await asyncio.sleep(80)
        assert api.calls.count("status") == 2
        task.cancel()

    in_time(scenario())


def test_observations_prefer_what_is_newer_than_a_list() -> None:
    async def scenario() -> None:
        told: list[str] = []
        engine = Engine(LoopClock())
        observations = Observations(engine.as_runtime(), told.append)
        box, web = sandbox(), ran()
        engine.containers = {box.id: box, web.id: replace(web, state="created")}
        gate = asyncio.Event()

        async def slow() -> list[Any]:
            found = [*engine.containers.values()]
            await gate.wait()
            return found

        engine.list = slow  # type: ignore[method-assign]  # a slow engine
        listing = asyncio.ensure_future(observations.relist())
        await asyncio.sleep(0)
        observations.put(web)
        gate.set()
        await listing
        assert observations.pod("u1").running() == [web]
        assert observations.pod("u1").sandbox == box
        observations.drop(web.id)
        observations.drop(box.id)
        assert list(observations.pods()) == []
        assert set(told) == {"u1"}

    in_time(scenario())


async def test_reset_goes_on_after_a_failure(tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    (pods / "u1/volumes/v").mkdir(parents=True)

    async def two() -> int:
        return 2

    async def broken() -> int:
        raise RuntimeFailure("no engine")

    removed = await reset(remove_containers=broken, remove_network=two, directories=[pods, tmp_path / "none"])
    assert (removed.containers, removed.interfaces, removed.directories) == (0, 2, 1)
    assert removed.failures == ["containers: no engine"]
    assert [entry.name for entry in tmp_path.iterdir()] == []  # noqa: ASYNC240  # a test may block
