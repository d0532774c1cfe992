"""A patched status takes the rest from the stored object, checked or not anew."""

from __future__ import annotations

from typing import Any

import pytest

from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import MERGE, PODS, pod

STRATEGIC = "application/strategic-merge-patch+json"


@pytest.mark.parametrize("type_", [MERGE, STRATEGIC])
async def test_only_the_status_changes_and_the_rest_is_the_same_object(run: Running, type_: str) -> None:
    api: LocalTransport = run.local()
    before = await api.request("POST", PODS, body=pod())
    patch: dict[str, Any] = {"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}}
    after = await api.request("PATCH", f"{PODS}/web/status", body=patch, content_type=type_)
    assert after["status"]["phase"] == "Running"
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    again = await api.request("PATCH", f"{PODS}/web/status", body={"status": {"phase": "Running"}}, content_type=type_)
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"], "nothing was written"
    run.cache.verify_unchanged()
