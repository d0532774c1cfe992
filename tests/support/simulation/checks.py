"""What must hold once nothing goes wrong any more and some time has passed. `unsettled` is asked again and again until it is empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minik.agent import names
from minik.api import meta
from minik.api.core_v1 import pods
from minik.client.manager import Manager
from minik.storage.base import Store
from minik.storage.cache import Cache
from tests.support.simulation.host import SimulatedNode
from tests.support.simulation.subjects import SUBJECTS
from tests.support.simulation.view import View, expect, name_of
from tests.support.simulation.workload_checks import budgets, claims, cronjobs, daemon_sets, jobs, stateful_sets

SLICES = "endpointslices.discovery.k8s.io"
_SETS = ("replicasets.apps", "replicationcontrollers")


def unsettled(cache: Cache, nodes: Sequence[SimulatedNode], manager: Manager | None) -> list[str]:
    """What is not yet as it should be, sorted."""
    view = View(cache)
    found = [
        *_deployments(view), *_sets(view), *_pods(view, nodes), *_engines(view, nodes), *_owners(view), *_namespaces(view),
        *_endpoints(view), *_nodes(view), *_informers(cache, manager), *jobs(view), *cronjobs(view),
        *stateful_sets(view), *daemon_sets(view, len(nodes)), *claims(view), *budgets(view),
        *(problem for subject in SUBJECTS if subject.unsettled is not None for problem in subject.unsettled(view)),
    ]  # fmt: skip
    return sorted(found)


def _deployments(view: View) -> Iterator[str]:
    for obj in view.all("deployments.apps"):
        number, status, what = obj["spec"]["replicas"], obj.get("status") or {}, f"deployment {name_of(obj)}"
        wanted = {"observedGeneration": meta.generation(obj), "replicas": number, "updatedReplicas": number}
        wanted |= {"readyReplicas": number, "availableReplicas": number, "unavailableReplicas": 0}
        yield from expect(what, status, wanted)
        sizes = sorted((each["spec"]["replicas"] for each in view.owned("replicasets.apps", obj)), reverse=True)
        if not sizes or sizes[0] != number or any(sizes[1:]):
            yield f"{what}: has ReplicaSets of {sizes} for {number}"


def _sets(view: View) -> Iterator[str]:
    for resource in _SETS:
        for obj in view.all(resource):
            number, status, what = obj["spec"]["replicas"], obj.get("status") or {}, f"{resource} {name_of(obj)}"
            wanted = {"observedGeneration": meta.generation(obj), "replicas": number}
            wanted |= {"readyReplicas": number, "availableReplicas": number}
            yield from expect(what, status, wanted)
            active = [pod for pod in view.owned("pods", obj) if pods.is_active(pod)]
            if len(active) != number:
                yield f"{what}: has {len(active)} pods for {number}"


def _pods(view: View, nodes: Sequence[SimulatedNode]) -> Iterator[str]:
    by_name = {node.name: node for node in nodes}
    addresses: dict[str, str] = {}
    for pod in view.all("pods"):
        what = f"pod {name_of(pod)}"
        if meta.is_deleting(pod):
            yield f"{what}: is terminating"
        if pods.is_finished(pod):
            continue
        node = by_name.get(pods.node_name(pod))
        if node is None:
            yield f"{what}: is bound to {pods.node_name(pod) or 'no node'}"
            continue
        if pod["spec"].get("restartPolicy") == "Never":
            continue  # some of its containers may have ended for good
        if pods.phase(pod) != "Running" or not pods.is_ready(pod):
            yield f"{what}: is {pods.phase(pod)}, ready: {pods.is_ready(pod)}"
        address = pods.ip(pod)
        if address in addresses:
            yield f"{what}: has the address {address} of {addresses[address]}"
        addresses[address] = what
        running = [info.labels.get(names.CONTAINER, "") for info in node.engine.running_of(meta.uid(pod))]
        wanted = [*(container["name"] for container in pods.containers(pod)), names.SANDBOX]
        if sorted(name or names.SANDBOX for name in running) != sorted(wanted):
            yield f"{what}: {sorted(running)} run on {node.name}, not {sorted(wanted)}"


def _engines(view: View, nodes: Sequence[SimulatedNode]) -> Iterator[str]:
    known = {(meta.uid(pod), pods.node_name(pod)) for pod in view.all("pods")}
    for node in nodes:
        for info in node.engine.running():
            if (info.labels.get(names.UID), node.name) not in known:
                yield f"{node.name}: {info.name} runs, and its pod is not known"


def _owners(view: View) -> Iterator[str]:
    """Everything whose owners are all gone should be gone."""
    uids = {meta.uid(obj) for resource in view.cache.resources() for obj in view.all(resource)}
    for resource in view.cache.resources():
        if resource == "events":
            continue
        for obj in view.all(resource):
            owners = meta.owners(obj)
            if owners and not any(owner["uid"] in uids for owner in owners):
                yield f"{resource} {name_of(obj)}: is an orphan"


def _namespaces(view: View) -> Iterator[str]:
    there = set()
    for namespace in view.all("namespaces"):
        there.add(meta.name(namespace))
        if (namespace.get("status") or {}).get("phase") != "Active" or meta.is_deleting(namespace):
            yield f"namespace {name_of(namespace)}: is terminating"
    for resource in view.cache.resources():
        for obj in view.all(resource):
            if meta.namespace(obj) and meta.namespace(obj) not in there:
                yield f"{resource} {name_of(obj)}: is in a namespace that is gone"
            in_use = False  # what a pod uses goes with it
            if resource == "persistentvolumeclaims":
                in_use = bool(view.using(obj))
            elif resource == "resourceclaims.resource.k8s.io":
                in_use = bool((obj.get("status") or {}).get("reservedFor"))
            if meta.is_deleting(obj) and resource not in ("pods", "namespaces") and not in_use:
                yield f"{resource} {name_of(obj)}: is terminating"
    for namespace_name in sorted(there):
        for resource, name in (("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")):
            if view.cache.get(f"{resource}/{namespace_name}/{name}") is None:
                yield f"namespace {namespace_name}: has no {resource} {name}"


def _endpoints(view: View) -> Iterator[str]:
    for service in view.all("services"):
        selector = service["spec"].get("selector")
        if not selector or service["spec"].get("type") == "ExternalName":
            continue
        what = f"service {name_of(service)}"
        behind = [
            pod
            for pod in view.all("pods")
            if meta.namespace(pod) == meta.namespace(service)
            and all(meta.labels(pod).get(key) == value for key, value in selector.items())
            and pods.ip(pod)
            and not pods.is_finished(pod)
            and not meta.is_deleting(pod)
        ]
        ready = sorted(pods.ip(pod) for pod in behind if pods.is_ready(pod))
        slices = view.owned(SLICES, service)
        endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
        shown = sorted(a for e in endpoints if e["conditions"].get("ready") for a in e["addresses"])
        if shown != ready:
            yield f"{what}: its slices show {shown}, ready are {ready}"
        entry = view.cache.get(f"endpoints/{service['metadata']['namespace']}/{service['metadata']['name']}")
        subsets = (entry.obj.get("subsets") or ()) if entry is not None else ()
        shown = sorted(a["ip"] for subset in subsets for a in subset.get("addresses") or ())
        if shown != ready:
            yield f"{what}: its endpoints show {shown}, ready are {ready}"


def _nodes(view: View) -> Iterator[str]:
    for obj in view.all("nodes"):
        ready = meta.condition(obj, "Ready") or {}
        if ready.get("status") != "True":
            yield f"node {name_of(obj)}: is not ready: {ready.get('status')} {ready.get('reason')}"
        if obj["spec"].get("taints"):
            yield f"node {name_of(obj)}: has taints {[taint['key'] for taint in obj['spec']['taints']]}"


def _informers(cache: Cache, manager: Manager | None) -> Iterator[str]:
    """The controllers' informers show what the server's cache shows."""
    if manager is None:
        return
    for key in manager.informers.statistics():
        if "," in key:
            continue
        objects = manager.informers.of(key).store.objects
        shown = {str(name): obj["metadata"]["resourceVersion"] for name, obj in objects.items()}
        there = {str(meta.key(entry.obj)): str(entry.revision) for entry in cache.list(key)}
        if shown != there:
            differing = sorted(k for k in {*shown, *there} if shown.get(k) != there.get(k))
            yield f"informer {key}: differs from the server in {differing[:5]}"


async def differences(store: Store, cache: Cache) -> list[str]:
    """Where the cache does not show what the store holds."""
    page = await store.list("")
    stored = {record.key: int(record.revision) for record in page.records}
    cached = {entry.key: int(entry.revision) for resource in cache.resources() for entry in cache.list(resource)}
    return [
        f"{key}: cache {cached.get(key)}, store {stored.get(key)}"
        for key in sorted({*stored, *cached})
        if stored.get(key) != cached.get(key)
    ]
