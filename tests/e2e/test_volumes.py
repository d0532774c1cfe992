"""PersistentVolumes with real containers: data stays with the claim, is gone with it, and is where the provisioner says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import OneNode, one_node, pod, skip_without_engines, unmounted_after
from tests.e2e.test_workloads import workload
from tests.support.images import busybox_archive
from tests.support.kubectl import Kubectl
from tests.support.process import started, until
from tests.support.rig import Rig

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": "here"}
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OneNode, Kubectl, Path]]:
    """A host with minik, kubectl, and the directory in which volumes of the class `here` lie."""
    skip_without_engines()
    tmp_path = tmp_path_factory.mktemp("volumes-of-one")
    base = tmp_path / "volumes"
    with unmounted_after(tmp_path), Rig(1, images=[busybox_archive()]) as rig:
        node = one_node(rig[1], tmp_path)
        with started(node.server):
            kubectl = node.kubectl(tmp_path)
            for name, mode in (("here", "WaitForFirstConsumer"), ("at-once", "Immediate")):
                kubectl.apply({
                    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
                    "provisioner": "minik.io/node-directory", "volumeBindingMode": mode, "parameters": {"path": str(base)},
                })  # fmt: skip
            yield node, kubectl, base


def database() -> dict[str, Any]:
    """Each of its pods writes a line when it begins."""
    template = [{"metadata": {"name": "data"}, "spec": SPEC}]
    made = workload(
        "StatefulSet", "apps/v1", "db", "hostname >> /data/starts; sleep 600", replicas=1, serviceName="db",
        volumeClaimTemplates=template,
    )  # fmt: skip
    made["spec"]["template"]["spec"]["containers"][0] |= MOUNT
    made["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 1000}
    return made


def starts(kubectl: Kubectl) -> int:
    return len(kubectl("exec", "db-0", "--", "cat", "/data/starts").split())


def test_data_stays_with_its_claim_and_goes_with_it(own: tuple[OneNode, Kubectl, Path]) -> None:
    node, kubectl, base = own
    kubectl.apply(database())
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    volume = kubectl.get("pvc", "data-db-0")["spec"]["volumeName"]
    directory = base / f"{volume}_default_data-db-0"
    assert directory.is_dir() and directory.stat().st_mode & 0o777 == 0o777
    until(lambda: starts(kubectl) == 1, "the first start is written")

    kubectl.delete_remade("pod", "db-0")
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    until(lambda: starts(kubectl) == 2, "the next pod adds to what the first has written")

    node.server.kill()
    (container,) = node.docker("ps", "-q", "--filter", "label=minik.kind=container").split()
    node.docker("kill", container)
    node.server.start()
    until(lambda: kubectl.run("exec", "db-0", "--", "true").returncode == 0, "the container runs again")
    until(lambda: starts(kubectl) == 3, "and has its data")

    kubectl("delete", "pvc", "data-db-0", "--wait=false")
    kubectl("delete", "statefulset", "db")
    kubectl("wait", "--for=delete", "pvc/data-db-0", "--timeout=60s")
    kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=60s")
    assert not directory.exists() and base.is_dir()


def local(name: str, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A volume of this host that is for the claim of its name, and that claim."""
    spec: dict[str, Any] = {
        "capacity": {"storage": "1Mi"}, "accessModes": ["ReadOnlyMany"], "local": {"path": str(path)},
        "storageClassName": "", "claimRef": {"namespace": "default", "name": name},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["one"]}]}]}},
    }  # fmt: skip
    claim = {**SPEC, "accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": name}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim},
    )


def test_a_pods_own_volume_and_one_that_stays(own: tuple[OneNode, Kubectl, Path]) -> None:
    _, kubectl, base = own
    kept = base.parent / "kept"
    kept.mkdir()
    (kept / "page").write_text("was here\n")
    (kept / "other").mkdir()
    volumes = [
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": SPEC}}},
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept", "readOnly": True}},
    ]
    mounts = [
        {"name": "scratch", "mountPath": "/scratch", "subPathExpr": "a/$(NAME)"},
        {"name": "kept", "mountPath": "/kept"},
    ]
    job: Any = pod(
        "job", "cat /kept/page; touch /scratch/x; touch /kept/x; sleep 600", volumes=volumes, volumeMounts=mounts
    )
    job["spec"]["containers"][0]["env"] = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    kubectl.apply(
        *local("kept", kept),
        job,
    )
    kubectl("wait", "--for=condition=Ready", "pod/job", "--timeout=60s")
    until(lambda: "Read-only file system" in kubectl("logs", "job"), "the kept volume cannot be written")
    assert "was here" in kubectl("logs", "job")
    (scratch,) = base.iterdir()
    assert [str(path.relative_to(scratch)) for path in sorted(scratch.rglob("*"))] == ["a", "a/job", "a/job/x"]
    kubectl("delete", "pod", "job")
    until(lambda: not list(base.iterdir()), "the pod's own volume goes with it")
    kubectl("delete", "pvc", "kept")
    assert (kept / "page").read_text() == "was here\n"


def test_a_volume_that_this_node_does_not_have(own: tuple[OneNode, Kubectl, Path]) -> None:
    _, kubectl, base = own
    volume, claim = local("odd", base)
    del volume["spec"]["local"]
    volume["spec"]["nfs"] = {"server": "nfs.test", "path": "/"}
    kubectl.apply(
        volume,
        claim,
        pod("waits", "true", volumes=[{"name": "odd", "persistentVolumeClaim": {"claimName": "odd"}}]),
    )
    kubectl.eventually(lambda out: "no volumes of type nfs" in out, "describe", "pod", "waits")
    (status,) = kubectl.get("pod", "waits")["status"]["containerStatuses"]
    assert status["state"]["waiting"]["reason"] == "ContainerCreating", json.dumps(status)


def test_a_pod_on_its_node_waits_for_its_claim(own: tuple[OneNode, Kubectl, Path]) -> None:
    """It goes on as soon as the claim is bound: nobody else tells its node."""
    _, kubectl, base = own
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "later"}}]
    early = pod("early", "touch /data/x && sleep 600", nodeName="one", volumes=volumes, **MOUNT)
    kubectl.apply(early)
    kubectl.eventually(lambda out: 'persistentvolumeclaim "later" not found' in out, "describe", "pod", "early")
    spec = {**SPEC, "storageClassName": "at-once"}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "later"}, "spec": spec})
    kubectl("wait", "--for=condition=Ready", "pod/early", "--timeout=60s")
    volume = kubectl.get("pvc", "later")["spec"]["volumeName"]
    until(lambda: (base / f"{volume}_default_later" / "x").exists(), "it has its volume")
    kubectl("delete", "pod", "early")
    kubectl("delete", "pvc", "later")
    kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=60s")
    assert not list(base.iterdir())
