"""Small, valid objects for tests."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Obj:
    labels = {"kubernetes.io/hostname": name, **more.pop("labels", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}", "labels": labels},
        "spec": more,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(name: str, *, cpu: str = "", memory: str = "", owner: str = "", node_name: str = "", **spec: Any) -> Obj:
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    metadata: Obj = {"name": name, "namespace": "default", "uid": f"pod-{name}", "labels": {"app": owner or name}}
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}
        ]
    container: Obj = {"name": "c", "image": "x", **spec.pop("container", {})}
    if requests:
        container["resources"] = {"requests": requests}
    body: Obj = {"containers": [container], **spec}
    if node_name:
        body["nodeName"] = node_name
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body, "status": {"phase": "Pending"}}


def replica_set(name: str) -> Obj:
    """The owner of the pods made by `pod(..., owner=name)`, as far as a scheduler cares."""
    metadata = {"name": name, "namespace": "default", "uid": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": {"app": name}}},
    }
