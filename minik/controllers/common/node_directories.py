"""Volumes of the provisioner `minik.io/node-directory`: directories on a node, as Rancher's local-path provisioner makes them. Pure.

Nothing here touches a disk: the node's agent makes the directory when a pod first uses the volume, and removes it when the volume goes (it
holds the finalizer of the provisioner's name until then). Parameter of a class: `path`, the directory in which they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.core_v1 import nodes, volumes
from minik.api.meta import Obj, ROObj

BASE = "/var/lib/minik/volumes"
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class DirectoryPlan:
    """The volume to create, or why none can be."""

    volume: Obj | None = None
    problem: str = ""
    node_is_gone: bool = False


def plan_directory(claim: ROObj, storage_class: ROObj, all_nodes: Sequence[ROObj]) -> DirectoryPlan:
    """On the node that the scheduler chose, else on any that can take pods: the same one for the same claim."""
    if claim["spec"].get("volumeMode") == "Block":
        return DirectoryPlan(problem="a directory cannot be a block device")
    chosen = meta.annotations(claim).get(volumes.SELECTED_NODE, "")
    if chosen:
        node = next((each for each in all_nodes if meta.name(each) == chosen), None)
        if node is None:
            return DirectoryPlan(problem=f'node "{chosen}" not found', node_is_gone=True)
        return DirectoryPlan(new_volume(claim, storage_class, node))
    usable = [n for n in all_nodes if nodes.is_ready(n) and nodes.is_schedulable(n) and is_allowed(storage_class, n)]
    if not usable:
        return DirectoryPlan(problem="no node is ready to take the volume")
    usable.sort(key=meta.name)
    return DirectoryPlan(new_volume(claim, storage_class, usable[int(meta.uid(claim)[:8], 16) % len(usable)]))


def is_allowed(storage_class: ROObj, node: ROObj) -> bool:
    """Whether the class's `allowedTopologies` include the node."""
    terms: Sequence[Mapping[str, Any]] = storage_class.get("allowedTopologies") or ()
    labels = meta.labels(node)
    return not terms or any(
        all(labels.get(row["key"]) in row["values"] for row in term.get("matchLabelExpressions") or ())
        for term in terms
    )


def new_volume(claim: ROObj, storage_class: ROObj, node: ROObj) -> Obj:
    """Of a name that follows from the claim, so that it is not made twice."""
    name = f"pvc-{meta.uid(claim)}"
    base = (storage_class.get("parameters") or {}).get("path") or BASE
    hostname = meta.labels(node).get(HOSTNAME) or meta.name(node)
    spec: Obj = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": list(volumes.access_modes(claim)),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": meta.name(storage_class),
        "volumeMode": "Filesystem",
        "hostPath": {
            "path": f"{base.rstrip('/')}/{name}_{meta.namespace(claim)}_{meta.name(claim)}",
            "type": "DirectoryOrCreate",
        },
        "nodeAffinity": {
            "required": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [hostname]}]}]
            }
        },
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": meta.namespace(claim),
            "name": meta.name(claim),
            "uid": meta.uid(claim),
        },
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = list(storage_class["mountOptions"])
    metadata: Obj = {
        "name": name,
        "labels": {volumes.NODE_LABEL: meta.name(node)},
        "annotations": {volumes.PROVISIONED_BY: volumes.NODE_DIRECTORY},
        "finalizers": [volumes.PV_PROTECTION, volumes.NODE_DIRECTORY],
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
