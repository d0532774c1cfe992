"""What a new node that is not ready is given."""

from __future__ import annotations

from typing import Any

import pytest

from minik.server.local import LocalTransport

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
OWN = {"key": "own", "effect": "NoExecute", "value": "x"}


@pytest.mark.parametrize(
    ("status", "taints", "expected"),
    [
        ("False", [], [NOT_READY]),
        ("Unknown", [OWN], [OWN, NOT_READY]),
        ("False", [NOT_READY], [NOT_READY]),
        ("True", [OWN], [OWN]),
        (None, [], []),
    ],
)
async def test_a_new_node_takes_no_pods_before_it_is_ready(
    api: LocalTransport, status: str | None, taints: list[Any], expected: list[Any]
) -> None:
    conditions = [{"type": "Ready", "status": status}] if status else []
    body = {"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": conditions}}
    made = await api.request("POST", "/api/v1/nodes", body=body)
    assert made["spec"].get("taints", []) == expected
