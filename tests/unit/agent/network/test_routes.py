from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from minik.agent.network.routed import interface_name
from minik.agent.network.routes import Direct, LocalLink, Overlay, Plan, overlay_mac, plan_routes

LINKS = [LocalLink(2, IPv4Network("192.0.2.0/24"))]


def node(name: str, ip: str, cidr: str) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": name}]
    if ip:
        addresses.append({"type": "InternalIP", "address": ip})
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr} if cidr else {}, "status": {"addresses": addresses}}


ME = node("me", "192.0.2.1", "10.244.0.0/24")


def test_nodes_on_the_link_directly_others_by_overlay() -> None:
    near = node("near", "192.0.2.2", "10.244.1.0/24")
    far = node("far", "198.51.100.9", "10.244.2.0/24")
    inner = IPv4Address("10.244.2.1")
    assert plan_routes([ME, near, far], "me", LINKS) == Plan(
        (Direct(IPv4Network("10.244.1.0/24"), IPv4Address("192.0.2.2"), 2),),
        (Overlay(IPv4Network("10.244.2.0/24"), IPv4Address("198.51.100.9"), inner, overlay_mac(inner)),),
    )


def test_nodes_without_range_or_address_and_nodes_of_this_host_need_no_route() -> None:
    others = [node("a", "192.0.2.2", ""), node("b", "", "10.244.1.0/24"), node("c", "192.0.2.1", "10.244.3.0/24")]
    assert plan_routes([ME, *others], "me", LINKS) == Plan()


def test_of_two_nodes_with_one_range_the_first_has_it_and_it_is_said() -> None:
    first, second = node("a", "192.0.2.2", "10.244.1.0/24"), node("b", "192.0.2.3", "10.244.1.0/24")
    plan = plan_routes([second, ME, first], "me", LINKS)
    assert [d.via for d in plan.direct] == [IPv4Address("192.0.2.2")]
    assert plan.problems == ("nodes a and b both have pods in 10.244.1.0/24",)


def test_what_cannot_be_read_is_no_node_to_reach() -> None:
    assert (
        plan_routes([ME, node("a", "fd00::1", "10.244.1.0/24"), node("b", "192.0.2.4", "nonsense")], "me", LINKS)
        == Plan()
    )


def test_interfaces_are_named_after_the_pod() -> None:
    assert interface_name("0a1b2c3d-4e5f-4000-8000-000000000000") == "mk-0a1b2c3d4e"
    assert interface_name("not-hex") == interface_name("not-hex")
    assert len(interface_name("not-hex")) == 13
