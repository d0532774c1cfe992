"""All built-in kinds, in the order in which discovery lists groups. A new kind is added here and nowhere else."""

from __future__ import annotations

from minik.api.admissionregistration_v1 import (
    mutatingadmissionpolicy,
    mutatingadmissionpolicybinding,
    mutatingwebhookconfiguration,
    validatingadmissionpolicy,
    validatingadmissionpolicybinding,
    validatingwebhookconfiguration,
)
from minik.api.apiextensions_v1 import customresourcedefinition
from minik.api.apiregistration_v1 import apiservice
from minik.api.apps_v1 import controllerrevision, daemonset, deployment, replicaset, statefulset
from minik.api.autoscaling_v1 import horizontalpodautoscaler as autoscaling_v1
from minik.api.autoscaling_v2 import horizontalpodautoscaler as autoscaling_v2
from minik.api.batch_v1 import cronjob, job
from minik.api.certificates_v1 import certificatesigningrequest
from minik.api.coordination_v1 import lease
from minik.api.core_v1 import (
    binding,
    componentstatus,
    configmap,
    endpoints,
    event,
    limitrange,
    namespace,
    node,
    persistentvolume,
    persistentvolumeclaim,
    pod,
    podtemplate,
    replicationcontroller,
    resourcequota,
    secret,
    service,
    serviceaccount,
)
from minik.api.discovery_v1 import endpointslice
from minik.api.events_v1 import event as events_v1
from minik.api.flowcontrol_v1 import flowschema, prioritylevelconfiguration
from minik.api.kind import Kind
from minik.api.metrics_v1beta1 import usage
from minik.api.networking_v1 import ingress, ingressclass, ipaddress, networkpolicy, servicecidr
from minik.api.node_v1 import runtimeclass
from minik.api.policy_v1 import poddisruptionbudget
from minik.api.rbac_v1 import clusterrole, clusterrolebinding, role, rolebinding
from minik.api.registry import Registry
from minik.api.resource_v1 import deviceclass, resourceclaim, resourceclaimtemplate, resourceslice
from minik.api.scheduling_v1 import priorityclass
from minik.api.storage_v1 import (
    csidriver,
    csinode,
    csistoragecapacity,
    storageclass,
    volumeattachment,
    volumeattributesclass,
)

BUILTIN: tuple[Kind, ...] = (
    binding.KIND,
    componentstatus.KIND,
    configmap.KIND,
    endpoints.KIND,
    event.KIND,
    limitrange.KIND,
    namespace.KIND,
    node.KIND,
    persistentvolume.KIND,
    persistentvolumeclaim.KIND,
    pod.KIND,
    podtemplate.KIND,
    replicationcontroller.KIND,
    resourcequota.KIND,
    secret.KIND,
    service.KIND,
    serviceaccount.KIND,
    controllerrevision.KIND,
    daemonset.KIND,
    deployment.KIND,
    replicaset.KIND,
    statefulset.KIND,
    autoscaling_v1.KIND,
    autoscaling_v2.KIND,
    cronjob.KIND,
    job.KIND,
    mutatingadmissionpolicy.KIND,
    mutatingadmissionpolicybinding.KIND,
    mutatingwebhookconfiguration.KIND,
    validatingadmissionpolicy.KIND,
    validatingadmissionpolicybinding.KIND,
    validatingwebhookconfiguration.KIND,
    customresourcedefinition.KIND,
    apiservice.KIND,
    lease.KIND,
    endpointslice.KIND,
    events_v1.KIND,
    flowschema.KIND,
    prioritylevelconfiguration.KIND,
    ingressclass.KIND,
    ingress.KIND,
    ipaddress.KIND,
    networkpolicy.KIND,
    servicecidr.KIND,
    runtimeclass.KIND,
    deviceclass.KIND,
    resourceclaim.KIND,
    resourceclaimtemplate.KIND,
    resourceslice.KIND,
    poddisruptionbudget.KIND,
    priorityclass.KIND,
    csidriver.KIND,
    csinode.KIND,
    csistoragecapacity.KIND,
    storageclass.KIND,
    volumeattachment.KIND,
    volumeattributesclass.KIND,
    certificatesigningrequest.KIND,
    clusterrole.KIND,
    clusterrolebinding.KIND,
    role.KIND,
    rolebinding.KIND,
    usage.NODES,
    usage.PODS,
)


def builtin_registry() -> Registry:
    """A fresh registry of the built-in kinds (custom ones are added to it later)."""
    return Registry(BUILTIN)
