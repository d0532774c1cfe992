"""What a node may do with claims and PersistentVolumes: those of its pods, and those that lie on it; no others."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.core_v1 import volumes
from minik.server.authz.node_volumes import changes_only_its_finalizer
from minik.server.request import User
from tests.support.apiserver import Running
from tests.unit.server.objects import MERGE, PODS, pod, send

N1 = User("system:node:n1", frozenset({"system:nodes", "system:authenticated"}))
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    return {"metadata": {"name": name}, "spec": spec}


def volume(name: str, *, node: str = "", of: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "finalizers": ["example.com/other", volumes.NODE_DIRECTORY]}
    if node:
        metadata["labels"] = {volumes.NODE_LABEL: node}
    ref = {"claimRef": {"namespace": "default", "name": of}} if of else {}
    spec = {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/data/{name}"}, **ref,
    }  # fmt: skip
    return {"metadata": metadata, "spec": spec}


@pytest.fixture
async def node(run: Running) -> Running:
    """Pod `web` on n1 uses claims `used` and `web-scratch`; volumes of `used`, on n1, on n2, and of nobody."""
    local = run.local()
    wanted = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "used"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim("x")["spec"]}}},
    ]
    await local.request("POST", PODS, body=pod(nodeName="n1", volumes=wanted))
    for name in ("used", "web-scratch", "other"):
        await local.request("POST", CLAIMS, body=claim(name))
    for each in (volume("of-used", of="used"), volume("mine", node="n1"), volume("theirs", node="n2"), volume("free")):
        await local.request("POST", VOLUMES, body=each)
    return run


async def code(run: Running, method: str, url: str, body: Any = None) -> int:
    response, _ = await send(run, method, url, body, content_type=MERGE if method == "PATCH" else "", user=N1)
    if response.watch is not None:
        await response.watch.source.aclose()  # type: ignore[attr-defined]
    return response.status


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{CLAIMS}/used", 200),
        (f"{CLAIMS}/web-scratch", 200),
        (f"{CLAIMS}?fieldSelector=metadata.name=used", 200),
        (f"{CLAIMS}/other", 403),
        (f"{CLAIMS}?fieldSelector=metadata.name=other", 403),
        (CLAIMS, 403),
        ("/api/v1/persistentvolumeclaims", 403),
        (f"{VOLUMES}/of-used", 200),
        (f"{VOLUMES}/mine", 200),
        (f"{VOLUMES}/theirs", 403),
        (f"{VOLUMES}/free", 403),
        (f"{VOLUMES}/none", 403),
        (VOLUMES, 403),
        (f"{VOLUMES}?labelSelector=minik.io/node=n2", 403),
        (f"{VOLUMES}?labelSelector=minik.io/node", 403),
        (f"{VOLUMES}?labelSelector=minik.io/node!=n2", 403),
        (f"{VOLUMES}?labelSelector=x&labelSelector=minik.io/node=n1", 403),
        (f"{VOLUMES}?fieldSelector=metadata.name=mine", 403),
        (f"{VOLUMES}?labelSelector=minik.io/node=n1", 200),
    ],
)
async def test_reading(node: Running, url: str, expected: int) -> None:
    assert await code(node, "GET", url) == expected


async def test_a_list_shows_only_its_own(node: Running) -> None:
    found = await node.local(N1).list(VOLUMES, query={"labelSelector": "minik.io/node=n1"})
    assert [each["metadata"]["name"] for each in found.items] == ["mine"]


async def test_it_follows_its_own_alone(node: Running) -> None:
    stream = node.local(N1).watch(VOLUMES, query={"labelSelector": "minik.io/node=n1", "resourceVersion": "0"})
    try:
        assert (await anext(stream)).object["metadata"]["name"] == "mine"
        for name, where in (("new-theirs", "n2"), ("new-free", ""), ("new-mine", "n1")):
            await node.local().request("POST", VOLUMES, body=volume(name, node=where))
        assert (await anext(stream)).object["metadata"]["name"] == "new-mine"
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_writing(node: Running) -> None:
    others = ["example.com/other", volumes.PV_PROTECTION]
    rest = {"metadata": {"finalizers": others}}
    for name in ("theirs", "of-used", "free"):
        assert await code(node, "PATCH", f"{VOLUMES}/{name}", rest) == 403
    patches: tuple[dict[str, Any], ...] = (
        {"metadata": {"labels": {volumes.NODE_LABEL: "n2"}}},
        {"metadata": {"finalizers": [volumes.NODE_DIRECTORY]}},
        {"metadata": {"finalizers": []}},
        {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
    )
    for patch in patches:
        assert await code(node, "PATCH", f"{VOLUMES}/mine", patch) == 403, patch
    assert await code(node, "DELETE", f"{VOLUMES}/mine") == 403
    assert await code(node, "DELETE", f"{VOLUMES}?labelSelector=minik.io/node=n1") == 403
    assert await code(node, "POST", VOLUMES, volume("new", node="n1")) == 403
    assert await code(node, "PATCH", f"{VOLUMES}/mine/status", {"status": {"phase": "Failed"}}) == 403
    assert await code(node, "PATCH", f"{CLAIMS}/used", {"metadata": {"labels": {"a": "b"}}}) == 403
    assert await code(node, "PATCH", f"{VOLUMES}/mine", rest) == 200
    left = await node.local().request("GET", f"{VOLUMES}/mine")
    assert left["metadata"]["finalizers"] == others


def test_a_write_of_the_finalizer_alone() -> None:
    old = volume("v", node="n1")
    new = {**old, "metadata": {**old["metadata"], "finalizers": ["example.com/other"], "resourceVersion": "9"}}
    assert changes_only_its_finalizer(old, new) and changes_only_its_finalizer(old, old)
    assert not changes_only_its_finalizer(new, old), "nor may it put it on"
    assert not changes_only_its_finalizer(old, {**new, "spec": {}})
