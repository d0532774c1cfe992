"""Rules between pods at work: the scheduler on a real API server, nodes with zones, and what happens when things change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.objects import node
from tests.support.scheduling import Rig, scheduling

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
pytestmark = pytest.mark.looptime


def alone(**term: Any) -> dict[str, Any]:
    return {"podAntiAffinity": {REQUIRED: [{"topologyKey": HOST, **term}]}}


def zones(count: int, names: str) -> list[dict[str, Any]]:
    return [node(f"n{number}", labels={ZONE: names[number % len(names)]}) for number in range(count)]


async def create(rig: Rig, name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    body = {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}
    return dict(await rig.client.create("pods", body))


async def test_pods_that_exclude_each_other_get_a_node_each_and_the_last_one_waits() -> None:
    rule = alone(labelSelector={"matchLabels": {"app": "web"}})
    async with scheduling(nodes=zones(3, "ab")) as rig:
        for number in range(4):
            await create(rig, f"web-{number}", {"app": "web"}, affinity=rule)
        await rig.settle()
        where = [await rig.node_of(f"web-{number}") for number in range(4)]
        assert sorted(where) == ["", "n0", "n1", "n2"]
        (message,) = set(await rig.events("FailedScheduling"))
        assert message.startswith("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.")
        # a pod that has no rule itself is kept off by the rules of others only if it is meant
        await create(rig, "other", {"app": "other"})
        waiting = f"web-{where.index('')}"
        await rig.client.delete("pods", f"web-{where.index('n1')}", "default", grace_seconds=0)
        await rig.settle(15)
        assert await rig.node_of("other") and await rig.node_of(waiting) == "n1"


async def test_a_service_of_replicas_is_even_over_zones() -> None:
    constraint = {
        "topologyKey": ZONE,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    async with scheduling(nodes=zones(5, "aaab")) as rig:  # zone b has one node of five
        for number in range(8):
            await create(rig, f"web-{number}", {"app": "web"}, topologySpreadConstraints=[constraint])
        await rig.settle()
        where = Counter([await rig.node_of(f"web-{number}") for number in range(8)])
        assert where["n3"] == 4 and sum(where.values()) == 8 and "" not in where


async def test_replicas_of_a_controller_spread_by_default() -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    async with scheduling(nodes=zones(4, "ab")) as rig:
        owner = await rig.client.create(
            "replicasets.apps", {"metadata": {"name": "rs", "namespace": "default"}, "spec": spec}
        )
        reference = {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": owner["metadata"]["uid"],
            "controller": True,
        }  # fmt: skip
        for number in range(8):
            await rig.client.create(
                "pods",
                {"metadata": {"name": f"web-{number}", "namespace": "default", "labels": labels, "ownerReferences": [reference]},
                 "spec": {"containers": [{"name": "c", "image": "x"}]}})  # fmt: skip
        await rig.settle()
        where = Counter([await rig.node_of(f"web-{number}") for number in range(8)])
        assert where == {"n0": 2, "n1": 2, "n2": 2, "n3": 2}


async def test_label_keys_become_part_of_the_selector_when_the_pod_is_created() -> None:
    term = {
        "topologyKey": HOST,
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["version", "missing"],
        "mismatchLabelKeys": ["tenant"],
    }
    spread = {
        "topologyKey": ZONE,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["version"],
    }
    async with scheduling(nodes=zones(1, "a")) as rig:
        made = await create(
            rig, "one", {"app": "web", "version": "1", "tenant": "t"},
            affinity={"podAntiAffinity": {REQUIRED: [term]}}, topologySpreadConstraints=[spread],
        )  # fmt: skip
        (found,) = made["spec"]["affinity"]["podAntiAffinity"][REQUIRED]
        version = {"key": "version", "operator": "In", "values": ["1"]}
        assert found["labelSelector"] == {
            "matchLabels": {"app": "web"},
            "matchExpressions": [version, {"key": "tenant", "operator": "NotIn", "values": ["t"]}],
        }
        assert made["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"] == [version]
        patch = {"metadata": {"annotations": {"still": "valid"}}}
        await rig.client.patch("pods", "one", "default", patch)
        rule = {"podAntiAffinity": {REQUIRED: [{**term, "mismatchLabelKeys": []}]}}
        await create(rig, "two", {"app": "web", "version": "2"}, affinity=rule)
        await create(rig, "three", {"app": "web", "version": "2"}, affinity=rule)
        await rig.settle()
        assert (await rig.node_of("two"), await rig.node_of("three")) == ("n0", "")


async def test_a_namespace_that_gets_a_label_opens_the_way() -> None:
    term = {
        "topologyKey": HOST,
        "labelSelector": {"matchLabels": {"app": "web"}},
        "namespaceSelector": {"matchLabels": {"team": "x"}},
    }
    async with scheduling(nodes=zones(2, "ab")) as rig:
        web: dict[str, Any] = {
            "metadata": {"name": "web", "namespace": "theirs", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "x"}]},
        }
        await rig.client.create("namespaces", {"metadata": {"name": "theirs"}})
        await rig.client.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "theirs"}})
        await rig.client.create("pods", {**web, "spec": {**web["spec"], "nodeName": "n1"}})
        await create(rig, "beside", {}, affinity={"podAffinity": {REQUIRED: [term]}})
        await rig.settle()
        assert await rig.node_of("beside") == ""
        await rig.client.patch("namespaces", "theirs", "", {"metadata": {"labels": {"team": "x"}}})
        await rig.settle(15)
        assert await rig.node_of("beside") == "n1"


def on_port(number: int, address: str = "", protocol: str = "TCP") -> dict[str, Any]:
    port = {"containerPort": 80, "hostPort": number, "protocol": protocol, **({"hostIP": address} if address else {})}
    return {"containers": [{"name": "c", "image": "x", "ports": [port]}]}


async def test_host_ports_conflict_by_address_and_protocol() -> None:
    """sig-scheduling: no conflict with different hostIP or protocol; conflict where one takes all addresses."""
    async with scheduling(nodes=zones(1, "a")) as rig:
        await create(rig, "one", {}, **on_port(54321, "127.0.0.1"))
        await create(rig, "two", {}, **on_port(54321, "10.0.0.1"))
        await create(rig, "three", {}, **on_port(54321, "10.0.0.1", "UDP"))
        await create(rig, "four", {}, **on_port(54321))
        await create(rig, "five", {}, **on_port(54322))
        await rig.settle()
        where = {name: await rig.node_of(name) for name in ("one", "two", "three", "four", "five")}
        assert where == {"one": "n0", "two": "n0", "three": "n0", "four": "", "five": "n0"}
        (message,) = set(await rig.events("FailedScheduling"))
        assert "1 node(s) didn't have free ports for the requested pod ports" in message


async def test_a_selector_waits_for_its_label() -> None:
    """sig-scheduling: NodeSelector is respected if not matching, and if matching."""
    async with scheduling(nodes=zones(2, "ab")) as rig:
        await create(rig, "picky", {}, nodeSelector={"disk": "ssd"})
        await rig.settle()
        assert await rig.node_of("picky") == ""
        (message,) = set(await rig.events("FailedScheduling"))
        assert message.startswith("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
        await rig.client.patch("nodes", "n1", "", {"metadata": {"labels": {"disk": "ssd"}}})
        await rig.settle(15)
        assert await rig.node_of("picky") == "n1"


async def test_a_resize_takes_room_until_it_is_done() -> None:
    """KEP-1287: what a container has counts as long as it is more than what it asks for."""
    small = [node("n0", cpu="2")]
    one_cpu = {"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}]}
    async with scheduling(nodes=small) as rig:
        await create(rig, "running", {}, **one_cpu)
        await rig.settle()
        has = {"requests": {"cpu": "2"}}
        status = {"name": "c", "image": "x", "imageID": "x", "ready": True, "restartCount": 0, "resources": has}
        found = await rig.found("running")
        await rig.client.update_status("pods", {**found, "status": {**found["status"], "containerStatuses": [status]}})
        await create(rig, "next", {}, **one_cpu)
        await rig.settle()
        assert await rig.node_of("next") == ""
        found = await rig.found("running")
        done = [{**status, "resources": {"requests": {"cpu": "1"}}}]
        await rig.client.update_status("pods", {**found, "status": {**found["status"], "containerStatuses": done}})
        await rig.settle(15)
        assert await rig.node_of("next") == "n0"
