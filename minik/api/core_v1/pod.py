"""Pod, core/v1."""

from __future__ import annotations

from minik.api.core_v1 import pod_columns, pods
from minik.api.kind import Kind, Subresource, status_of
from minik.api.meta import ROObj


def grace_seconds(pod: ROObj, asked: int | None) -> int:
    """The grace period of a deletion: none for a pod that is finished or was never scheduled (podStrategy.CheckGracefulDelete)."""
    if not pods.is_scheduled(pod) or pods.is_finished(pod):
        return 0
    grace = asked
    if grace is None:
        grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    if grace is None:
        return 0
    return 1 if grace < 0 else grace


def _spec(pod: ROObj, field: str) -> str:
    return (pod.get("spec") or {}).get(field) or ""


def _status(pod: ROObj, field: str) -> str:
    return (pod.get("status") or {}).get(field) or ""


CONNECT = ("create", "get")

KIND = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    namespaced=True,
    schema="io.k8s.api.core.v1.Pod",
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource(name="attach", kind="PodAttachOptions", verbs=CONNECT),
        Subresource(name="binding", kind="Binding", verbs=("create",)),
        Subresource(name="ephemeralcontainers", kind="Pod"),
        Subresource(name="eviction", kind="Eviction", group="policy", version="v1", verbs=("create",)),
        Subresource(name="exec", kind="PodExecOptions", verbs=CONNECT),
        Subresource(name="log", kind="Pod", verbs=("get",)),
        Subresource(name="portforward", kind="PodPortForwardOptions", verbs=CONNECT),
        Subresource(name="resize", kind="Pod"),
        status_of("Pod"),
    ),
    columns=pod_columns.COLUMNS,
    fields={
        "spec.nodeName": pods.node_name,
        "spec.restartPolicy": lambda pod: _spec(pod, "restartPolicy"),
        "spec.schedulerName": lambda pod: _spec(pod, "schedulerName"),
        "spec.serviceAccountName": lambda pod: _spec(pod, "serviceAccountName"),
        "spec.hostNetwork": lambda pod: "true" if pods.is_host_network(pod) else "false",
        "status.phase": pods.phase,
        "status.podIP": lambda pod: _status(pod, "podIP"),
        "status.nominatedNodeName": lambda pod: _status(pod, "nominatedNodeName"),
    },
    grace_seconds=grace_seconds,
)
