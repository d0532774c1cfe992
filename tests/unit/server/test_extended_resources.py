"""What a node can give away of an extended resource, when others write what it has."""

from __future__ import annotations

from typing import Any

from minik.server.local import LocalTransport
from tests.unit.server.objects import MERGE

STATUS = "/api/v1/nodes/n/status"
DONGLE = "example.com/dongle"


async def told(api: LocalTransport, **status: Any) -> dict[str, str]:
    """The node's allocatable after a patch of its status."""
    node = await api.request("PATCH", STATUS, body={"status": status}, content_type=MERGE)
    return dict(node["status"]["allocatable"])


async def test_it_follows_unless_somebody_says_how_much(api: LocalTransport) -> None:
    own = {"cpu": "4", "pods": "110"}
    await api.request(
        "POST", "/api/v1/nodes", body={"metadata": {"name": "n"}, "status": {"capacity": own, "allocatable": own}}
    )
    assert await told(api, capacity={DONGLE: "2"}) == {**own, DONGLE: "2"}
    assert await told(api, capacity={DONGLE: "5"}) == {**own, DONGLE: "5"}
    assert await told(api, capacity=own) == {**own, DONGLE: "5"}, "a heartbeat leaves it alone"
    assert await told(api, allocatable={DONGLE: "3"}) == {**own, DONGLE: "3"}, "two of them are ill"
    assert await told(api, capacity={DONGLE: "6"}) == {**own, DONGLE: "3"}
    assert await told(api, allocatable={DONGLE: None}) == {**own, DONGLE: "6"}
    assert await told(api, capacity={DONGLE: None}) == own
    assert await told(api, capacity={"cpu": "8"}) == own, "what Kubernetes knows itself is the node's to say"
    assert await told(api, capacity={DONGLE: "1"}, allocatable={DONGLE: "0"}) == {**own, DONGLE: "0"}
