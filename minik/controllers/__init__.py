"""The built-in controllers: ordinary API clients made of `minik.client.controller`. They know no server and no storage.

`built_in` is what a server runs. A new controller is a file of its own exporting `CONTROLLER` (or `controller(…)`, if it must be told
something at the start), and a line here.
"""

from __future__ import annotations

from minik.client.controller import Controller
from minik.config import CLUSTER_CIDR, DEFAULT_PORT
from minik.controllers import (
    apiserviceavailability,
    apiserviceregistration,
    attachdetach,
    claimprotection,
    clusterroleaggregation,
    cronjob,
    csrapproving,
    csrcleaner,
    csrsigning,
    customresourcedefinition,
    daemonset,
    deployment,
    disruption,
    endpoints,
    endpointslice,
    endpointslicemirroring,
    ephemeralvolume,
    garbagecollector,
    horizontalpodautoscaler,
    ipaddresses,
    job,
    loadbalancer,
    namespace,
    nodeipam,
    nodelifecycle,
    persistentvolume,
    persistentvolumeclaim,
    podgc,
    replicaset,
    replicationcontroller,
    resourceclaim,
    resourcequota,
    rootca,
    serviceaccount,
    servicecidr,
    statefulset,
    tainteviction,
    tokencleaner,
    tokens,
    ttlafterfinished,
)


def built_in(
    *,
    ca_certificate: str,
    sign: csrsigning.Sign | None = None,
    sign_token: tokens.Sign | None = None,
    cluster_cidr: str = CLUSTER_CIDR,
    api_port: int = DEFAULT_PORT,
) -> tuple[Controller, ...]:
    """What a server runs. `ca_certificate`: PEM, published to every namespace; `sign`: what signs certificate requests with
    its key, `sign_token` what makes the tokens of Secrets; `cluster_cidr`: where nodes' pod ranges come from;
    `api_port`: where the server itself listens."""
    return (
        namespace.CONTROLLER,
        serviceaccount.CONTROLLER,
        rootca.controller(ca_certificate),
        *((tokens.controller(ca_certificate, sign_token),) if sign_token is not None else ()),
        tokencleaner.CONTROLLER,
        nodeipam.controller(cluster_cidr),
        nodelifecycle.CONTROLLER,
        tainteviction.CONTROLLER,
        replicationcontroller.CONTROLLER,
        replicaset.CONTROLLER,
        deployment.CONTROLLER,
        daemonset.CONTROLLER,
        statefulset.CONTROLLER,
        job.CONTROLLER,
        cronjob.CONTROLLER,
        customresourcedefinition.CONTROLLER,
        ttlafterfinished.CONTROLLER,
        endpoints.CONTROLLER,
        endpointslice.CONTROLLER,
        endpointslicemirroring.CONTROLLER,
        servicecidr.CONTROLLER,
        ipaddresses.CONTROLLER,
        loadbalancer.controller(api_port=api_port),
        resourceclaim.PODS,
        resourceclaim.CLAIMS,
        persistentvolumeclaim.CONTROLLER,
        persistentvolume.CONTROLLER,
        claimprotection.CONTROLLER,
        ephemeralvolume.CONTROLLER,
        attachdetach.CONTROLLER,
        podgc.CONTROLLER,
        disruption.CONTROLLER,
        disruption.STALE,
        horizontalpodautoscaler.CONTROLLER,
        resourcequota.CONTROLLER,
        clusterroleaggregation.CONTROLLER,
        csrapproving.CONTROLLER,
        csrcleaner.CONTROLLER,
        *((csrsigning.controller(sign),) if sign is not None else ()),
        apiserviceregistration.CONTROLLER,
        apiserviceavailability.CONTROLLER,
        garbagecollector.CONTROLLER,
    )
