"""Pod, core/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.core_v1 import pod_columns, pods
from minik.api.core_v1.pod_defaults import default_pod
from minik.api.core_v1.pod_label_keys import merge_label_keys
from minik.api.errors import FieldError
from minik.api.kind import Kind, Subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation_names import dns_label
from minik.api.validation_pod import validate_pod, validate_pod_create
from minik.api.validation_pod_update import validate_pod_status, validate_pod_update


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


def prepare_create(pod: Obj) -> None:
    """A new pod is Pending; its quality of service and the selectors of its scheduling rules are settled for good."""
    merge_label_keys(pod)
    status: Obj = {"phase": "Pending", "qosClass": pods.qos_class(pod)}
    if (pod.get("spec") or {}).get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "observedGeneration": 1,
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    pod["status"] = status


def validate(pod: ROObj) -> Sequence[FieldError]:
    errors = validate_pod(pod)
    if not pod["metadata"].get("resourceVersion"):
        errors += validate_pod_create(pod)
    return errors


def warnings(pod: ROObj) -> Sequence[str]:
    """What is allowed but seldom meant (kubernetes `pkg/api/pod/warnings.go`)."""
    name = pod["metadata"].get("name") or ""
    if len(name) > 63 or "." in name:
        return [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is"
            f" recommended: [{', '.join(dns_label(name))}]"
        ]
    return ()


CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")

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
        Subresource(name="proxy", kind="PodProxyOptions", verbs=PROXY),
        Subresource(name="resize", kind="Pod"),
        status_of("Pod"),
    ),
    default=default_pod,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_pod_update,
    validate_status=validate_pod_status,
    warnings=warnings,
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
