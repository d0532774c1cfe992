import pytest

from minik.agent.network.base import NetworkError, NoFreeAddress
from minik.agent.network.fake import FakeNetwork
from minik.agent.network.ipam import Ipam


def test_the_same_pod_has_the_same_address() -> None:
    ipam = Ipam("10.244.7.0/24")
    assert ipam.own == "10.244.7.1"
    assert ipam.allocate("a") == ipam.allocate("a") == "10.244.7.2"
    assert ipam.allocate("b") == "10.244.7.3"


def test_a_released_address_is_used_again_as_late_as_possible() -> None:
    ipam = Ipam("10.244.7.0/29")  # .2 to .6
    assert [ipam.allocate(uid) for uid in "abc"] == ["10.244.7.2", "10.244.7.3", "10.244.7.4"]
    ipam.release("b")
    ipam.release("a")
    assert [ipam.allocate(uid) for uid in "defg"] == ["10.244.7.5", "10.244.7.6", "10.244.7.3", "10.244.7.2"]
    with pytest.raises(NoFreeAddress):
        ipam.allocate("h")


def test_adopted_addresses_are_not_given_to_others() -> None:
    ipam = Ipam("10.244.7.0/29")
    ipam.adopt("old", "10.244.7.3")
    ipam.adopt("old", "10.244.7.3")
    assert ipam.allocate("old") == "10.244.7.3"
    assert [ipam.allocate(uid) for uid in "abcd"] == ["10.244.7.2", "10.244.7.4", "10.244.7.5", "10.244.7.6"]
    ipam.release("old")
    assert ipam.allocate("e") == "10.244.7.3"


def test_an_address_two_pods_claim_is_free_when_both_are_gone() -> None:
    ipam = Ipam("10.244.7.0/29")
    ipam.adopt("dead", "10.244.7.2")
    ipam.adopt("alive", "10.244.7.2")
    ipam.release("dead")
    assert [ipam.allocate(uid) for uid in "abcd"] == ["10.244.7.3", "10.244.7.4", "10.244.7.5", "10.244.7.6"]
    ipam.release("alive")
    assert ipam.allocate("e") == "10.244.7.2"


def test_an_address_of_an_earlier_range_is_kept_but_never_given_out() -> None:
    ipam = Ipam("10.244.7.0/29")
    ipam.adopt("old", "10.244.9.9")
    assert dict(ipam.addresses()) == {"old": "10.244.9.9"}
    ipam.release("old")
    assert {ipam.allocate(uid) for uid in "abcde"} == {f"10.244.7.{n}" for n in range(2, 7)}


@pytest.mark.parametrize("cidr", ["nonsense", "10.0.0.1/24", "10.0.0.0/31"])
def test_a_range_without_room_is_refused(cidr: str) -> None:
    with pytest.raises(NetworkError):
        Ipam(cidr)


async def test_the_fake_network_has_addresses_and_says_that_it_has_no_sockets() -> None:
    network = FakeNetwork()
    with pytest.raises(NetworkError):
        network.allocate("a")
    await network.start(node_name="n", pod_cidr="10.244.7.0/24", node_ip="10.0.0.1")
    address = network.allocate("a")
    await network.attach("a", address, 1)
    assert await network.attached() == {"a": address}
    with pytest.raises(NetworkError, match="simulated"):
        network.socket(1, 2, 1)
    await network.detach("a")
    await network.detach("a")
    assert await network.attached() == {}


def test_a_new_sandbox_gets_no_address_of_a_range_that_the_node_had_before() -> None:
    """Its Node was deleted and made anew: the old range may be another node's now."""
    ipam = Ipam("10.244.7.0/24")
    ipam.adopt("old", "10.244.9.9")
    assert ipam.allocate("old") == "10.244.7.2" == ipam.allocate("old")
    assert dict(ipam.addresses()) == {"old": "10.244.7.2"}
