"""Create, delete, finalizers, namespaces, and the subresources that write."""

from __future__ import annotations

import asyncio

import pytest

from minik.api.errors import AlreadyExists, BadRequest, Conflict, Forbidden, NotFound
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import CONFIGMAPS, DEPLOYMENTS, MERGE, PODS, configmap, deployment, pod


async def bind(api: LocalTransport, name: str, node: str = "n1") -> None:
    body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
    await api.request("POST", f"{PODS}/{name}/binding", body=body)


async def test_create_fills_in_metadata(api: LocalTransport) -> None:
    made = await api.request("POST", DEPLOYMENTS, body=deployment())
    metadata = made["metadata"]
    assert metadata["uid"] and metadata["creationTimestamp"] and metadata["resourceVersion"]
    assert metadata["generation"] == 1
    assert metadata["namespace"] == "default"
    assert await api.request("GET", DEPLOYMENTS + "/web") is made


async def test_generate_name(api: LocalTransport) -> None:
    body = {"metadata": {"generateName": "web-"}, "data": {}}
    names = {(await api.request("POST", CONFIGMAPS, body=body))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


async def test_resource_version_is_refused_on_create(api: LocalTransport) -> None:
    with pytest.raises(BadRequest, match="resourceVersion should not be set on objects to be created"):
        await api.request("POST", CONFIGMAPS, body={"metadata": {"name": "a", "resourceVersion": "1"}})


async def test_generation_counts_the_spec_only(api: LocalTransport) -> None:
    await api.request("POST", DEPLOYMENTS, body=deployment())
    url = DEPLOYMENTS + "/web"
    got = await api.request("PATCH", url, body={"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
    assert got["metadata"]["generation"] == 1
    got = await api.request("PATCH", url + "/status", body={"status": {"replicas": 3}}, content_type=MERGE)
    assert (got["metadata"]["generation"], got["status"]["replicas"]) == (1, 3)
    got = await api.request("PATCH", url, body={"spec": {"replicas": 3}}, content_type=MERGE)
    assert got["metadata"]["generation"] == 2


async def test_a_pods_generation_counts_what_its_users_change(api: LocalTransport) -> None:
    """[sig-node] Pod Generation … should start at 1 and increment per update; … graceful delete: not for the node it is given."""
    await api.request("POST", PODS, body=pod())
    await bind(api, "web")
    assert (await api.request("GET", PODS + "/web"))["metadata"]["generation"] == 1
    mine = [{"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}]
    got = await api.request("PATCH", PODS + "/web", body={"spec": {"tolerations": mine}}, content_type=MERGE)
    assert [t["key"] for t in got["spec"]["tolerations"]] == [
        "foo", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
    ], "those of every pod come back by themselves"  # fmt: skip
    assert got["metadata"]["generation"] == 2
    deadline = {"spec": {"activeDeadlineSeconds": 5000}}
    got = await api.request("PATCH", PODS + "/web", body=deadline, content_type=MERGE)
    assert got["metadata"]["generation"] == 3
    got = await api.request("PATCH", PODS + "/web", body={"metadata": {"generation": 1}}, content_type=MERGE)
    assert got["metadata"]["generation"] == 3
    assert (await api.request("DELETE", PODS + "/web"))["metadata"]["generation"] == 4


async def test_status_and_spec_keep_apart(api: LocalTransport) -> None:
    await api.request("POST", DEPLOYMENTS, body=deployment())
    both = {"spec": {"replicas": 7}, "status": {"replicas": 5}}
    got = await api.request("PATCH", DEPLOYMENTS + "/web", body=both, content_type=MERGE)
    assert (got["spec"]["replicas"], got["status"].get("replicas")) == (7, None)
    got = await api.request(
        "PATCH", DEPLOYMENTS + "/web/status", body=both | {"spec": {"replicas": 9}}, content_type=MERGE
    )
    assert (got["spec"]["replicas"], got["status"]["replicas"]) == (7, 5)


async def test_concurrent_patches_all_win(api: LocalTransport) -> None:
    await api.request("POST", CONFIGMAPS, body=configmap())
    await asyncio.gather(
        *(api.request("PATCH", CONFIGMAPS + "/c", body={"data": {f"k{i}": "v"}}, content_type=MERGE) for i in range(20))
    )
    got = await api.request("GET", CONFIGMAPS + "/c")
    assert len(got["data"]) == 20


async def test_one_of_concurrent_puts_wins(api: LocalTransport) -> None:
    made = await api.request("POST", CONFIGMAPS, body=configmap())
    bodies = [{"metadata": dict(made["metadata"]), "data": {"n": str(i)}} for i in range(5)]
    results = await asyncio.gather(
        *(api.request("PUT", CONFIGMAPS + "/c", body=body) for body in bodies), return_exceptions=True
    )
    assert sum(isinstance(r, Conflict) for r in results) == 4


async def test_concurrent_creates_of_one_name(api: LocalTransport) -> None:
    results = await asyncio.gather(
        *(api.request("POST", CONFIGMAPS, body=configmap()) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(r, AlreadyExists) for r in results) == 4


async def test_delete_at_once(api: LocalTransport) -> None:
    made = await api.request("POST", CONFIGMAPS, body=configmap())
    got = await api.request("DELETE", CONFIGMAPS + "/c")
    assert got["details"] == {"name": "c", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    with pytest.raises(NotFound):
        await api.request("GET", CONFIGMAPS + "/c")


async def test_delete_preconditions(api: LocalTransport) -> None:
    await api.request("POST", CONFIGMAPS, body=configmap())
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: nope"):
        await api.request("DELETE", CONFIGMAPS + "/c", body={"preconditions": {"uid": "nope"}})


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_policies(api: LocalTransport, policy: str, finalizer: str) -> None:
    await api.request("POST", DEPLOYMENTS, body=deployment())
    got = await api.request("DELETE", DEPLOYMENTS + "/web", body={"propagationPolicy": policy})
    assert got["metadata"]["finalizers"] == [finalizer]
    assert got["metadata"]["deletionTimestamp"]
    got = await api.request("PATCH", DEPLOYMENTS + "/web", body={"metadata": {"finalizers": None}}, content_type=MERGE)
    assert got["metadata"].get("finalizers") is None
    with pytest.raises(NotFound):
        await api.request("GET", DEPLOYMENTS + "/web")


async def test_finalizers_hold_an_object(api: LocalTransport) -> None:
    await api.request("POST", CONFIGMAPS, body={"metadata": {"name": "c", "finalizers": ["example.com/x"]}})
    first = await api.request("DELETE", CONFIGMAPS + "/c")
    again = await api.request("DELETE", CONFIGMAPS + "/c")
    assert first["metadata"]["deletionTimestamp"] == again["metadata"]["deletionTimestamp"]
    last = await api.request("PUT", CONFIGMAPS + "/c", body={"metadata": {"name": "c"}})
    gone = int(again["metadata"]["resourceVersion"]) + 1
    assert int(last["metadata"]["resourceVersion"]) == gone, (
        "the deletion's revision: who sent it can wait until it is seen"
    )
    with pytest.raises(NotFound):
        await api.request("GET", CONFIGMAPS + "/c")


async def test_pod_grace(api: LocalTransport) -> None:
    await api.request("POST", PODS, body=pod("unscheduled"))
    await api.request("DELETE", PODS + "/unscheduled")
    with pytest.raises(NotFound):
        await api.request("GET", PODS + "/unscheduled")
    await api.request("POST", PODS, body=pod())
    await bind(api, "web")
    got = await api.request("DELETE", PODS + "/web")
    assert got["metadata"]["deletionGracePeriodSeconds"] == 30
    got = await api.request("DELETE", PODS + "/web", body={"gracePeriodSeconds": 5})
    assert got["metadata"]["deletionGracePeriodSeconds"] == 5
    got = await api.request("DELETE", PODS + "/web", body={"gracePeriodSeconds": 60})
    assert got["metadata"]["deletionGracePeriodSeconds"] == 5
    await api.request("DELETE", PODS + "/web", body={"gracePeriodSeconds": 0})
    with pytest.raises(NotFound):
        await api.request("GET", PODS + "/web")


async def test_binding(api: LocalTransport) -> None:
    await api.request("POST", PODS, body=pod())
    await bind(api, "web")
    got = await api.request("GET", PODS + "/web")
    assert got["spec"]["nodeName"] == "n1"
    assert {c["type"]: c["status"] for c in got["status"]["conditions"]} == {"PodScheduled": "True"}
    with pytest.raises(Conflict, match='pod web is already assigned to node "n1"'):
        await bind(api, "web", "n2")
    body = {"metadata": {"name": "b2"}, "target": {"name": "n1"}}
    await api.request("POST", PODS, body=pod("b2"))
    await api.request("POST", "/api/v1/namespaces/default/bindings", body=body)
    assert (await api.request("GET", PODS + "/b2"))["spec"]["nodeName"] == "n1"


async def test_eviction(api: LocalTransport) -> None:
    await api.request("POST", PODS, body=pod())
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web", "namespace": "default"}}
    got = await api.request("POST", PODS + "/web/eviction", body=body)
    assert got["status"] == "Success"
    with pytest.raises(NotFound):
        await api.request("GET", PODS + "/web")


async def test_scale(api: LocalTransport) -> None:
    made = await api.request("POST", DEPLOYMENTS, body=deployment(replicas=2))
    scale = await api.request("GET", DEPLOYMENTS + "/web/scale")
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    assert scale["metadata"]["uid"] == made["metadata"]["uid"]
    got = await api.request("PATCH", DEPLOYMENTS + "/web/scale", body={"spec": {"replicas": 5}}, content_type=MERGE)
    assert got["spec"] == {"replicas": 5}
    full = await api.request("GET", DEPLOYMENTS + "/web")
    assert (full["spec"]["replicas"], full["metadata"]["generation"]) == (5, 2)
    with pytest.raises(Conflict):
        await api.request("PUT", DEPLOYMENTS + "/web/scale", body=dict(scale))


async def test_namespace_goes_when_finalized(api: LocalTransport) -> None:
    url = "/api/v1/namespaces/x"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "x"}})
    await api.request("POST", url + "/configmaps", body=configmap())
    got = await api.request("DELETE", url)
    assert got["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden, match="because it is being terminated") as refused:
        await api.request("POST", url + "/configmaps", body=configmap("d"))
    assert refused.value.details is not None
    assert refused.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await api.request("PUT", url + "/finalize", body={"metadata": {"name": "x"}, "spec": {"finalizers": []}})
    with pytest.raises(NotFound):
        await api.request("GET", url)


async def test_deletecollection(api: LocalTransport) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        await api.request("POST", CONFIGMAPS, body={"metadata": {"name": name, "labels": {"l": label}}})
    await api.request("DELETE", CONFIGMAPS, query={"labelSelector": "l=x"})
    assert [o["metadata"]["name"] for o in (await api.list(CONFIGMAPS)).items] == ["c"]


async def test_put_creates_a_lease(api: LocalTransport) -> None:
    url = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    made = await api.request("PUT", url, body={"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
    assert made["metadata"]["uid"]
    with pytest.raises(NotFound):
        await api.request("PUT", PODS + "/nope", body=pod("nope"))


async def test_ephemeral_containers(api: LocalTransport) -> None:
    await api.request("POST", PODS, body=pod())
    debug = {"name": "d", "image": "busybox", "terminationMessagePolicy": "File"}
    got = await api.request(
        "PATCH",
        PODS + "/web/ephemeralcontainers",
        body={"spec": {"ephemeralContainers": [debug]}},
        content_type="application/strategic-merge-patch+json",
    )
    assert [c["name"] for c in got["spec"]["ephemeralContainers"]] == ["d"]


async def test_the_cache_is_not_touched_by_a_refused_update(run: Running) -> None:
    api = run.local()
    await api.request("POST", DEPLOYMENTS, body=deployment())
    before = dict(await api.request("GET", DEPLOYMENTS + "/web"))
    bad = {"spec": {"replicas": -1}, "metadata": {"labels": {"a": "b"}}}
    with pytest.raises(Exception, match="must be greater than or equal to 0"):
        await api.request("PATCH", DEPLOYMENTS + "/web", body=bad, content_type=MERGE)
    assert await api.request("GET", DEPLOYMENTS + "/web") == before
