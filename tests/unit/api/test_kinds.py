"""Facts about the kinds: names as discovery of Kubernetes 1.36 gives them, selectable fields, deletion, resource sums."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.builtin import BUILTIN
from minik.api.core_v1 import pods
from minik.api.schema import schema_of
from tests.unit.api.objects import REGISTRY, container, pod

DISCOVERY = """
bindings Binding - namespaced create
componentstatuses ComponentStatus cs cluster get,list
configmaps ConfigMap cm namespaced *
endpoints Endpoints ep namespaced *
events Event ev namespaced *
events.events.k8s.io Event ev namespaced *
leases.coordination.k8s.io Lease - namespaced *
namespaces Namespace ns cluster create,delete,get,list,patch,update,watch
nodes Node no cluster *
pods Pod po namespaced *
podtemplates PodTemplate - namespaced *
replicationcontrollers ReplicationController rc namespaced *
secrets Secret - namespaced *
serviceaccounts ServiceAccount sa namespaced *
services Service svc namespaced *
controllerrevisions.apps ControllerRevision - namespaced *
daemonsets.apps DaemonSet ds namespaced *
deployments.apps Deployment deploy namespaced *
replicasets.apps ReplicaSet rs namespaced *
statefulsets.apps StatefulSet sts namespaced *
limitranges LimitRange limits namespaced *
resourcequotas ResourceQuota quota namespaced *
poddisruptionbudgets.policy PodDisruptionBudget pdb namespaced *
priorityclasses.scheduling.k8s.io PriorityClass pc cluster *
horizontalpodautoscalers.autoscaling HorizontalPodAutoscaler hpa namespaced *
cronjobs.batch CronJob cj namespaced *
customresourcedefinitions.apiextensions.k8s.io CustomResourceDefinition crd,crds cluster *
apiservices.apiregistration.k8s.io APIService - cluster *
mutatingwebhookconfigurations.admissionregistration.k8s.io MutatingWebhookConfiguration - cluster *
validatingwebhookconfigurations.admissionregistration.k8s.io ValidatingWebhookConfiguration - cluster *
jobs.batch Job - namespaced *
endpointslices.discovery.k8s.io EndpointSlice - namespaced *
certificatesigningrequests.certificates.k8s.io CertificateSigningRequest csr cluster *
clusterroles.rbac.authorization.k8s.io ClusterRole - cluster *
clusterrolebindings.rbac.authorization.k8s.io ClusterRoleBinding - cluster *
roles.rbac.authorization.k8s.io Role - namespaced *
rolebindings.rbac.authorization.k8s.io RoleBinding - namespaced *
ingresses.networking.k8s.io Ingress ing namespaced *
ingressclasses.networking.k8s.io IngressClass - cluster *
ipaddresses.networking.k8s.io IPAddress ip cluster *
networkpolicies.networking.k8s.io NetworkPolicy netpol namespaced *
runtimeclasses.node.k8s.io RuntimeClass - cluster *
servicecidrs.networking.k8s.io ServiceCIDR - cluster *
deviceclasses.resource.k8s.io DeviceClass - cluster *
resourceclaims.resource.k8s.io ResourceClaim - namespaced *
resourceclaimtemplates.resource.k8s.io ResourceClaimTemplate - namespaced *
resourceslices.resource.k8s.io ResourceSlice - cluster *
persistentvolumes PersistentVolume pv cluster *
persistentvolumeclaims PersistentVolumeClaim pvc namespaced *
csidrivers.storage.k8s.io CSIDriver - cluster *
csinodes.storage.k8s.io CSINode - cluster *
csistoragecapacities.storage.k8s.io CSIStorageCapacity - namespaced *
storageclasses.storage.k8s.io StorageClass sc cluster *
volumeattachments.storage.k8s.io VolumeAttachment - cluster *
volumeattributesclasses.storage.k8s.io VolumeAttributesClass vac cluster *
flowschemas.flowcontrol.apiserver.k8s.io FlowSchema - cluster *
prioritylevelconfigurations.flowcontrol.apiserver.k8s.io PriorityLevelConfiguration - cluster *
mutatingadmissionpolicies.admissionregistration.k8s.io MutatingAdmissionPolicy - cluster *
mutatingadmissionpolicybindings.admissionregistration.k8s.io MutatingAdmissionPolicyBinding - cluster *
validatingadmissionpolicies.admissionregistration.k8s.io ValidatingAdmissionPolicy - cluster *
validatingadmissionpolicybindings.admissionregistration.k8s.io ValidatingAdmissionPolicyBinding - cluster *
nodes.metrics.k8s.io NodeMetrics - cluster get,list
pods.metrics.k8s.io PodMetrics - namespaced get,list
"""
EVERY_VERB = "create,delete,deletecollection,get,list,patch,update,watch"


def test_names_are_those_of_kubernetes() -> None:
    found = {
        f"{kind.resource} {kind.kind} {','.join(kind.short_names) or '-'} {'namespaced' if kind.namespaced else 'cluster'}"
        f" {','.join(kind.verbs)}"
        for kind in BUILTIN
    }
    assert found == {line.replace(" *", " " + EVERY_VERB) for line in DISCOVERY.strip().splitlines()}


def test_kubectl_get_all_shows_workloads_and_services() -> None:
    assert {kind.plural for kind in BUILTIN if "all" in kind.categories} == {
        "pods", "replicationcontrollers", "services", "deployments", "replicasets", "jobs", "daemonsets", "statefulsets", "cronjobs",
        "horizontalpodautoscalers",
    }  # fmt: skip


def test_every_kind_has_its_table() -> None:
    for kind in BUILTIN:
        assert schema_of(kind.schema).field("metadata") is not None


def test_empty_objects_break_no_hook_column_or_field() -> None:
    from datetime import UTC, datetime

    for kind in BUILTIN:
        obj: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}
        kind.default(obj)
        kind.prepare_create(obj)
        kind.prepare_update(obj, dict(obj))
        for check in (kind.validate, kind.warnings):
            check(obj)
        for compare in (kind.validate_update, kind.validate_status):
            compare(obj, obj)
        for column in kind.columns:
            assert isinstance(column.value(obj, datetime(2026, 1, 1, tzinfo=UTC)), (str, int)), column.name
        for getter in kind.fields.values():
            assert isinstance(getter(obj), str)


def test_selectable_fields_of_pods() -> None:
    fields = REGISTRY["pods"].fields
    manifest = pod(nodeName="n1", hostNetwork=True) | {"status": {"phase": "Running", "podIP": "10.0.0.1"}}
    assert {name: get(manifest) for name, get in fields.items() if get(manifest)} == {
        "spec.nodeName": "n1", "spec.hostNetwork": "true", "status.phase": "Running", "status.podIP": "10.0.0.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "grace"),
    [
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 5, 5),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Running", 0, 0),
        ({"nodeName": "n"}, "Running", -1, 1),
        ({"terminationGracePeriodSeconds": 30}, "Pending", 30, 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 30}, "Succeeded", 30, 0),
    ],
)
def test_grace(spec: dict[str, Any], phase: str, asked: int | None, grace: int) -> None:
    grace_seconds = REGISTRY["pods"].grace_seconds
    assert grace_seconds is not None
    assert grace_seconds(pod(**spec) | {"status": {"phase": phase}}, asked) == grace


def test_what_survives_the_process() -> None:
    assert not REGISTRY["events"].is_durable("default")
    lease = REGISTRY["leases.coordination.k8s.io"]
    assert lease.is_durable("kube-system") and not lease.is_durable("kube-node-lease")
    assert REGISTRY["pods"].is_durable("default")


def test_requests_of_a_pod() -> None:
    def asks(name: str, cpu: str, **more: Any) -> dict[str, Any]:
        return container(name, resources={"requests": {"cpu": cpu, "memory": "1Mi"}}, **more)

    manifest = pod(
        containers=[asks("a", "100m"), asks("b", "200m")],
        initContainers=[asks("i", "250m"), asks("side", "50m", restartPolicy="Always"), asks("j", "1")],
        overhead={"cpu": "10m"},
    )
    assert pods.pod_requests(manifest) == {"cpu": 1060, "memory": 3 << 20}
    assert pods.pod_requests(pod()) == {}


def test_activity_and_readiness() -> None:
    ready = pod() | {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert pods.is_ready(ready) and pods.is_active(ready) and not pods.is_finished(ready)
    going = ready | {"metadata": {**ready["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert not pods.is_active(going)
