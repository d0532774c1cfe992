"""Service rules for real: nftables in network namespaces of their own, pods as processes, servers as sockets made inside them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from minik.agent.network.base import NetworkError
from minik.agent.network.nft import Nft, _program, open_nft
from minik.agent.network.routed import RoutedNetwork, assign_service_address
from minik.agent.proxy.apply import NftBackend
from minik.agent.proxy.proxy import ServiceProxy
from minik.agent.proxy.userspace import UserspaceBackend
from minik.clock import SystemClock
from tests.support.netlab import LabNode, ask, free_socket, lab, needs_namespaces, serve_name
from tests.support.services import NODE, endpoint, key, service, slice_of

pytestmark = [pytest.mark.root, needs_namespaces]
T = TypeVar("T")
STREAM = (socket.AF_INET, socket.SOCK_STREAM)
DATAGRAM = (socket.AF_INET, socket.SOCK_DGRAM)
HOST = "192.0.2.1"
CLIENT = "192.0.2.2"


class Bench:
    """One node with three pods, and a client outside of the cluster."""

    def __init__(self, node: LabNode, outside: int) -> None:
        self.node, self.outside = node, outside
        nft = open_nft()
        assert nft is not None, "nftables is not installed"

        async def start() -> tuple[RoutedNetwork, ServiceProxy]:
            network = RoutedNetwork(
                cluster_cidr=NODE.cluster_cidr, service_cidr=NODE.service_cidr, dns_address=NODE.local_dns, nft=nft
            )
            await network.start(node_name="n1", pod_cidr=NODE.pod_cidr, node_ip=HOST)
            proxy = ServiceProxy(node=NODE, backend=NftBackend(nft, NODE), clock=SystemClock())
            await proxy.start()
            return network, proxy

        self.network, self.proxy = node.run(start)
        self.pids: list[int] = []
        self.ips: list[str] = []
        for index in range(3):
            pid = node.pod()
            address = self.network.allocate(f"{index}" * 12)
            node.run(lambda uid=f"{index}" * 12, a=address, p=pid: self.network.attach(uid, a, p))
            self.pids.append(pid)
            self.ips.append(address)

    def run(self, make: Callable[[], Awaitable[T]]) -> T:
        return self.node.run(make)

    def tell(self, *objects: dict[str, Any]) -> None:
        async def go() -> None:
            for obj in objects:
                if "endpoints" in obj:
                    self.proxy.update_slice(key(obj), obj)
                else:
                    self.proxy.update_service(key(obj), obj)
            await self.proxy.settled()

        self.run(go)

    async def serve(self, *indexes: int, port: int = 8080) -> None:
        for index in indexes:
            await serve_name(self.network.socket(self.pids[index], *STREAM), (self.ips[index], port), f"pod{index}")

    async def ask_from(self, index: int, address: str, port: int = 80) -> tuple[str, str]:
        return await ask(self.network.socket(self.pids[index], *STREAM), (address, port))

    async def ask_from_outside(self, address: str, port: int) -> tuple[str, str]:
        return await ask(self.network.socket(self.outside, *STREAM), (address, port))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with lab("n1") as (node,):
        outside = node.pod()
        node.shell("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "out0", "netns", str(outside))
        node.shell("ip", "address", "add", f"{HOST}/24", "dev", "eth0")
        node.shell("ip", "link", "set", "eth0", "up")
        node.shell("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
        inside = ["nsenter", f"--net=/proc/{outside}/ns/net", "ip"]
        node.shell(*inside, "address", "add", f"{CLIENT}/24", "dev", "out0")
        node.shell(*inside, "link", "set", "out0", "up")
        node.shell(*inside, "link", "set", "lo", "up")
        node.shell(*inside, "route", "add", "203.0.113.0/24", "via", HOST)
        yield Bench(node, outside)


def test_pods_and_host_reach_a_service_and_all_its_endpoints(bench: Bench) -> None:
    bench.tell(service("web", "10.96.0.20"), slice_of("web", [bench.ips[1], bench.ips[2]]))

    async def go() -> tuple[Counter[str], set[str], str]:
        await bench.serve(1, 2)
        answers = [await bench.ask_from(0, "10.96.0.20") for _ in range(60)]
        host = await ask(free_socket(), ("10.96.0.20", 80))
        return Counter(name for name, _ in answers), {seen for _, seen in answers}, host[0]

    names, seen, host = bench.run(go)
    assert set(names) == {"pod1", "pod2"}
    assert min(names.values()) >= 12
    assert seen == {bench.ips[0]}, "pods are seen with their own address"
    assert host in names


def test_a_pod_reaches_itself_through_a_service(bench: Bench) -> None:
    bench.tell(service("web", "10.96.0.20"), slice_of("web", [bench.ips[0]]))

    async def go() -> tuple[str, str]:
        await bench.serve(0)
        return await bench.ask_from(0, "10.96.0.20")

    name, seen = bench.run(go)
    assert name == "pod0"
    assert seen != bench.ips[0]


def test_without_endpoints_connections_are_refused_at_once(bench: Bench) -> None:
    bench.tell(service("web", "10.96.0.20", nodePort=30080, type="NodePort", externalIPs=["203.0.113.7"]))

    async def refused(make: Callable[[], Awaitable[Any]]) -> float:
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            await make()
        return time.monotonic() - began

    async def go() -> list[float]:
        return [
            await refused(lambda: bench.ask_from(0, "10.96.0.20")),
            await refused(lambda: ask(free_socket(), ("10.96.0.20", 80))),
            await refused(lambda: bench.ask_from(0, "10.96.77.77")),
            await refused(lambda: bench.ask_from_outside(HOST, 30080)),
            await refused(lambda: bench.ask_from(0, "203.0.113.7")),
            await refused(lambda: bench.ask_from_outside("203.0.113.7", 80)),
        ]

    assert max(bench.run(go)) < 0.5


def test_node_ports_and_external_addresses(bench: Bench) -> None:
    spec = {"nodePort": 30080, "type": "NodePort", "externalIPs": ["203.0.113.7"]}
    far = endpoint(bench.ips[2], node="n2")
    bench.tell(service("web", "10.96.0.20", **spec), slice_of("web", [endpoint(bench.ips[1]), far]))

    async def go() -> list[list[tuple[str, str]]]:
        await bench.serve(1, 2)
        return [
            [await bench.ask_from_outside(HOST, 30080) for _ in range(30)],
            [await bench.ask_from_outside("203.0.113.7", 80) for _ in range(30)],
            [await bench.ask_from(0, HOST, 30080) for _ in range(30)],
            [await ask(free_socket(), (HOST, 30080)) for _ in range(30)],
        ]

    for answers in bench.run(go):
        assert {name for name, _ in answers} == {"pod1", "pod2"}
        assert CLIENT not in {seen for _, seen in answers}, "masqueraded: the answer must come back this way"

    bench.tell(service("web", "10.96.0.20", externalTrafficPolicy="Local", **spec))

    async def local() -> list[set[tuple[str, str]]]:
        return [
            {await bench.ask_from_outside(HOST, 30080) for _ in range(10)},
            {await bench.ask_from_outside("203.0.113.7", 80) for _ in range(10)},
            {(await bench.ask_from(0, HOST, 30080))[0:1] for _ in range(30)},
        ]

    outside, external, inside = bench.run(local)
    assert outside == external == {("pod1", CLIENT)}, "only the local endpoint, with the client's address"
    assert inside == {("pod1",), ("pod2",)}, "clients of the cluster reach all"

    bench.tell(slice_of("web", [far]))

    async def dropped() -> None:
        with pytest.raises(TimeoutError):
            await ask(bench.network.socket(bench.outside, *STREAM), (HOST, 30080), timeout=0.3)

    bench.run(dropped)


def test_a_load_balancer_for_some_clients(bench: Bench) -> None:
    spec: Any = {"nodePort": 30080, "type": "LoadBalancer"}
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}

    def told(*ranges: str) -> None:
        bench.tell({**service("web", "10.96.0.20", loadBalancerSourceRanges=list(ranges), **spec), **given})

    async def silent(sock: socket.socket, address: str, port: int) -> bool:
        try:
            await ask(sock, (address, port), timeout=0.3)
        except TimeoutError:
            return True
        return False

    async def who_comes() -> tuple[bool, bool, bool]:
        """Whether the client outside, pod 0, and the node itself get an answer from the balancer; everybody does elsewhere."""
        outside, pod = bench.network.socket(bench.outside, *STREAM), bench.network.socket(bench.pids[0], *STREAM)
        refused = [await silent(each, "203.0.113.7", 80) for each in (outside, pod, free_socket())]
        assert (await bench.ask_from_outside(HOST, 30080))[0] == "pod1"
        assert (await bench.ask_from(0, "10.96.0.20"))[0] == "pod1"
        return not refused[0], not refused[1], not refused[2]

    told(f"{CLIENT}/32")
    bench.tell(slice_of("web", [endpoint(bench.ips[1])]))
    bench.run(lambda: bench.serve(1))
    assert bench.run(who_comes) == (True, False, False)
    told("198.51.100.0/24", NODE.pod_cidr)
    assert bench.run(who_comes) == (False, True, False)
    told("198.51.100.0/24", "198.51.100.0/25", f"{CLIENT}/24")
    assert bench.run(who_comes)[:2] == (True, False)
    told()
    assert bench.run(who_comes) == (True, True, True)
    assert bench.proxy.statistics()["loads"] == 1, "no change had to load all anew"


def test_internal_traffic_policy_local(bench: Bench) -> None:
    far = endpoint(bench.ips[2], node="n2")
    bench.tell(
        service("web", "10.96.0.20", internalTrafficPolicy="Local"), slice_of("web", [endpoint(bench.ips[1]), far])
    )

    async def go() -> set[str]:
        await bench.serve(1, 2)
        return {(await bench.ask_from(0, "10.96.0.20"))[0] for _ in range(20)}

    assert bench.run(go) == {"pod1"}


def test_session_affinity_keeps_a_client_at_one_endpoint(bench: Bench) -> None:
    bench.tell(service("web", "10.96.0.20", sessionAffinity="ClientIP"), slice_of("web", bench.ips))

    async def go() -> list[set[str]]:
        await bench.serve(0, 1, 2)
        return [{(await bench.ask_from(pod, "10.96.0.20"))[0] for _ in range(20)} for pod in range(3)]

    assert [len(names) for names in bench.run(go)] == [1, 1, 1]


def test_host_ports_keep_the_address_of_the_client(bench: Bench) -> None:
    pod = {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"ports": [{"containerPort": 8080, "hostPort": 8888}]}]},
        "status": {"podIP": bench.ips[1], "phase": "Running"},
    }

    async def go() -> tuple[tuple[str, str], tuple[str, str]]:
        bench.proxy.update_pod(key(pod), pod)
        await bench.proxy.settled()
        await bench.serve(1)
        return await bench.ask_from_outside(HOST, 8888), await bench.ask_from(0, HOST, 8888)

    assert bench.run(go) == (("pod1", CLIENT), ("pod1", bench.ips[0]))


def test_udp_follows_its_endpoints(bench: Bench) -> None:
    """One client socket: the kernel remembers its flow, and must forget it when the endpoint goes."""

    async def serve(index: int) -> None:
        sock = bench.network.socket(bench.pids[index], *DATAGRAM)
        sock.bind((bench.ips[index], 5000))

        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(f"pod{index}".encode(), addr)

        await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=sock)

    async def prepare() -> socket.socket:
        await serve(1)
        await serve(2)
        client = bench.network.socket(bench.pids[0], *DATAGRAM)
        client.connect(("10.96.0.30", 53))
        return client

    client = bench.run(prepare)

    async def query() -> str:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"?")
        try:
            async with asyncio.timeout(1):
                return (await loop.sock_recv(client, 100)).decode()
        except (TimeoutError, ConnectionRefusedError):
            return "nobody"

    spec = service("dns", "10.96.0.30", port=53, protocol="UDP")
    bench.tell(spec)
    assert bench.run(query) == "nobody"
    bench.tell(slice_of("dns", [bench.ips[1]], port=5000, protocol="UDP"))
    assert bench.run(query) == "pod1"
    bench.tell(slice_of("dns", [bench.ips[2]], port=5000, protocol="UDP"))
    assert bench.run(query) == "pod2"
    bench.tell(slice_of("dns", [bench.ips[1], bench.ips[2]], port=5000, protocol="UDP"))
    assert bench.run(query) == "pod2", "a flow whose endpoint stays is not moved"
    assert bench.proxy.statistics()["loads"] == 1, "every change was a change, not a new load"
    client.close()


def test_the_nft_program_does_where_there_is_no_library(bench: Bench) -> None:
    runner = _program()
    assert runner is not None

    async def go() -> str:
        nft = Nft(runner)
        proxy = ServiceProxy(node=NODE, backend=NftBackend(nft, NODE), clock=SystemClock())
        await proxy.start()
        web, rows = service("web", "10.96.0.20"), slice_of("web", [bench.ips[1]])
        proxy.update_service(key(web), web)
        proxy.update_slice(key(rows), rows)
        await proxy.settled()
        assert proxy.statistics()["loads"] == 1
        await bench.serve(1)
        answer = await bench.ask_from(0, "10.96.0.20")
        await proxy.close()
        nft.close()
        return answer[0]

    assert bench.run(go) == "pod1"
    with pytest.raises(NetworkError, match="nosuch"):
        runner("add element ip minik nosuch { 1 }\n")


def test_rules_that_somebody_flushed_are_noticed(bench: Bench) -> None:
    bench.tell(service("web", "10.96.0.20"), slice_of("web", [bench.ips[1]]))
    backend = bench.proxy._backend
    assert bench.node.call(backend.is_intact)
    bench.node.shell("nft", "flush", "ruleset")
    assert not bench.node.call(backend.is_intact)
    # The next change fails on the missing table, and everything is loaded again.
    bench.tell(slice_of("web", [bench.ips[1], bench.ips[2]]))
    assert bench.node.call(backend.is_intact)
    assert bench.proxy.statistics()["loads"] == 2


def test_userspace_backend_serves_the_same_services(bench: Bench) -> None:
    bench.node.shell("nft", "delete", "table", "ip", "minik")

    async def go() -> tuple[set[str], str, str]:
        loop = asyncio.get_running_loop()
        backend = UserspaceBackend(assign_service_address)
        proxy = ServiceProxy(node=NODE, backend=backend, clock=SystemClock())
        for obj in (web, dns):
            proxy.update_service(key(obj), obj)
        for obj in (slice_of("web", bench.ips[1:]), slice_of("dns", [bench.ips[1]], port=5000, protocol="UDP")):
            proxy.update_slice(key(obj), obj)
        await proxy.start()
        await bench.serve(1, 2)
        server = bench.network.socket(bench.pids[1], *DATAGRAM)
        server.bind((bench.ips[1], 5000))
        client = bench.network.socket(bench.pids[0], *DATAGRAM)
        client.connect(("10.96.0.30", 53))
        await loop.sock_sendall(client, b"ping")
        data, sender = await loop.sock_recvfrom(server, 100)
        await loop.sock_sendto(server, b"pong", sender)
        answer = (data + await loop.sock_recv(client, 100)).decode()
        names = {(await bench.ask_from(0, "10.96.0.20"))[0] for _ in range(10)}
        port = (await bench.ask_from_outside(HOST, 30080))[0]
        await proxy.close()
        return names, port, answer

    web = service("web", "10.96.0.20", nodePort=30080, type="NodePort")
    dns = service("dns", "10.96.0.30", port=53, protocol="UDP")
    names, port, answer = bench.run(go)
    assert names == {"pod1", "pod2"}
    assert port in names
    assert answer == "pingpong"
