"""Claims and volumes by stock kubectl, with simulated containers: what `get` and `wait` show, who provides volumes, and what goes
with a claim."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


def claim(name: str, **spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}


def pod(name: str, *volumes: dict[str, Any]) -> dict[str, Any]:
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    spec = {
        "containers": [{"name": "c", "image": "registry.test/a:1", "volumeMounts": mounts}],
        "volumes": list(volumes),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def of_claim(name: str) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name}}


def stateful_set(policy: str) -> dict[str, Any]:
    labels = {"app": "db"}
    template = pod("", {"name": "data"})
    del template["spec"]["volumes"]
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "replicas": 2, "serviceName": "db", "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim("x")["spec"]}],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy, "whenScaled": policy},
        },
    }  # fmt: skip


def volume_of(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.get("pvc", name)["spec"]["volumeName"])


def is_gone(kubectl: Kubectl, volume: str) -> bool:
    return f"persistentvolume/{volume}" not in kubectl("get", "pv", "-o", "name").split()


def test_a_claim_its_pod_and_its_volume(kubectl: Kubectl, namespace: str) -> None:
    """Of the default class: it waits for a pod, is on the pod's node, and goes with its claim, which a pod in use holds."""
    kubectl.apply(claim("data"))
    kubectl.eventually("Pending", "get", "pvc", "data", "-o", "jsonpath={.status.phase}")
    kubectl.apply(pod("web", of_claim("data")))
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    volume = volume_of(kubectl, "data")
    header, row = kubectl("get", "pvc").splitlines()
    assert header.split()[:7] == ["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS", "MODES", "STORAGECLASS"]
    assert row.split()[:6] == ["data", "Bound", volume, "1Gi", "RWO", "standard"]
    header, row = kubectl("get", "pv", volume).splitlines()
    columns = "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS"
    assert " ".join(header.split()).startswith(columns)
    assert row.split()[:7] == [volume, "1Gi", "RWO", "Delete", "Bound", f"{namespace}/data", "standard"]
    described = kubectl("describe", "pv", volume)
    node = kubectl.get("pod", "web")["spec"]["nodeName"]
    assert f"kubernetes.io/hostname in [{node}]" in described and "HostPath (bare host directory volume)" in described
    assert "Used By:       web" in kubectl("describe", "pvc", "data")

    kubectl("delete", "pvc", "data", "--wait=false")
    kubectl.eventually(lambda out: "Terminating" in out, "get", "pvc", "data")
    assert kubectl.get("pod", "web")["status"]["phase"] == "Running"
    kubectl("delete", "pod", "web", "--wait=false")
    kubectl("wait", "--for=delete", "pvc/data", "--timeout=60s")
    until(lambda: is_gone(kubectl, volume), "the volume gone with its claim")


def test_a_pod_waits_for_its_claim(kubectl: Kubectl) -> None:
    kubectl.apply(pod("early", of_claim("later")))
    kubectl.eventually(lambda out: 'persistentvolumeclaim "later" not found' in out, "describe", "pod", "early")
    kubectl.apply(claim("later"))
    kubectl("wait", "--for=condition=Ready", "pod/early", "--timeout=60s")


def test_an_ephemeral_volume_goes_with_its_pod(kubectl: Kubectl) -> None:
    template = {"volumeClaimTemplate": {"spec": claim("x")["spec"]}}
    kubectl.apply(pod("job", {"name": "scratch", "ephemeral": template}))
    kubectl("wait", "--for=condition=Ready", "pod/job", "--timeout=60s")
    volume = volume_of(kubectl, "job-scratch")
    kubectl("delete", "pod", "job")
    until(lambda: not kubectl.names("pvc"), "the claim gone with its pod")
    until(lambda: is_gone(kubectl, volume), "the volume gone with its claim")


def test_a_volume_of_the_administrators(kubectl: Kubectl, namespace: str) -> None:
    """No class: the claim finds it by itself, and it stays when the claim goes."""
    name = f"own-{namespace}"
    spec = {
        "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "hostPath": {"path": "/srv/own"},
        "persistentVolumeReclaimPolicy": "Retain",
    }  # fmt: skip
    labels = {"for": namespace}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels}, "spec": spec}
    )
    kubectl.apply(claim("own", storageClassName="", selector={"matchLabels": labels}))
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/own", "--timeout=60s")
    assert kubectl("get", "pvc", "own", "--no-headers").split()[:5] == ["own", "Bound", name, "2Gi", "RWO,RWX"]
    kubectl("delete", "pvc", "own")
    kubectl.eventually("Released", "get", "pv", name, "-o", "jsonpath={.status.phase}")
    kubectl("delete", "pv", name)


def test_volumes_of_a_stateful_set(kubectl: Kubectl) -> None:
    """Kept for the next pod of that name; with the retention policy Delete they go when the set shrinks or goes."""
    kubectl.apply(stateful_set("Delete"))
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    made = {name: volume_of(kubectl, name) for name in kubectl.names("pvc")}
    assert sorted(made) == ["data-db-0", "data-db-1"]
    first = kubectl.get("pod", "db-0")
    kubectl.delete_remade("pod", "db-0")
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    again = kubectl.get("pod", "db-0")
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert again["spec"]["nodeName"] == first["spec"]["nodeName"], "where its volume lies"
    assert volume_of(kubectl, "data-db-0") == made["data-db-0"]
    kubectl("scale", "statefulset", "db", "--replicas=1")
    until(lambda: kubectl.names("pvc") == ["data-db-0"], "the second claim gone")
    until(lambda: is_gone(kubectl, made["data-db-1"]), "its volume gone")
    assert not is_gone(kubectl, made["data-db-0"])
    kubectl("delete", "statefulset", "db")
    until(lambda: is_gone(kubectl, made["data-db-0"]), "the first volume gone with the set")
