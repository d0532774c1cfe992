"""Quotas as requests meet them: what counts, what is refused, in which words, at which cost."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.errors import Forbidden
from minik.api.kind import Kind
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import CONFIGMAPS, MERGE, PODS, SERVICES, STRATEGIC, configmap, pod, service

QUOTAS = "/api/v1/namespaces/default/resourcequotas"


async def quota(api: LocalTransport, name: str = "q", *, spec: dict[str, Any] | None = None, **hard: str) -> None:
    hard = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    await api.request("POST", QUOTAS, body={"metadata": {"name": name}, "spec": {"hard": hard, **(spec or {})}})


def asking(name: str, cpu: str = "", memory: str = "", *, limits: dict[str, str] | None = None, **spec: Any) -> Any:
    requests = {"cpu": cpu, "memory": memory}
    resources = {"requests": {k: v for k, v in requests.items() if v}, "limits": limits or {}}
    return pod(name, containers=[{"name": "c1", "image": "a", "resources": resources}], **spec)


async def refused(api: LocalTransport, path: str, body: Any) -> str:
    with pytest.raises(Forbidden) as error:
        await api.request("POST", path, body=body)
    return error.value.message


async def test_too_many_pods(api: LocalTransport) -> None:
    await quota(api, pods="2")
    for name in ("a", "b"):
        await api.request("POST", PODS, body=pod(name))
    assert await refused(api, PODS, pod("c")) == (
        'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'
    )
    await api.request("PATCH", PODS + "/a/status", body={"status": {"phase": "Succeeded"}}, content_type=MERGE)
    await api.request("POST", PODS, body=pod("c"))  # what has ended uses nothing


async def test_what_is_limited_must_be_said(api: LocalTransport) -> None:
    await quota(api, limits_cpu="2", requests_memory="1Gi")
    assert await refused(api, PODS, asking("a", memory="1Mi")) == (
        'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c1'
    )
    assert await refused(api, PODS, pod("a", initContainers=[{"name": "i", "image": "a"}])) == (
        'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c,i; requests.memory for: c,i'
    )
    whole = pod("a", resources={"limits": {"cpu": "1"}, "requests": {"memory": "1Mi"}})
    await api.request("POST", PODS, body=whole)
    message = await refused(api, PODS, asking("b", memory="1Gi", limits={"cpu": "1500m"}))
    assert message == (
        'pods "b" is forbidden: exceeded quota: q, requested: limits.cpu=1500m,requests.memory=1Gi, '
        "used: limits.cpu=1,requests.memory=1Mi, limited: limits.cpu=2,requests.memory=1Gi"
    )


async def test_sums_of_pods(api: LocalTransport) -> None:
    hard = {"cpu": "3", "requests.example.com/gpu": "1", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"}
    await api.request("POST", QUOTAS, body={"metadata": {"name": "q"}, "spec": {"hard": hard}})
    sidecar = {"name": "s", "image": "a", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    init = {"name": "i", "image": "a", "resources": {"requests": {"cpu": "1"}}}
    await api.request("POST", PODS, body=asking("a", "1", initContainers=[sidecar, init]))  # max(1+0.5, 1+0.5)
    message = await refused(api, PODS, asking("b", "1600m"))
    assert "requested: cpu=1600m, used: cpu=1500m, limited: cpu=3" in message
    gpu = {"example.com/gpu": "1"}
    device = {"name": "c1", "image": "a", "resources": {"limits": gpu, "requests": gpu | {"cpu": "1"}}}
    await api.request("POST", PODS, body=pod("b", containers=[device]))
    assert "requested: requests.example.com/gpu=1" in await refused(
        api, PODS, pod("c", containers=[device | {"resources": {"limits": gpu, "requests": gpu | {"cpu": "1m"}}}])
    )
    pages = {"hugepages-2Mi": "6Mi", "memory": "1Mi"}
    paged = {"name": "c1", "image": "a", "resources": {"limits": pages, "requests": pages | {"cpu": "1m"}}}
    assert "requested: hugepages-2Mi=6Mi, used: hugepages-2Mi=0" in await refused(
        api, PODS, pod("d", containers=[paged])
    )


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"scopes": ["BestEffort"]}, {}, {"cpu": "1m"}),
        ({"scopes": ["NotBestEffort"]}, {"cpu": "1m"}, {}),
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, {}),
        ({"scopes": ["NotTerminating"]}, {}, {"activeDeadlineSeconds": 5}),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]}},
            {"priorityClassName": "system-node-critical"}, {"priorityClassName": "system-cluster-critical"},
        ),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
            {}, {"priorityClassName": "system-node-critical"},
        ),
        (
            {"scopes": ["CrossNamespacePodAffinity"]},
            {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "namespaces": ["other"]}]}}},
            {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}},
        ),
    ],
)  # fmt: skip
async def test_scopes(api: LocalTransport, spec: Any, inside: Any, outside: Any) -> None:
    await quota(api, spec=spec, pods="1")
    for name in ("a", "b"):
        await api.request("POST", PODS, body=asking(name, **outside))
    await api.request("POST", PODS, body=asking("c", **inside))
    assert "exceeded quota: q" in await refused(api, PODS, asking("d", **inside))


async def test_a_pod_that_moves_into_a_scope_must_fit_there(api: LocalTransport) -> None:
    await quota(api, spec={"scopes": ["Terminating"]}, pods="1")
    for name in ("a", "b"):
        await api.request("POST", PODS, body=pod(name))
    ends = {"spec": {"activeDeadlineSeconds": 60}}
    await api.request("PATCH", PODS + "/a", body=ends, content_type=STRATEGIC)
    with pytest.raises(Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"):
        await api.request("PATCH", PODS + "/b", body=ends, content_type=STRATEGIC)


async def test_objects_of_any_kind(run: Running, api: LocalTransport) -> None:
    widgets = Kind(
        group="example.com", version="v1", kind="Widget", plural="widgets", singular="widget", namespaced=True,
        schema="io.k8s.api.core.v1.ConfigMap",
    )  # fmt: skip
    run.server.registry.add(widgets)
    await quota(api, count__configmaps="1", configmaps="9", count__widgets_example_com="1")
    await api.request("POST", CONFIGMAPS, body=configmap("a"))
    assert await refused(api, CONFIGMAPS, configmap("b")) == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, '
        "limited: count/configmaps=1"
    )
    path = "/apis/example.com/v1/namespaces/default/widgets"
    await api.request("POST", path, body={"metadata": {"name": "a"}})
    assert "count/widgets.example.com=1" in await refused(api, path, {"metadata": {"name": "b"}})
    await api.request("POST", "/api/v1/namespaces/kube-system/configmaps", body=configmap("elsewhere"))


async def test_services_that_change_their_type(api: LocalTransport) -> None:
    await quota(api, services_nodeports="1", services_loadbalancers="0")
    await api.request("POST", SERVICES, body=service("a"))
    await api.request("POST", SERVICES, body=service("b", type="NodePort"))
    for kind, name in (("NodePort", "services.nodeports"), ("LoadBalancer", "services.loadbalancers")):
        with pytest.raises(Forbidden, match=f"requested: {name}=1"):
            await api.request("PATCH", SERVICES + "/a", body={"spec": {"type": kind}}, content_type=MERGE)
    await api.request("PATCH", SERVICES + "/b", body={"spec": {"type": "ClusterIP"}}, content_type=MERGE)
    await api.request("PATCH", SERVICES + "/a", body={"spec": {"type": "NodePort"}}, content_type=MERGE)


async def test_a_resize_must_fit(api: LocalTransport) -> None:
    await quota(api, requests_cpu="2")
    await api.request("POST", PODS, body=asking("a", "1"))
    more = {"spec": {"containers": [{"name": "c1", "resources": {"requests": {"cpu": "2500m"}}}]}}
    with pytest.raises(
        Forbidden, match=r"requested: requests\.cpu=1500m, used: requests\.cpu=1, limited: requests\.cpu=2"
    ):
        await api.request("PATCH", PODS + "/a/resize", body=more, content_type=STRATEGIC)


async def test_dry_run_and_refused_writes_use_nothing(api: LocalTransport) -> None:
    await quota(api, pods="1")
    await api.request("POST", PODS, query={"dryRun": "All"}, body=pod("a"))
    with pytest.raises(Forbidden):
        await api.request("POST", PODS, body=pod("a", serviceAccountName="nobody"))
    await api.request("POST", PODS, body=pod("a"))
    assert "exceeded quota" in await refused(api, PODS, pod("b"))
    with pytest.raises(Forbidden):
        await api.request("POST", PODS, query={"dryRun": "All"}, body=pod("b"))


async def test_a_quota_that_is_over_already_holds_up_nothing_but_more(api: LocalTransport) -> None:
    for name in ("a", "b"):
        await api.request("POST", PODS, body=pod(name))
    await quota(api, pods="1")
    await api.request("PATCH", PODS + "/a", body={"metadata": {"labels": {"x": "y"}}}, content_type=MERGE)
    assert "used: pods=2, limited: pods=1" in await refused(api, PODS, pod("c"))
    await api.request("PATCH", QUOTAS + "/q", body={"spec": {"hard": {"pods": "3"}}}, content_type=MERGE)
    await api.request("POST", PODS, body=pod("c"))


async def test_a_create_does_not_look_at_the_objects_that_are_there(run: Running, monkeypatch: Any) -> None:
    """How many pods are asked what they use for one more: the new one, and it again once it is there; not the thousand others."""
    from minik.api.core_v1 import quota_tally, quotas

    api, asked = run.local(), 0
    real = quotas.usage

    def counting(*args: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        return real(*args, **more)

    await quota(api, pods="100k")
    for number in range(1000):
        await api.request("POST", PODS, body=pod(f"p{number}"))
    monkeypatch.setattr(quotas, "usage", counting)
    monkeypatch.setattr(quota_tally, "usage", counting)
    for number in range(10):
        await api.request("POST", PODS, body=pod(f"more{number}"))
    assert asked == 20


async def test_a_claim_that_grows_must_fit(api: LocalTransport) -> None:
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    class_ = {"metadata": {"name": "gold"}, "provisioner": "example.com/disk", "allowVolumeExpansion": True}
    await api.request("POST", "/apis/storage.k8s.io/v1/storageclasses", body=class_)
    hard = {"gold.storageclass.storage.k8s.io/requests.storage": "5Gi"}
    await api.request("POST", QUOTAS, body={"metadata": {"name": "q"}, "spec": {"hard": hard}})
    wanted = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gold", "volumeName": "v"}
    body = {"metadata": {"name": "a"}, "spec": {**wanted, "resources": {"requests": {"storage": "3Gi"}}}}
    await api.request("POST", claims, body=body)
    bound = {"status": {"phase": "Bound", "capacity": {"storage": "3Gi"}}}
    await api.request("PATCH", claims + "/a/status", body=bound, content_type=MERGE)
    for size, fits in (("6Gi", False), ("5Gi", True)):
        change = {"spec": {"resources": {"requests": {"storage": size}}}}
        if fits:
            await api.request("PATCH", claims + "/a", body=change, content_type=MERGE)
            continue
        with pytest.raises(
            Forbidden, match=r"requests\.storage=3Gi, used: .*requests\.storage=3Gi, limited: .*requests\.storage=5Gi"
        ):
            await api.request("PATCH", claims + "/a", body=change, content_type=MERGE)
