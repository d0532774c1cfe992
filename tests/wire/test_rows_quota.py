"""Rows of ResourceQuota: the calls of `test/e2e/apimachinery/resource_quota.go`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import IMAGE, notes

QUOTAS = "resourcequotas"
HARD = {
    "pods": "5", "services": "10", "services.nodeports": "1", "services.loadbalancers": "1", "replicationcontrollers": "10",
    "resourcequotas": "1",
    "configmaps": "10", "secrets": "10", "persistentvolumeclaims": "10", "cpu": "1", "memory": "500Mi", "ephemeral-storage": "50Gi",
    "requests.storage": "10Gi", "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "10",
    "gold.storageclass.storage.k8s.io/requests.storage": "10Gi", "requests.example.com/dongle": "3", "count/replicasets.apps": "5",
}  # fmt: skip
DONGLE = "example.com/dongle"


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    client = Client(server, namespace)
    until(lambda: client.exists("configmaps", "kube-root-ca.crt"), "the namespace's own ConfigMap")
    return client


def make(api: Client, name: str = "test-quota", hard: Obj = HARD, **spec: Any) -> Obj:
    """A quota whose use has been counted."""
    api.create(QUOTAS, {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    until(lambda: (api.get(QUOTAS, name)["status"].get("used") or {}).keys() == hard.keys(), f"{name} is counted")
    found: Obj = api.get(QUOTAS, name)
    return found


def uses(api: Client, name: str = "test-quota", **wanted: str) -> None:
    """Wait for the use; `_` in names stands for a dot."""

    def is_so() -> bool:
        used = api.get(QUOTAS, name)["status"]["used"]
        return all(used[what] == amount for what, amount in wanted.items())

    until(is_so, f"{name} uses {wanted}")


def pod(name: str, requests: Obj | None = None, limits: Obj | None = None, **spec: Any) -> Obj:
    resources = {"requests": requests or {}, "limits": limits or {}}
    container = {"name": "pause", "image": IMAGE, "resources": resources}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def gone(api: Client, name: str) -> None:
    api.delete("pods", name, {"gracePeriodSeconds": 0})


@row("ResourceQuota, object count quota, resourcequotas")
def test_a_quota_is_counted_promptly(api: Client) -> None:
    used = make(api)["status"]["used"]
    assert used["resourcequotas"] == "1" and used["configmaps"] == "1"
    assert {amount for what, amount in used.items() if what not in ("resourcequotas", "configmaps")} == {"0"}


@row("ResourceQuota, object count quota, service")
def test_services_are_counted(api: Client) -> None:
    def service(name: str, type_: str) -> Obj:
        return {"metadata": {"name": name}, "spec": {"type": type_, "ports": [{"port": 80}]}}

    make(api)
    api.create("services", service("test-service", "ClusterIP"))
    api.create("services", service("test-service-np", "NodePort"))
    refused = api.try_create("services", service("test-service-lb-not-allowed", "LoadBalancer"))
    assert (
        refused.status == 403
        and "exceeded quota: test-quota, requested: services.nodeports=1" in refused.obj["message"]
    )
    uses(api, **{"services": "2", "services.nodeports": "1", "services.loadbalancers": "0"})
    for name in ("test-service", "test-service-np"):
        api.delete("services", name)
    uses(api, **{"services": "0", "services.nodeports": "0"})


@row("ResourceQuota, object count quota, secret", "ResourceQuota, object count quota, configmap")
@pytest.mark.parametrize(("plural", "first"), [("secrets", 0), ("configmaps", 1)])
def test_secrets_and_config_maps_are_counted(api: Client, plural: str, first: int) -> None:
    make(api)
    uses(api, **{plural: str(first)})
    api.create(plural, {"metadata": {"name": "test"}})
    uses(api, **{plural: str(first + 1)})
    api.delete(plural, "test")
    uses(api, **{plural: str(first)})


@row("ResourceQuota, object count quota, pod")
def test_pods_are_counted(api: Client) -> None:
    make(api)
    requests = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", DONGLE: "2"}
    api.create("pods", pod("test-pod", requests, {DONGLE: "2"}))
    wanted = {
        "pods": "1",
        "cpu": "500m",
        "memory": "252Mi",
        "ephemeral-storage": "30Gi",
        "requests.example.com/dongle": "2",
    }
    uses(api, **wanted)
    for name, more in (
        ("fail-pod", {"cpu": "600m", "memory": "100Mi"}),
        ("fail-pod-for-extended-resource", {"cpu": "100m", "memory": "100Mi", DONGLE: "2"}),
    ):
        limits = {DONGLE: more[DONGLE]} if DONGLE in more else None
        refused = api.try_create("pods", pod(name, {"ephemeral-storage": "1Gi", **more}, limits))
        assert refused.status == 403 and "exceeded quota" in refused.obj["message"]
    changed = api.get("pods", "test-pod")
    changed["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "100m"
    assert api.try_put("pods", changed).status in (403, 422)
    uses(api, **wanted)
    gone(api, "test-pod")
    uses(api, **dict.fromkeys(wanted, "0"))


@row("ResourceQuota, object count quota, replicationController", "ResourceQuota, object count quota, replicaSet")
@pytest.mark.parametrize(
    ("plural", "counted"),
    [("replicationcontrollers", "replicationcontrollers"), ("replicasets", "count/replicasets.apps")],
)
def test_controllers_are_counted(api: Client, plural: str, counted: str) -> None:
    make(api)
    labels = {"name": "test"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": IMAGE}]}}
    selector: Obj = labels if plural == "replicationcontrollers" else {"matchLabels": labels}
    api.create(
        plural, {"metadata": {"name": "test"}, "spec": {"replicas": 0, "selector": selector, "template": template}}
    )
    uses(api, **{counted: "1"})
    api.delete(plural, "test", {"propagationPolicy": "Background"})
    uses(api, **{counted: "0"})


def test_claims_are_counted_by_class(api: Client) -> None:
    make(api)
    spec = {"storageClassName": "gold", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    api.create("persistentvolumeclaims", {"metadata": {"name": "test-claim"}, "spec": spec})
    gold = "gold.storageclass.storage.k8s.io/"
    wanted = {f"{prefix}{what}": amount for prefix in ("", gold) for what, amount in
              (("persistentvolumeclaims", "1"), ("requests.storage", "1Gi"))}  # fmt: skip
    uses(api, **wanted)
    api.delete("persistentvolumeclaims", "test-claim")
    uses(api, **dict.fromkeys(wanted, "0"))


@row(
    "ResourceQuota, quota scope, BestEffort and NotBestEffort scope",
    "ResourceQuota, quota scope, Terminating and NotTerminating scope",
)
@pytest.mark.parametrize(
    ("inside", "outside", "spec"),
    [
        ("BestEffort", "NotBestEffort", {}),
        (
            "NotBestEffort",
            "BestEffort",
            {"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "400Mi"}},
        ),
        ("Terminating", "NotTerminating", {"activeDeadlineSeconds": 3600}),
        ("NotTerminating", "Terminating", {}),
    ],
)
def test_scopes(api: Client, inside: str, outside: str, spec: Obj) -> None:
    for scope in (inside, outside):
        make(api, f"quota-{scope.lower()}", {"pods": "5"}, scopes=[scope])
    api.create("pods", pod("test-pod", **spec))
    uses(api, f"quota-{inside.lower()}", pods="1")
    uses(api, f"quota-{outside.lower()}", pods="0")
    gone(api, "test-pod")
    uses(api, f"quota-{inside.lower()}", pods="0")


@row("ResourceQuota, update and delete", "ResourceQuota, manage lifecycle of a ResourceQuota")
def test_the_life_of_a_quota(api: Client) -> None:
    make(api, "e2e-quota", {"cpu": "1", "memory": "500Mi"})
    api.change(QUOTAS, "e2e-quota", lambda obj: obj["spec"]["hard"].update(cpu="2"))
    assert api.get(QUOTAS, "e2e-quota")["spec"]["hard"] == {"cpu": "2", "memory": "500Mi"}
    api.patch(
        QUOTAS, "e2e-quota", {"metadata": {"labels": {"e2e-quota": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}}
    )
    (found,) = api.items(QUOTAS, "e2e-quota=patched", everywhere=True)
    assert found["spec"]["hard"] == {"cpu": "2", "memory": "750Mi"}
    api.delete_collection(QUOTAS, "e2e-quota=patched")
    assert not api.exists(QUOTAS, "e2e-quota")


@row("ResourceQuota, apply changes to a ResourceQuota status")
def test_a_status_that_somebody_else_wrote_is_put_right(api: Client) -> None:
    quota = make(api, "e2e-quota", {"cpu": "500m", "memory": "500Mi"})
    wrong = {"cpu": "250m", "memory": "250Mi"}
    with api.watch(QUOTAS, quota["metadata"]["resourceVersion"]) as watch:
        said = api.put(QUOTAS, {**quota, "status": {**quota["status"], "hard": wrong}}, "status")
        assert said["status"]["hard"] == wrong
        watch.until(lambda _type, obj: obj["status"]["hard"] == quota["spec"]["hard"], "the right status again")
        change = {"metadata": {"annotations": {"patched": "true"}}, "status": {"hard": {"cpu": "125m"}}}
        said = api.do("PATCH", f"{api.path(QUOTAS, 'e2e-quota')}/status", change, MERGE)
        assert notes(said)["patched"] == "true" and said["status"]["hard"]["cpu"] == "125m"
        watch.until(
            lambda _type, obj: "annotations" in obj["metadata"] and obj["status"]["hard"]["cpu"] == "500m", "and again"
        )
