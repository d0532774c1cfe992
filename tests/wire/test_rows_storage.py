"""Rows of sig-storage about API objects: the lifecycle of each kind, and the status of volumes, claims and attachments, as the conformance
tests go through them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.process import Server, until

STORAGE = "/apis/storage.k8s.io/v1"
MERGE = {"Content-Type": "application/merge-patch+json"}
CLAIM: dict[str, Any] = {
    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "row-none",
}  # fmt: skip
VOLUME: dict[str, Any] = {
    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "csi": {"driver": "row.example.com", "volumeHandle": "h"},
    "storageClassName": "row-other",
}  # fmt: skip
ATTACHMENT: dict[str, Any] = {
    "spec": {"attacher": "row.example.com", "nodeName": "row", "source": {"persistentVolumeName": "row"}}
}
KINDS: dict[str, dict[str, Any]] = {
    f"{STORAGE}/storageclasses": {"provisioner": "row.example.com"},
    f"{STORAGE}/csidrivers": {"spec": {"podInfoOnMount": True}},
    f"{STORAGE}/csinodes": {
        "spec": {"drivers": [{"name": "row.example.com", "nodeID": "1", "topologyKeys": ["zone"]}]}
    },
    f"{STORAGE}/volumeattachments": ATTACHMENT,
    f"{STORAGE}/volumeattributesclasses": {"driverName": "row.example.com", "parameters": {"iops": "500"}},
    f"{STORAGE}/namespaces/NAMESPACE/csistoragecapacities": {"storageClassName": "row", "capacity": "10Gi"},
    "/api/v1/persistentvolumes": {"spec": VOLUME},
    "/api/v1/namespaces/NAMESPACE/persistentvolumeclaims": {"spec": CLAIM},
}


class Api:
    """The API server, by hand."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def do(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.server.request(method, path, body, headers=MERGE if method == "PATCH" else {})
        assert answer.status == status, (method, path, answer.body)
        return answer.obj

    def names(self, path: str, selector: str) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.do("GET", f"{path}?labelSelector={selector}")["items"])

    def gone(self, path: str) -> None:
        until(lambda: self.server.request("GET", path).status == 404, f"{path} gone")


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server)


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.rsplit("/", 1)[1])
def test_lifecycle(path: str, api: Api, namespace: str) -> None:
    """Create, read, patch, list, delete and see it gone, create another, update, delete the collection."""
    spec = KINDS[path]
    path = path.replace("NAMESPACE", namespace)
    name, label = f"{namespace}-a", f"row={namespace}"

    def new(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {"row": namespace}}, **spec}

    made = api.do("POST", path, new(name), status=201)
    assert api.do("GET", f"{path}/{name}")["metadata"]["uid"] == made["metadata"]["uid"]
    assert (
        api.do("PATCH", f"{path}/{name}", {"metadata": {"labels": {"a": "patched"}}})["metadata"]["labels"]["a"]
        == "patched"
    )
    assert api.names(path, f"{label},a=patched") == [name]
    api.do("DELETE", f"{path}/{name}")
    api.gone(f"{path}/{name}")

    for each in (f"{namespace}-b", f"{namespace}-c"):
        api.do("POST", path, new(each), status=201)

    def updated() -> bool:
        """A controller may write at the same time."""
        current = api.do("GET", f"{path}/{namespace}-b")
        current["metadata"]["labels"]["b"] = "updated"
        return api.server.request("PUT", f"{path}/{namespace}-b", current).status == 200

    until(updated, "the update")
    assert api.names(path, f"{label},b=updated") == [f"{namespace}-b"]
    assert api.names(path, label) == [f"{namespace}-b", f"{namespace}-c"]
    api.do("DELETE", f"{path}?labelSelector={label}")
    until(lambda: api.names(path, label) == [], "the collection gone")


def test_status_of_volume_and_claim(api: Api, namespace: str) -> None:
    """PersistentVolumes(Claims), apply changes to a pv/pvc status."""
    claims, volumes = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", "/api/v1/persistentvolumes"
    claim, volume = f"{claims}/a/status", f"{volumes}/{namespace}/status"
    api.do("POST", claims, {"metadata": {"name": "a"}, "spec": CLAIM}, status=201)
    api.do("POST", volumes, {"metadata": {"name": namespace}, "spec": VOLUME}, status=201)
    until(lambda: api.do("GET", volume)["status"]["phase"] == "Available", "the volume's phase")
    assert api.do("GET", claim)["status"]["phase"] == "Pending"
    condition = {"type": "StatusPatched", "status": "True", "reason": "Row", "message": "patched"}
    said = api.do("PATCH", claim, {"status": {"conditions": [condition]}})
    assert [c["type"] for c in said["status"]["conditions"]] == ["StatusPatched"]
    assert (
        api.do("PATCH", volume, {"status": {"reason": "Row", "message": "patched"}})["status"]["message"] == "patched"
    )
    current = api.do("GET", claim)
    current["status"]["conditions"].append({"type": "StatusUpdated", "status": "True"})
    assert len(api.do("PUT", claim, current)["status"]["conditions"]) == 2
    current = api.do("GET", volume)
    current["status"] |= {"reason": "Updated", "message": "updated"}
    current["spec"]["capacity"] = {"storage": "9Gi"}
    said = api.do("PUT", volume, current)
    assert (said["status"]["reason"], said["spec"]["capacity"]) == ("Updated", {"storage": "1Gi"})
    assert api.do("GET", volume)["status"]["phase"] == "Available", "and it stays so"
    api.do("DELETE", f"{volumes}/{namespace}")


def test_status_of_attachments(api: Api, namespace: str) -> None:
    """VolumeAttachment, apply changes to a volumeattachment status."""
    path = f"{STORAGE}/volumeattachments"
    api.do("POST", path, {"metadata": {"name": namespace}, **ATTACHMENT}, status=201)
    assert api.do("GET", f"{path}/{namespace}/status")["status"]["attached"] is False
    assert api.do("PATCH", f"{path}/{namespace}/status", {"status": {"attached": True}})["status"]["attached"] is True
    current = api.do("GET", f"{path}/{namespace}/status")
    current["status"]["attached"] = False
    assert api.do("PUT", f"{path}/{namespace}/status", current)["status"]["attached"] is False
    api.do("DELETE", f"{path}/{namespace}")
    api.gone(f"{path}/{namespace}")


def test_discovery(api: Api) -> None:
    found = {each["name"]: each for each in api.do("GET", STORAGE)["resources"]}
    for path in KINDS:
        resource = path.rsplit("/", 1)[1]
        if path.startswith(STORAGE):
            verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
            assert set(found[resource]["verbs"]) == verbs
    assert found["csistoragecapacities"]["namespaced"] and "volumeattachments/status" in found


def test_what_is_filled_in(api: Api, namespace: str) -> None:
    """Defaults as upstream's, and nothing else."""
    made = api.do(
        "POST", f"{STORAGE}/storageclasses", {"metadata": {"name": namespace}, "provisioner": "x"}, status=201
    )
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")
    assert "allowVolumeExpansion" not in made
    api.do("DELETE", f"{STORAGE}/storageclasses/{namespace}")
    made = api.do("POST", f"{STORAGE}/csidrivers", {"metadata": {"name": namespace}, "spec": {}}, status=201)
    assert made["spec"] == {
        "attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "fsGroupPolicy": "ReadWriteOnceWithFSType",
        "volumeLifecycleModes": ["Persistent"], "requiresRepublish": False, "seLinuxMount": False,
    }  # fmt: skip
    api.do("DELETE", f"{STORAGE}/csidrivers/{namespace}")
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {field: value for field, value in CLAIM.items() if field != "storageClassName"}
    made = api.do("POST", path, {"metadata": {"name": "a"}, "spec": spec}, status=201)
    assert made["spec"] == {**spec, "volumeMode": "Filesystem", "storageClassName": "standard"}
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"] and made["status"] == {"phase": "Pending"}


def test_what_may_not_change(api: Api, namespace: str) -> None:
    claims, volumes = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", "/api/v1/persistentvolumes"
    api.do("POST", claims, {"metadata": {"name": "a"}, "spec": CLAIM}, status=201)
    api.do("POST", volumes, {"metadata": {"name": namespace}, "spec": VOLUME}, status=201)
    for path, spec, status, said in (
        (f"{claims}/a", {"accessModes": ["ReadOnlyMany"]}, 422, "spec is immutable after creation except resources.requests"),
        (f"{claims}/a", {"resources": {"requests": {"storage": "2Gi"}}}, 403, "Only bound persistent volume claims can be expanded"),
        (f"{volumes}/{namespace}", {"csi": {"volumeHandle": "other"}}, 422, "spec.persistentvolumesource is immutable after creation"),
        (f"{volumes}/{namespace}", {"volumeMode": "Block"}, 422, "field is immutable"),
    ):  # fmt: skip
        assert said in api.do("PATCH", path, {"spec": spec}, status=status)["message"]
    api.do("DELETE", f"{volumes}/{namespace}")
    path = f"{STORAGE}/storageclasses/standard"
    said = api.do("PATCH", path, {"provisioner": "other"}, status=422)["message"]
    assert said.endswith("provisioner: Forbidden: updates to provisioner are forbidden.")


def test_columns(api: Api) -> None:
    """As kubectl shows them; the default class says that it is."""
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = api.server.request("GET", f"{STORAGE}/storageclasses/standard", headers=accept).obj
    assert table["rows"][0]["cells"][:5] == [
        "standard (default)", "minik.io/node-directory", "Delete", "WaitForFirstConsumer", "true",
    ]  # fmt: skip
    shown = {
        "storageclasses": "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age",
        "csidrivers": "Name AttachRequired PodInfoOnMount StorageCapacity TokenRequests RequiresRepublish Modes Age",
        "csinodes": "Name Drivers Age",
        "volumeattachments": "Name Attacher PV Node Attached Age",
        "volumeattributesclasses": "Name DriverName Age",
        "csistoragecapacities": "Name StorageClassName Capacity",
    }
    for resource, names in shown.items():
        table = api.server.request("GET", f"{STORAGE}/{resource}", headers=accept).obj
        assert [each["name"] for each in table["columnDefinitions"]] == names.split()
