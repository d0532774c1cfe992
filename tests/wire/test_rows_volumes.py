"""Rows of sig-storage about API objects: the calls of upstream's tests, in protobuf. More of these objects is in `test_rows_storage.py`."""

from __future__ import annotations

import pytest

from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import IMAGE, check_operations, check_resource, notes

LABEL = {"metadata": {"labels": {"foo": "bar"}}}
WRITTEN = {"type": "StatusUpdate", "status": "True", "reason": "E2E updateStatus", "message": "Set from e2e test"}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def check_lifecycle(api: Client, plural: str, new: Obj) -> None:
    """Create, get, patch, list by the patched label, delete; create again, update, delete the collection."""
    name = new["metadata"]["name"]
    made = api.create(plural, new)
    assert api.get(plural, name)["metadata"]["uid"] == made["metadata"]["uid"]
    patched = api.patch(plural, name, {"metadata": {"labels": {name: "patched"}}})
    assert int(patched["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert len(api.items(plural, f"{name}=patched")) == 1
    api.delete(plural, name)
    until(lambda: not api.exists(plural, name), f"{name} gone")
    api.create(plural, new)
    updated = api.change(plural, name, lambda obj: obj["metadata"].update(labels={name: "updated"}))
    assert updated["metadata"]["labels"] == {name: "updated"}
    api.delete_collection(plural, f"{name}=updated")
    until(lambda: api.items(plural, f"{name}=updated") == [], f"the collection of {name} gone")


@row("StorageClass, lifecycle")
def test_storage_classes(api: Client) -> None:
    check_lifecycle(api, "storageclasses", {
        "metadata": {"name": f"e2e-{api.namespace}"}, "provisioner": "e2e-fake-provisioner",
        "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "parameters": {"csi.storage.k8s.io/fstype": "ext4"},
    })  # fmt: skip


@row("VolumeAttributesClass, lifecycle")
def test_attributes_classes(api: Client) -> None:
    name = f"e2e-vac-{api.namespace}"
    vac = {"metadata": {"name": name}, "driverName": "e2e-fake-csi-driver", "parameters": {"foo": "bar"}}
    check_lifecycle(api, "volumeattributesclasses", vac)


@row("CSINode, lifecycle")
def test_csi_nodes(api: Client) -> None:
    name = f"e2e-csi-node-{api.namespace}"
    driver = {"name": "e2e-fake-driver", "nodeID": "e2e-node", "topologyKeys": ["topology.e2e/zone"]}
    check_lifecycle(api, "csinodes", {"metadata": {"name": name}, "spec": {"drivers": [driver]}})
    check_lifecycle(api, "csinodes", {"metadata": {"name": name}, "spec": {"drivers": []}})


def pair(api: Client) -> tuple[str, str]:
    """`CreatePVsPVCs`: the names of a volume and a claim that will be bound to it."""
    source = {"driver": f"e2e-driver-{api.namespace}", "volumeHandle": "e2e-conformance"}
    modes = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]
    volume = api.create("persistentvolumes", {
        "metadata": {
            "generateName": f"{api.namespace}-", "labels": {"e2e-pv-pool": api.namespace},
            "annotations": {"pv.beta.kubernetes.io/gid": "777"},
        },
        "spec": {
            "persistentVolumeReclaimPolicy": "Retain", "capacity": {"storage": "2Gi"}, "csi": source, "accessModes": modes,
            "storageClassName": api.namespace, "volumeMode": "Filesystem",
        },
    })  # fmt: skip
    claim = api.create("persistentvolumeclaims", {
        "metadata": {"generateName": "pvc-"},
        "spec": {
            "accessModes": modes, "resources": {"requests": {"storage": "2Gi"}}, "storageClassName": api.namespace,
            "volumeMode": "Filesystem",
        },
    })  # fmt: skip
    return volume["metadata"]["name"], claim["metadata"]["name"]


@row("PersistentVolumes(Claims), lifecycle")
def test_the_life_of_a_volume_and_its_claim(api: Client) -> None:
    pool = f"e2e-pv-pool={api.namespace}"
    for way in ("one", "collection"):
        volume, claim = pair(api)
        for plural, name, selector in (
            ("persistentvolumes", volume, pool), ("persistentvolumeclaims", claim, ""),
        ):  # fmt: skip
            [found] = api.items(plural, selector)
            if way == "one":
                patched = api.patch(plural, name, {"metadata": {"labels": {name: "patched"}}})
                assert int(patched["metadata"]["resourceVersion"]) > int(found["metadata"]["resourceVersion"])
                assert api.get(plural, name)["metadata"]["uid"] == patched["metadata"]["uid"]
                continue

            def label(obj: Obj, name: str = name) -> None:
                obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), name: "updated"}

            assert api.change(plural, name, label)["metadata"]["labels"][name] == "updated"
            assert len(api.items(plural, f"{name}=updated", everywhere=True)) == 1
        for plural, name in (("persistentvolumeclaims", claim), ("persistentvolumes", volume)):
            if way == "one":
                api.delete(plural, name)
            else:
                api.delete_collection(plural, f"{name}=updated")
            until(lambda: not api.exists(plural, name), f"{plural} {name} gone")  # noqa: B023  # waits here


@row("PersistentVolumes(Claims), apply changes to a pv/pvc status")
def test_the_status_of_a_volume_and_its_claim(api: Client) -> None:
    volume, claim = pair(api)
    assert api.get("persistentvolumeclaims", f"{claim}/status")["status"]["phase"] in ("Pending", "Bound")
    assert api.get("persistentvolumes", f"{volume}/status")["status"]["phase"] in ("Available", "Bound", "Pending")
    condition = {
        "type": "StatusPatched", "status": "True", "reason": "E2E patchedStatus", "message": "Set from e2e test",
    }  # fmt: skip
    patched = api.patch("persistentvolumeclaims", f"{claim}/status", {"status": {"conditions": [condition]}}, MERGE)
    assert condition.items() <= patched["status"]["conditions"][0].items()
    said = {"message": "StatusPatched", "reason": "E2E patchStatus"}
    assert said.items() <= api.patch("persistentvolumes", f"{volume}/status", {"status": said}, MERGE)["status"].items()

    def write(obj: Obj) -> None:
        obj["status"]["conditions"] = [*(obj["status"].get("conditions") or ()), WRITTEN]

    updated = api.change("persistentvolumeclaims", claim, write, "status")
    assert any(WRITTEN.items() <= each.items() for each in updated["status"]["conditions"])
    said = {"message": "StatusUpdated", "reason": "E2E updateStatus"}
    updated = api.change("persistentvolumes", volume, lambda obj: obj["status"].update(said), "status")
    assert said.items() <= updated["status"].items()
    until(lambda: api.get("persistentvolumeclaims", claim)["status"]["phase"] == "Bound", "the claim is bound")
    conditions = api.get("persistentvolumeclaims", claim)["status"]["conditions"]
    assert {each["type"] for each in conditions} == {"StatusPatched", "StatusUpdate"}, "and keeps what was written"


@row("CSIStorageCapacity API")
def test_storage_capacities(api: Client) -> None:
    check_operations(
        api, "csistoragecapacities", lambda name: {"metadata": {"name": name}, "storageClassName": "e2e.example.com"}
    )


def test_storage_and_attributes_classes(api: Client) -> None:
    """`conformance.TestResource` of StorageClass and VolumeAttributesClass."""
    storage = {"metadata": {}, "provisioner": "e2e-fake-provisioner", "parameters": {"foo": "bar"}}
    check_resource(api, "storageclasses", storage, {"mountOptions": ["ro", "soft"]}, LABEL)
    attributes = {"metadata": {}, "driverName": "e2e-fake-csi-driver", "parameters": {"foo": "bar"}}
    check_resource(api, "volumeattributesclasses", attributes, LABEL, LABEL)


@row("VolumeAttachment, lifecycle", "VolumeAttachment, apply changes to a volumeattachment status")
def test_volume_attachments(api: Client) -> None:
    name = f"va-{api.namespace}"
    node = api.items("nodes")[0]["metadata"]["name"]
    spec = {"attacher": "e2e-test.storage.k8s.io", "nodeName": node, "source": {"persistentVolumeName": "pv-e2e"}}
    made = api.create("volumeattachments", {
        "metadata": {"name": name, "uid": name}, "spec": spec, "status": {"attached": False},
    })  # fmt: skip
    assert made["metadata"]["uid"] != name, "the server's own"
    api.patch("volumeattachments", name, {"metadata": {"labels": {name: "patched"}}}, MERGE)
    assert len(api.items("volumeattachments", f"{name}=patched")) == 1
    assert api.get("volumeattachments", f"{name}/status")["status"]["attached"] is False
    patched = api.patch("volumeattachments", f"{name}/status", {"status": {"attached": True}}, MERGE)
    assert patched["status"]["attached"] is True
    updated = api.change("volumeattachments", name, lambda obj: obj["status"].update(attached=False), "status")
    assert updated["status"]["attached"] is False
    api.delete_collection("volumeattachments", f"{name}=patched")
    until(lambda: api.items("volumeattachments", f"{name}=patched") == [], "the attachment gone")


@row("CSIDriver, lifecycle")
def test_csi_drivers(api: Client) -> None:
    label = f"e2e-test={api.namespace}"
    names = [f"inline-driver-{number}-{api.namespace}" for number in (1, 2)]
    for name, modes in zip(names, (["Ephemeral"], ["Persistent", "Ephemeral"]), strict=True):
        spec = {"volumeLifecycleModes": modes, "fsGroupPolicy": "ReadWriteOnceWithFSType"}
        driver = {"metadata": {"name": name, "labels": {"e2e-test": api.namespace}}, "spec": spec}
        assert api.create("csidrivers", driver)["spec"]["volumeLifecycleModes"] == modes
        assert api.try_create("csidrivers", driver).obj["reason"] == "AlreadyExists"
    api.patch("csidrivers", names[1], {"metadata": {"labels": {names[1]: "patched"}}})
    api.change("csidrivers", names[1], lambda obj: obj["metadata"]["labels"].update({names[1]: "updated"}))
    assert len(api.items("csidrivers", label)) == 2
    api.delete("csidrivers", names[0])
    assert not api.exists("csidrivers", names[0])
    api.delete_collection("csidrivers", f"{names[1]}=updated")
    assert not api.exists("csidrivers", names[1])


@row("CSIInlineVolumes should support Pods with inline volumes")
def test_inline_volumes(api: Client) -> None:
    volumes: list[Obj] = [
        {"name": "csi-inline-vol1", "csi": {"driver": "e2e.example.com"}},
        {"name": "csi-inline-vol2", "csi": {"driver": "e2e.example.com", "fsType": "ext4", "readOnly": True}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/mnt/{each['name']}"} for each in volumes]
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", "ls /mnt/*"], "volumeMounts": mounts}
    obj = {"metadata": {"name": "inline"}, "spec": {"volumes": volumes, "containers": [container]}}
    made = api.create("pods", obj)
    assert [each for each in made["spec"]["volumes"] if "csi" in each] == volumes
    assert api.try_create("pods", obj).obj["reason"] == "AlreadyExists"
    assert len(api.items("pods")) == 1
    patched = api.patch("pods", "inline", {"metadata": {"annotations": {"patched": "true"}}}, MERGE)
    assert notes(patched) == {"patched": "true"}
    api.delete("pods", "inline")
    left = api.ask("GET", api.path("pods", "inline"))
    assert left.status == 404 or left.obj["metadata"]["deletionTimestamp"]
