from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minik.agent.proxy.apply import stale_after_change, stale_after_load
from minik.agent.proxy.conntrack import Flow
from minik.agent.proxy.rules import Frontend, HostPort, Point, Target, host_port_frontends, service_frontends
from minik.agent.proxy.ruleset import Ruleset, desired, diff, full, render
from tests.support.services import NODE, endpoint, service, slice_of


def one(svc: dict[str, Any], *slices: dict[str, Any]) -> dict[Point, Frontend]:
    return {frontend.point: frontend for frontend in service_frontends(svc, slices, NODE)}


VIP = Point("svc", "10.96.0.20", "tcp", 80)


def test_a_service_goes_to_its_ready_endpoints() -> None:
    rows = [endpoint("10.244.1.5", ready=True), endpoint("10.244.2.5", node="n2"), endpoint("10.244.2.6", ready=False)]
    assert one(service("web", "10.96.0.20"), slice_of("web", rows)) == {
        VIP: Frontend(VIP, (Target("10.244.1.5", 8080), Target("10.244.2.5", 8080)))
    }


def test_endpoints_that_terminate_serve_when_there_are_no_others() -> None:
    going = endpoint("10.244.1.5", ready=False, serving=True, terminating=True)
    gone = endpoint("10.244.1.6", ready=False, serving=False, terminating=True)
    assert one(service("web", "10.96.0.20"), slice_of("web", [going, gone]))[VIP].targets == (
        Target("10.244.1.5", 8080),
    )
    fresh = endpoint("10.244.1.7")
    assert one(service("web", "10.96.0.20"), slice_of("web", [going, fresh]))[VIP].targets == (
        Target("10.244.1.7", 8080),
    )


def test_without_endpoints_a_service_address_needs_no_rule_and_an_external_one_is_refused() -> None:
    external = Point("svc", "203.0.113.7", "tcp", 80)
    svc = service("web", "10.96.0.20", type="NodePort", nodePort=30080, externalIPs=["203.0.113.7"])
    assert one(svc) == {external: Frontend(external, verdict="reject")}


def test_policy_local_inside() -> None:
    svc = service("web", "10.96.0.20", internalTrafficPolicy="Local")
    here, there = endpoint("10.244.1.5"), endpoint("10.244.2.5", node="n2")
    assert one(svc, slice_of("web", [here, there]))[VIP].targets == (Target("10.244.1.5", 8080),)
    assert one(svc, slice_of("web", [there]))[VIP].verdict == "drop"


def test_policy_local_outside_keeps_the_client_and_leaves_clients_of_the_cluster_alone() -> None:
    svc = service("web", "10.96.0.20", type="NodePort", nodePort=30080, externalTrafficPolicy="Local")
    here, there = endpoint("10.244.1.5"), endpoint("10.244.2.5", node="n2")
    inside, outside = Point("nport", "", "tcp", 30080), Point("nportx", "", "tcp", 30080)
    both = one(svc, slice_of("web", [here, there]))
    assert len(both[inside].targets) == len(both[VIP].targets) == 2
    assert both[outside] == Frontend(outside, (Target("10.244.1.5", 8080),), keep_source=True)
    assert one(svc, slice_of("web", [there]))[outside].verdict == "drop"


def test_ports_are_matched_by_name_and_protocol() -> None:
    svc = service(
        "dns",
        "10.96.0.53",
        ports=[{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "protocol": "TCP"}],
    )
    rows = slice_of("dns", ["10.244.1.5"])
    rows["ports"] = [{"name": "a", "port": 5300, "protocol": "UDP"}, {"name": "b", "port": 5301, "protocol": "TCP"}]
    found = one(svc, rows)
    assert found[Point("svc", "10.96.0.53", "udp", 53)].targets == (Target("10.244.1.5", 5300),)
    assert found[Point("svc", "10.96.0.53", "tcp", 53)].targets == (Target("10.244.1.5", 5301),)


def test_the_address_of_the_cluster_dns_is_left_to_the_node_until_somebody_serves_it() -> None:
    svc = service("kube-dns", "10.96.0.10", port=53, protocol="UDP", internalTrafficPolicy="Local")
    assert one(svc) == {}
    assert len(one(svc, slice_of("kube-dns", ["10.244.1.5"], protocol="UDP"))) == 1


def test_services_that_are_not_ours() -> None:
    rows = slice_of("web", ["10.244.1.5"])
    assert one(service("web", "None"), rows) == {}
    assert one(service("web", "", type="ExternalName", externalName="example.com"), rows) == {}
    foreign = service("web", "10.96.0.20")
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    assert one(foreign, rows) == {}
    assert one(service("web", "fd00::1"), rows) == {}


def test_host_ports() -> None:
    target = Target("10.244.1.5", 80)
    ports = [
        HostPort("tcp", 8080, target),
        HostPort("udp", 53, target, "192.0.2.1"),
        HostPort("tcp", 1, target, "127.0.0.1"),
    ]
    points = [(f.point, f.keep_source) for f in host_port_frontends(ports)]
    assert points == [(Point("nport", "", "tcp", 8080), True), (Point("svc", "192.0.2.1", "udp", 53), True)]


def test_the_commands_of_a_change() -> None:
    old = render(service_frontends(service("web", "10.96.0.20"), [slice_of("web", ["10.244.1.5"])], NODE))
    new = render(service_frontends(service("web", "10.96.0.20"), [slice_of("web", ["10.244.1.6", "10.244.1.5"])], NODE))
    assert diff(old, new, NODE).splitlines() == [
        "add chain ip minik svc-tcp-any-2 { ip saddr != 10.244.0.0/16 meta mark set meta mark or 0x4000; "
        "dnat ip addr . port to ip daddr . tcp dport . numgen random mod 2 map @ep-tcp; }",
        "delete element ip minik svc { 10.96.0.20 . tcp . 80 }",
        "add element ip minik ep-tcp { 10.96.0.20 . 80 . 1 : 10.244.1.6 . 8080 }",
        "add element ip minik svc { 10.96.0.20 . tcp . 80 : goto svc-tcp-any-2 }",
    ]
    assert diff(new, new, NODE) == ""
    assert full(new, NODE).startswith("table ip minik {}\ndelete table ip minik\n")


def test_who_may_come_to_a_load_balancer() -> None:
    """Only those networks, and only where the balancer is asked: neither the cluster's own address nor node ports are guarded."""
    spec: Any = {"type": "LoadBalancer", "nodePort": 30080, "externalIPs": ["203.0.113.7"]}
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}}}

    def guarded(*ranges: str) -> tuple[set[str], set[str]]:
        svc = {**service("web", "10.96.0.20", loadBalancerSourceRanges=list(ranges), **spec), **given}
        elements = render(service_frontends(svc, [slice_of("web", ["10.244.1.5"])], NODE)).elements
        return set(elements.get("guarded", ())), set(elements.get("allowed", ()))

    point = "203.0.113.8 . tcp . 80"
    assert guarded("192.0.2.0/25", "192.0.2.128/25 ", "192.0.2.7/32", "2001:db8::/32") == (
        {point},
        {f"{point} . 192.0.2.0/24"},
    )
    assert guarded("2001:db8::/32") == ({point}, set()), "nobody of this family"
    assert guarded() == guarded("0.0.0.0/0", "10.0.0.0/8") == (set(), set())


def test_the_first_service_has_a_point_that_two_claim() -> None:
    a = service("a", "10.96.0.1", externalIPs=["203.0.113.7"]), [slice_of("a", ["10.244.1.5"])]
    b = service("b", "10.96.0.2", externalIPs=["203.0.113.7"]), [slice_of("b", ["10.244.1.6"])]
    assert desired([a, b], NODE).elements["ep-tcp"]["203.0.113.7 . 80 . 0"] == "10.244.1.5 . 8080"


_targets = st.lists(st.builds(Target, st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.just(80)), unique=True)
_frontends = st.lists(
    st.builds(
        Frontend,
        st.builds(
            Point,
            st.just("svc"),
            st.sampled_from(["10.96.0.1", "10.96.0.2"]),
            st.sampled_from(["tcp", "udp"]),
            st.just(80),
        ),
        _targets.map(tuple).filter(bool),
        sticky=st.booleans(),
    ),
    unique_by=lambda frontend: frontend.point,
)


@given(_frontends, _frontends)
def test_a_change_leads_from_one_to_the_other(before: list[Frontend], after: list[Frontend]) -> None:
    old, new = render(before), render(after)
    state = {(name, key): value for name, of in old.elements.items() for key, value in of.items()}
    for line in diff(old, new, NODE).splitlines():
        verb, what, _, _, name, *_ = line.split(" ")
        items = line[line.index("{") + 2 : line.rindex("}") - 1]
        if what == "element" and verb == "delete":
            for key in items.split(", "):
                del state[name, key]
        elif what == "element":
            for item in items.split(", "):
                key, _, value = item.partition(" : ")
                assert (name, key) not in state
                state[name, key] = value
    assert state == {(name, key): value for name, of in new.elements.items() for key, value in of.items()}


def test_an_empty_ruleset_is_a_skeleton() -> None:
    assert "add element" not in full(Ruleset(), NODE)


POINT = Point("svc", "10.96.0.53", "udp", 53)
A, B = Target("10.244.1.5", 5300), Target("10.244.1.6", 5300)


def flow(target: Target | None) -> Flow:
    return Flow("10.96.0.53", 53, *(target or ("10.96.0.53", 53)))


def test_which_udp_flows_a_change_makes_stale() -> None:
    lost = stale_after_change([Frontend(POINT, (A, B))], [Frontend(POINT, (B,))])
    assert lost is not None
    assert [lost(flow(t)) for t in (A, B, None)] == [True, False, False]
    first = stale_after_change([], [Frontend(POINT, (A,))])
    assert first is not None
    assert [first(flow(t)) for t in (A, B, None)] == [False, False, True]
    assert stale_after_change([Frontend(POINT, (A,))], [Frontend(POINT, (A, B))]) is None
    assert stale_after_change([Frontend(VIP, (A,))], []) is None


def test_flows_to_node_ports_are_known_by_the_port_alone() -> None:
    point = Point("nport", "", "udp", 30053)
    lost = stale_after_change([Frontend(point, (A,))], [])
    assert lost is not None
    assert lost(Flow("192.0.2.1", 30053, *A))
    assert not lost(Flow("192.0.2.1", 30053, *B))


def test_which_udp_flows_do_not_fit_what_was_loaded() -> None:
    stale = stale_after_load([Frontend(POINT, (A,)), Frontend(VIP, (B,))])
    assert stale is not None
    assert [stale(flow(t)) for t in (A, B, None)] == [False, True, True]
    assert not stale(Flow("192.0.2.9", 53, "192.0.2.9", 53)), "nobody's business"
    assert stale_after_load([Frontend(VIP, (B,))]) is None
