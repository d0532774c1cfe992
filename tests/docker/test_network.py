"""The pod network for real: veth pairs, routes, overlay, restore, reset; in network namespaces of its own."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minik.agent.network.base import NetworkError
from minik.agent.network.nft import open_nft
from minik.agent.network.peers import NodeRoutes
from minik.agent.network.reset import reset
from minik.agent.network.routed import RoutedNetwork, interface_name
from tests.support.netlab import LabNode, ask, connect_nodes, free_socket, lab, needs_namespaces, serve_name

pytestmark = [pytest.mark.root, needs_namespaces]

UID_A = "aaaaaaaa-0000-4000-8000-000000000001"
UID_B = "bbbbbbbb-0000-4000-8000-000000000002"


def routed() -> RoutedNetwork:
    return RoutedNetwork(
        cluster_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16", dns_address="10.96.0.10", nft=open_nft()
    )


def started(node: LabNode, cidr: str, ip: str) -> RoutedNetwork:
    async def go() -> RoutedNetwork:
        network = routed()
        await network.start(node_name=node.name, pod_cidr=cidr, node_ip=ip)
        return network

    return node.run(go)


def plumb(node: LabNode, network: RoutedNetwork, uid: str) -> tuple[str, int]:
    pid = node.pod()
    address = network.allocate(uid)
    node.run(lambda: network.attach(uid, address, pid))
    return address, pid


@pytest.fixture
def node() -> Iterator[LabNode]:
    with lab("n1") as (one,):
        one.shell("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "outside")
        one.shell("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
        one.shell("ip", "link", "set", "eth0", "up")
        one.shell("ip", "link", "set", "outside", "up")
        yield one


def test_pods_reach_each_other_and_the_host(node: LabNode) -> None:
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    a, pid_a = plumb(node, network, UID_A)
    b, pid_b = plumb(node, network, UID_B)
    assert (a, b) == ("10.244.1.2", "10.244.1.3")

    async def go() -> list[tuple[str, str]]:
        inet = socket.AF_INET, socket.SOCK_STREAM
        servers = [
            await serve_name(network.socket(pid_b, *inet), (b, 80), "b"),
            await serve_name(free_socket(), ("192.0.2.1", 80), "host"),
        ]
        answers = [
            await ask(network.socket(pid_a, *inet), (b, 80)),
            await ask(network.socket(pid_a, *inet), ("192.0.2.1", 80)),
            await ask(free_socket(), (b, 80)),
        ]
        for server in servers:
            server.close()
        return answers

    assert node.run(go) == [("b", a), ("host", a), ("b", "192.0.2.1")]
    assert node.run(network.attached) == {UID_A: a, UID_B: b}


def test_attach_is_idempotent_and_follows_a_new_sandbox(node: LabNode) -> None:
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    address, pid = plumb(node, network, UID_A)
    before = node.shell("ip", "-o", "link", "show", interface_name(UID_A))
    node.run(lambda: network.attach(UID_A, address, pid))
    assert node.shell("ip", "-o", "link", "show", interface_name(UID_A)) == before
    successor = node.pod()
    node.run(lambda: network.attach(UID_A, address, successor))
    inside = node.shell("nsenter", f"--net=/proc/{successor}/ns/net", "ip", "-o", "address", "show", "eth0")
    assert f"{address}/32" in inside
    assert node.run(network.attached) == {UID_A: address}


def test_a_network_started_again_knows_its_pods(node: LabNode) -> None:
    address, pid = plumb(node, started(node, "10.244.1.0/24", "192.0.2.1"), UID_A)
    again = started(node, "10.244.1.0/24", "192.0.2.1")
    assert again.allocate(UID_A) == address
    assert again.allocate(UID_B) != address
    node.run(lambda: again.detach(UID_A))
    node.run(lambda: again.detach(UID_A))
    assert node.run(again.attached) == {}
    assert interface_name(UID_A) not in node.shell("ip", "-o", "link")
    with pytest.raises(NetworkError):
        node.run(lambda: again.attach(UID_A, address, 1 << 22))
    assert pid


def test_a_pod_whose_route_was_lost_meanwhile_does_not_keep_the_network_from_starting(node: LabNode) -> None:
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    address, pid = plumb(node, network, UID_A)
    node.run(network.close)
    node.shell("ip", "route", "del", address)
    again = started(node, "10.244.1.0/24", "192.0.2.1")
    assert node.run(again.attached) == {UID_A: ""}
    node.run(lambda: again.attach(UID_A, address, pid))
    assert node.run(again.attached) == {UID_A: address}


def test_a_pod_cannot_send_with_another_address(node: LabNode) -> None:
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    _, pid = plumb(node, network, UID_A)
    node.shell("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "address", "add", "10.244.1.77/32", "dev", "eth0")

    async def go() -> bytes:
        receiver = free_socket(socket.SOCK_DGRAM)
        receiver.bind(("192.0.2.1", 7000))
        for source in ("10.244.1.77", "0.0.0.0"):
            sender = network.socket(pid, socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((source, 0))
            sender.connect(("192.0.2.1", 7000))
            sender.send(source.encode())
        return await asyncio.get_running_loop().sock_recv(receiver, 100)

    assert node.run(go) == b"0.0.0.0"


def test_routes_that_vanish_come_back(node: LabNode) -> None:
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    address, _ = plumb(node, network, UID_A)
    node.shell(
        "ip", "address", "del", "192.0.2.1/24", "dev", "eth0"
    )  # takes the routes that name it as their source along
    assert address not in node.shell("ip", "route")
    node.shell("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")

    def routes() -> str:
        return node.shell("ip", "route")

    wait_until(lambda: address in routes() and "10.96.0.0/16" in routes())


def wait_until(true: Any, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_forwarding_is_opened_where_docker_closed_it(node: LabNode) -> None:
    node.shell("iptables", "-N", "DOCKER-USER")
    node.shell("iptables", "-A", "FORWARD", "-j", "DOCKER-USER")
    node.shell("iptables", "-P", "FORWARD", "DROP")
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    _, pid_a = plumb(node, network, UID_A)
    b, pid_b = plumb(node, network, UID_B)

    async def go() -> tuple[str, str]:
        server = await serve_name(network.socket(pid_b, socket.AF_INET, socket.SOCK_STREAM), (b, 80), "b")
        answer = await ask(network.socket(pid_a, socket.AF_INET, socket.SOCK_STREAM), (b, 80))
        server.close()
        return answer

    assert node.run(go)[0] == "b"
    started(node, "10.244.1.0/24", "192.0.2.1")
    rules = node.shell("iptables", "-S", "DOCKER-USER").splitlines()
    assert sorted(r for r in rules if "mk-" in r) == [
        "-A DOCKER-USER -i mk-+ -j ACCEPT",
        "-A DOCKER-USER -o mk-+ -j ACCEPT",
    ]


def test_reset_removes_what_minik_made_and_nothing_else(node: LabNode) -> None:
    node.shell("iptables", "-N", "DOCKER-USER")
    node.shell("ip", "link", "add", "mk-other", "type", "bridge")

    def everything() -> tuple[list[str], str, str]:
        links = node.shell("ip", "-o", "link").splitlines()  # their states change by themselves: names alone
        return [link.split(":")[1] for link in links], node.shell("ip", "route"), node.shell("nft", "list", "ruleset")

    before = everything()
    network = started(node, "10.244.1.0/24", "192.0.2.1")
    plumb(node, network, UID_A)
    node.run(network.close)
    removed = node.run(reset)
    assert removed == {"interfaces": 2, "routes": 2, "tables": 1, "rules": 2}
    assert everything() == before
    assert node.run(reset) == {"interfaces": 0, "routes": 0, "tables": 0, "rules": 0}


def node_object(name: str, ip: str, cidr: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": cidr},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
    }


@pytest.mark.parametrize("network_bits", [24, 32], ids=["same link", "overlay"])
def test_pods_of_two_nodes_reach_each_other(network_bits: int) -> None:
    ips = {"n1": "198.51.100.1", "n2": "198.51.100.2"}
    cidrs = {"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"}
    with lab("n1", "n2") as (one, two):
        connect_nodes(one, two, f"{ips['n1']}/{network_bits}", f"{ips['n2']}/{network_bits}")
        if network_bits == 32:
            one.shell("ip", "route", "add", ips["n2"], "dev", "eth0")
            two.shell("ip", "route", "add", ips["n1"], "dev", "eth0")
        networks = {n.name: started(n, cidrs[n.name], ips[n.name]) for n in (one, two)}
        routes: dict[str, NodeRoutes] = {}
        for node in (one, two):

            async def follow(node: LabNode = node) -> NodeRoutes:
                made = NodeRoutes(node_name=node.name, node_ip=ips[node.name], pod_cidr=cidrs[node.name])
                for name in ips:
                    made.update_node(name, node_object(name, ips[name], cidrs[name]))
                await made.start()
                return made

            routes[node.name] = node.run(follow)
        a, pid_a = plumb(one, networks["n1"], UID_A)
        b, pid_b = plumb(two, networks["n2"], UID_B)
        stream = socket.AF_INET, socket.SOCK_STREAM

        two.run(lambda: serve_name(networks["n2"].socket(pid_b, *stream), (b, 80), "b"))
        assert one.run(lambda: ask(networks["n1"].socket(pid_a, *stream), (b, 80))) == ("b", a)
        assert one.run(lambda: ask(free_socket(), (b, 80)))[0] == "b"

        one.shell("ip", "link", "set", "eth0", "down")
        one.shell("ip", "link", "set", "eth0", "up")
        if network_bits == 32:
            one.shell("ip", "route", "replace", ips["n2"], "dev", "eth0")
        wait_until(lambda: cidrs["n2"] in one.shell("ip", "route"))
        assert one.run(lambda: ask(networks["n1"].socket(pid_a, *stream), (b, 80))) == ("b", a)

        one.call(lambda: routes["n1"].update_node("n2", None))
        wait_until(lambda: cidrs["n2"] not in one.shell("ip", "route"))
        assert ("mk-vxlan" in one.shell("ip", "-o", "link")) is False


def test_the_routes_settle() -> None:
    """Doing what is announced must not announce it again."""
    with lab("n1") as (one,):
        one.shell("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "outside")
        one.shell("ip", "address", "add", "198.51.100.1/32", "dev", "eth0")
        one.shell("ip", "link", "set", "eth0", "up")

        async def go() -> int:
            routes = NodeRoutes(node_name="n1", node_ip="198.51.100.1", pod_cidr="10.244.1.0/24")
            routes.update_node("n2", node_object("n2", "203.0.113.9", "10.244.2.0/24"))
            await routes.start()
            applied = 0
            original = routes._apply

            def counted(nodes: Any) -> Any:
                nonlocal applied
                applied += 1
                return original(nodes)

            routes._apply = counted  # type: ignore[method-assign]  # to count
            await asyncio.sleep(0.4)
            return applied

        assert one.run(go) <= 1


def test_the_namespace_of_the_tests_is_not_touched(node: LabNode) -> None:
    assert Path(node.path).readlink() != Path("/proc/self/ns/net").readlink()
