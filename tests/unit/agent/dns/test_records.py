from __future__ import annotations

import pytest

from minik.agent.dns.records import Answer, Records
from minik.agent.dns.wire import AAAA, CNAME, NOERROR, NXDOMAIN, PTR, SOA, SRV, TXT, A
from tests.support.services import endpoint, key, service, slice_of

ZONE = "cluster.local"


@pytest.fixture
def records() -> Records:
    made = Records(ZONE, networks=["10.96.0.0/16", "10.244.0.0/16"])
    web = service("web", "10.96.0.20", ports=[{"name": "http", "port": 80, "protocol": "TCP"}])
    db = service("db", "None", ports=[{"name": "sql", "port": 5432, "protocol": "TCP"}])
    rows = slice_of(
        "db", [endpoint("10.244.1.5", hostname="db-0"), endpoint("10.244.1.6"), endpoint("10.244.1.7", ready=False)]
    )
    rows["ports"] = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    out = service("out", "", type="ExternalName", externalName="www.example.com.")
    alias = service("alias", "", type="ExternalName", externalName="web.default.svc.cluster.local")
    for obj in (web, db, out, alias, service("empty", "None")):
        made.update_service(key(obj), obj)
    made.update_slice(key(rows), rows)
    return made


def data(answer: Answer) -> list[str]:
    assert answer.rcode == NOERROR
    return [record.data for record in answer.answers]


def ask(records: Records, name: str, kind: int) -> Answer:
    full = f"{name}.{ZONE}" if name else ZONE
    assert records.is_ours(full)
    return records.answer(full, kind)


def test_a_service_has_its_cluster_address(records: Records) -> None:
    assert data(ask(records, "web.default.svc", A)) == ["10.96.0.20"]
    assert data(ask(records, "_http._tcp.web.default.svc", SRV)) == ["0 100 80 web.default.svc.cluster.local"]
    assert [r.data for r in ask(records, "_http._tcp.web.default.svc", SRV).additional] == ["10.96.0.20"]


def test_a_headless_service_has_its_ready_endpoints(records: Records) -> None:
    assert data(ask(records, "db.default.svc", A)) == ["10.244.1.5", "10.244.1.6"]
    assert data(ask(records, "db-0.db.default.svc", A)) == ["10.244.1.5"]
    assert data(ask(records, "10-244-1-6.db.default.svc", A)) == ["10.244.1.6"]
    srv = ask(records, "_sql._tcp.db.default.svc", SRV)
    assert data(srv) == [
        "0 50 5432 db-0.db.default.svc.cluster.local",
        "0 50 5432 10-244-1-6.db.default.svc.cluster.local",
    ]
    assert [r.data for r in srv.additional] == ["10.244.1.5", "10.244.1.6"]


def test_external_names_are_aliases(records: Records) -> None:
    outside = ask(records, "out.default.svc", A)
    assert (data(outside), outside.chase) == (["www.example.com"], "www.example.com")
    assert ask(records, "out.default.svc", CNAME).chase == ""
    assert data(ask(records, "alias.default.svc", A)) == ["web.default.svc.cluster.local", "10.96.0.20"]


def test_pods_by_address(records: Records) -> None:
    assert data(ask(records, "10-244-3-9.default.pod", A)) == ["10.244.3.9"]
    assert data(ask(records, "fd00--1.default.pod", AAAA)) == ["fd00::1"]
    assert data(ask(records, "10-244-3-9.default.pod", AAAA)) == []
    assert ask(records, "web.default.pod", A).rcode == NXDOMAIN


def test_reverse_names(records: Records) -> None:
    def names(address: str) -> list[str]:
        name = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        assert records.is_ours(name)
        answer = records.answer(name, PTR)
        return data(answer) if answer.rcode == NOERROR else [str(answer.rcode)]

    assert names("10.96.0.20") == ["web.default.svc.cluster.local"]
    assert names("10.244.1.5") == ["db-0.db.default.svc.cluster.local"]
    assert names("10.244.1.9") == [str(NXDOMAIN)]
    assert not records.is_ours("1.2.0.192.in-addr.arpa")
    assert not records.is_ours("example.com")
    assert not records.is_ours("notcluster.local")


@pytest.mark.parametrize("name", ["", "svc", "default.svc", "pod", "_tcp.web.default.svc", "web.default.svc"])
def test_names_that_exist_without_such_a_record(records: Records, name: str) -> None:
    answer = ask(records, name, AAAA)
    assert (answer.rcode, list(answer.answers)) == (NOERROR, [])
    assert [r.type for r in answer.authority] == [SOA]


@pytest.mark.parametrize(
    "name",
    ["nope.default.svc", "other.svc", "x.web.default.svc", "_https._tcp.web.default.svc", "empty.default.svc", "nope"],
)
def test_names_that_do_not_exist(records: Records, name: str) -> None:
    answer = ask(records, name, A)
    assert answer.rcode == NXDOMAIN
    assert [r.type for r in answer.authority] == [SOA]


def test_the_version_and_the_zone(records: Records) -> None:
    assert data(ask(records, "dns-version", TXT)) == ["1.1.0"]
    assert len(ask(records, "", SOA).answers) == 1


def test_everything_of_a_service_goes_with_it(records: Records) -> None:
    before = records.generation
    for name in ("web", "db", "out", "alias", "empty"):
        records.update_service(key(service(name, "")), None)
    assert records.generation > before
    assert ask(records, "web.default.svc", A).rcode == NXDOMAIN
    assert ask(records, "default.svc", A).rcode == NXDOMAIN
    assert records.answer("20.0.96.10.in-addr.arpa", PTR).rcode == NXDOMAIN


def test_what_changes_no_name_keeps_the_answers(records: Records) -> None:
    before = records.generation
    rows = slice_of("web", ["10.244.1.5"])
    records.update_slice(key(rows), rows)
    web = service(
        "web", "10.96.0.20", ports=[{"name": "http", "port": 80, "protocol": "TCP"}], sessionAffinity="ClientIP"
    )
    records.update_service(key(web), web)
    assert records.generation == before
