"""The DNS server over real sockets: UDP, TCP, truncation, other servers that answer, are slow, or are not there."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from minik.agent.dns import wire
from minik.agent.dns.records import Records
from minik.agent.dns.server import DnsServer
from minik.agent.dns.upstream import Upstream
from minik.agent.dns.wire import Record
from minik.clock import Entropy, SystemClock
from tests.support.process import free_port
from tests.support.services import key, service, slice_of


class Elsewhere(asyncio.DatagramProtocol):
    """Another server: knows example.com, is silent about slow.example."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = wire.parse_question(data)
        self.asked.append(question.name)
        if question.name == "slow.example":
            return
        if question.name == "www.example.com" and question.type == wire.A:
            rows = [Record(question.name, wire.A, 60, "192.0.2.80")]
            self.transport.sendto(wire.pack_answer(data, question, 0, answers=rows, authoritative=False), addr)
        else:
            soa = Record("example.com", wire.SOA, 60, "ns.example.com admin.example.com 1 2 3 4 5")
            self.transport.sendto(wire.pack_answer(data, question, wire.NXDOMAIN, authority=[soa]), addr)


class Bench:
    def __init__(self, server: DnsServer, elsewhere: Elsewhere, conf: Path) -> None:
        self.server, self.elsewhere, self.conf = server, elsewhere, conf

    async def udp(self, name: str, kind: str = "A", **more: Any) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **more)
        loop = asyncio.get_running_loop()
        got: asyncio.Future[bytes] = loop.create_future()

        class Once(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                got.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(Once, remote_addr=("127.0.0.1", self.server.port))
        try:
            transport.sendto(query.to_wire())
            answer = dns.message.from_wire(await asyncio.wait_for(got, 10))
        finally:
            transport.close()
        assert query.is_response(answer)
        return answer

    async def tcp(self, *names: str) -> list[dns.message.Message]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        answers = []
        for name in names:
            query = dns.message.make_query(name, "A").to_wire()
            writer.write(struct.pack("!H", len(query)) + query)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            answers.append(dns.message.from_wire(await reader.readexactly(size)))
        writer.close()
        return answers

    def tell(self, obj: dict[str, Any]) -> None:
        update = self.server.update_slice if "endpoints" in obj else self.server.update_service
        update(key(obj), obj)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    loop = asyncio.get_running_loop()
    transport, elsewhere = await loop.create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 10.96.0.10\nnameserver 127.0.0.1\n")
    clock = SystemClock()
    upstream = Upstream(
        clock=clock, entropy=Entropy(1), own=["10.96.0.10"], files=[conf], port=transport.get_extra_info("sockname")[1]
    )
    server = DnsServer(records=Records("cluster.local", networks=["10.96.0.0/16"]), upstream=upstream, clock=clock)
    # A port that is free for TCP, where connections linger; what 0 finds for UDP need not be.
    await server.start("127.0.0.1", free_port())
    yield Bench(server, elsewhere, conf)
    await server.close()
    transport.close()


def texts(message: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in message.answer for rdata in rrset]


async def test_names_of_the_cluster_follow_its_services(bench: Bench) -> None:
    assert (await bench.udp("web.default.svc.cluster.local")).rcode() == dns.rcode.NXDOMAIN
    bench.tell(service("web", "10.96.0.20"))
    for _ in range(2):
        answer = await bench.udp("Web.default.SVC.cluster.local")
        assert texts(answer) == ["10.96.0.20"]
        assert answer.flags & dns.flags.AA
    bench.tell(service("web", "10.96.0.21"))
    assert texts(await bench.udp("web.default.svc.cluster.local")) == ["10.96.0.21"]


async def test_addresses_take_turns(bench: Bench) -> None:
    bench.tell(service("db", "None"))
    bench.tell(slice_of("db", ["10.244.1.5", "10.244.1.6"]))
    firsts = {texts(await bench.udp("db.default.svc.cluster.local", id=7))[0] for _ in range(4)}
    assert firsts == {"10.244.1.5", "10.244.1.6"}


async def test_what_does_not_fit_comes_over_tcp(bench: Bench) -> None:
    bench.tell(service("db", "None"))
    bench.tell(slice_of("db", [f"10.244.1.{n}" for n in range(2, 102)]))
    short = await bench.udp("db.default.svc.cluster.local")
    assert short.flags & dns.flags.TC
    assert len(texts(await bench.udp("db.default.svc.cluster.local", use_edns=0, payload=4000))) == 100
    (whole, other) = await bench.tcp("db.default.svc.cluster.local", "nope.default.svc.cluster.local")
    assert len(texts(whole)) == 100
    assert other.rcode() == dns.rcode.NXDOMAIN


async def test_the_rest_of_the_world_is_asked_once_and_remembered(bench: Bench) -> None:
    for _ in range(3):
        assert texts(await bench.udp("www.example.com", id=5)) == ["192.0.2.80"]
        assert (await bench.udp("nope.example.com", id=5)).rcode() == dns.rcode.NXDOMAIN
    assert bench.elsewhere.asked == ["www.example.com", "nope.example.com"]


async def test_an_external_name_is_followed(bench: Bench) -> None:
    bench.tell(service("out", "", type="ExternalName", externalName="www.example.com"))
    assert texts(await bench.udp("out.default.svc.cluster.local")) == ["www.example.com.", "192.0.2.80"]


async def test_without_other_servers_questions_fail_at_once(bench: Bench) -> None:
    bench.conf.write_text("nameserver 10.96.0.10\n")
    assert (await bench.udp("www.example.com")).rcode() == dns.rcode.SERVFAIL
    assert bench.elsewhere.asked == []


async def test_a_server_that_refuses_connections_is_given_up_quickly(bench: Bench) -> None:
    bench.conf.write_text("nameserver 127.0.0.2\n")
    async with asyncio.timeout(1):
        for _ in range(3):
            assert (await bench.udp("www.example.com")).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\0" * 12, b"\xff" * 40, b"\0\1\1\0\0\1\0\0\0\0\0\0\x3fab"])
async def test_nonsense_does_no_harm(bench: Bench, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", bench.server.port)
    )
    transport.sendto(data)
    transport.close()
    assert (await bench.udp("svc.cluster.local")).rcode() == dns.rcode.NOERROR
