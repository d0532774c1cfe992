"""The message format against a library that others maintain."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik.agent.dns import wire
from minik.agent.dns.wire import Malformed, Record

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


def query(name: str, kind: str = "A", **more: object) -> bytes:
    return dns.message.make_query(name, kind, **more).to_wire()


def test_a_question_is_read() -> None:
    question = wire.parse_question(query("Web.Default.svc.cluster.local.", "SRV"))
    assert (question.name, question.type, question.klass) == ("web.default.svc.cluster.local", wire.SRV, wire.IN)
    assert (question.edns, question.udp_limit) == (False, 512)
    with_edns = wire.parse_question(query("web.", use_edns=0, payload=1400))
    assert (with_edns.edns, with_edns.udp_limit) == (True, 1400)
    assert wire.parse_question(query("web.", use_edns=0, payload=65000)).udp_limit == wire.LARGEST_UDP
    assert wire.parse_question(query(".")).name == ""


def _text(name: object) -> str:
    return str(name).rstrip(".").lower()


RECORDS = st.one_of(
    st.builds(Record, NAME, st.just(wire.A), st.integers(0, 1 << 30), st.ip_addresses(v=4).map(str)),
    st.builds(
        Record,
        NAME,
        st.just(wire.AAAA),
        st.integers(0, 1 << 30),
        # IPv4-mapped ones have two spellings, and the libraries do not agree on one
        st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str),
    ),
    st.builds(Record, NAME, st.sampled_from([wire.CNAME, wire.PTR]), st.just(5), NAME),
    st.builds(Record, NAME, st.just(wire.SRV), st.just(5), NAME.map(lambda name: f"0 100 443 {name}")),
    st.builds(Record, NAME, st.just(wire.SOA), st.just(5), NAME.map(lambda name: f"ns.{name} admin.{name} 1 2 3 4 5")),
)


@given(NAME, st.lists(RECORDS, max_size=6), st.booleans())
def test_what_is_packed_is_what_the_library_reads(name: str, records: list[Record], edns: bool) -> None:
    data = query(name, use_edns=0 if edns else -1)
    packed = wire.pack_answer(data, wire.parse_question(data), wire.NOERROR, answers=records)
    message = dns.message.from_wire(packed)
    assert dns.message.from_wire(data).is_response(message)
    read = {
        (_text(rrset.name), int(rrset.rdtype), rdata.to_text().replace(". ", " ").rstrip(".").lower())
        for rrset in message.answer
        for rdata in rrset
    }
    # Of CNAME and SOA the library keeps one record a name.
    single = (wire.CNAME, wire.SOA)
    assert read <= {(r.name, r.type, r.data) for r in records}
    assert {r for r in read if r[1] not in single} == {
        (r.name, r.type, r.data) for r in records if r.type not in single
    }
    assert {r[:2] for r in read} == {(r.name, r.type) for r in records}
    assert wire.parse_foreign(packed).ttl_offsets or not records


@given(st.binary(max_size=80))
def test_nothing_that_arrives_breaks_the_reader(data: bytes) -> None:
    for read in (wire.parse_question, wire.parse_foreign):
        try:
            read(data)
        except (Malformed, IndexError):
            continue


@given(NAME, st.data())
def test_nor_does_a_damaged_message(name: str, data: st.DataObject) -> None:
    raw = bytearray(query(name, use_edns=0))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        question = wire.parse_question(bytes(raw))
    except (Malformed, IndexError):
        return
    wire.pack_answer(bytes(raw), question, wire.NXDOMAIN)


def test_time_passes_for_answers_of_others() -> None:
    data = query("example.com.")
    packed = wire.pack_answer(
        data, wire.parse_question(data), 0, answers=[Record("example.com", wire.A, 60, "192.0.2.1")]
    )
    facts = wire.parse_foreign(packed)
    assert facts.ttl == 60
    aged = dns.message.from_wire(wire.aged(packed, facts.ttl_offsets, 20))
    assert aged.answer[0].ttl == 40


def test_an_answer_that_there_is_nothing_is_kept_as_long_as_its_soa_says() -> None:
    data = query("nothing.example.com.")
    soa = Record("example.com", wire.SOA, 3600, "ns.example.com admin.example.com 1 2 3 4 7")
    assert wire.parse_foreign(wire.pack_answer(data, wire.parse_question(data), 3, authority=[soa])).ttl == 7


def test_a_truncated_answer_says_so() -> None:
    data = query("web.")
    message = dns.message.from_wire(wire.truncated(data, wire.parse_question(data)))
    assert message.flags & dns.flags.TC
    assert not message.answer


def test_an_error_about_something_unreadable() -> None:
    message = dns.message.from_wire(wire.bare_error(query("web."), wire.FORMERR))
    assert message.rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".".join(["abcdefgh"] * 40)])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Malformed):
        wire.encode_name(name)
