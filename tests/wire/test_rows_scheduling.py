"""The rows of sig-scheduling: the calls of upstream's tests, against the running scheduler and simulated nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from minik.api import quantity
from tests.support.e2e import Client, Obj, Watch, row
from tests.support.process import Server, until

FOO = "scheduling.k8s.io/foo"
CPU = "example.com/fakecpu"
PAUSE = "registry.test/pause:3"
FINALIZER = "example.com/test-finalizer"
LEVELS = {"low": 1, "medium": 100, "high": 1000}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def nodes(api: Client) -> list[Any]:
    """`GetReadySchedulableNodes`, all three of them."""
    path = f"{api.path('nodes')}?fieldSelector=spec.unschedulable%3Dfalse&resourceVersion=0"

    def ready() -> list[Any]:
        found = [node for node in api.do("GET", path)["items"] if not node["spec"].get("taints")]
        return [node for node in found if condition(node, "Ready")["status"] == "True"]

    until(lambda: len(ready()) == 3, "three nodes are ready")
    return sorted(ready(), key=lambda node: str(node["metadata"]["name"]))


def advertise(api: Client, resource: str, amount: str | None, *names: str) -> None:
    """`patchNode`: what a two-way strategic merge patch of the status makes of one more resource, or one less."""
    for name in names or [node["metadata"]["name"] for node in nodes(api)]:
        status = {"capacity": {resource: amount}, "allocatable": {resource: amount}}
        api.patch("nodes", f"{name}/status", {"status": status})


@pytest.fixture
def levels(api: Client) -> Iterator[None]:
    """The priority classes of the tests of preemption."""
    for name, value in LEVELS.items():
        api.create("priorityclasses", {"metadata": {"name": f"sched-preemption-{name}-priority"}, "value": value})
    yield
    for name in LEVELS:
        api.delete("priorityclasses", f"sched-preemption-{name}-priority", {"gracePeriodSeconds": 0})
    advertise(api, FOO, None)


def on(node: str) -> Obj:
    """Affinity to one node by its name."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


def pause(name: str, *, needs: Obj | None = None, level: str = "", **spec: Any) -> Obj:
    """`initPausePod`."""
    container: Obj = {"name": name, "image": PAUSE}
    if needs is not None:
        container["resources"] = {"limits": needs, "requests": needs}
    if level:
        spec["priorityClassName"] = f"sched-preemption-{level}-priority" if level in LEVELS else level
    metadata = spec.pop("metadata", {})
    return {
        "metadata": {"name": name, "labels": {"name": name}, **metadata},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def condition(obj: Obj, type_: str) -> Any:
    return next((c for c in obj["status"].get("conditions") or () if c["type"] == type_), None)


def event(watch: Watch, pod: str, reason: str) -> Obj:
    """`WaitForSchedulerAfterAction`: the Event of the scheduler about the pod."""

    def right(_: str, obj: Obj) -> bool:
        return obj["reason"] == reason and str(obj["metadata"]["name"]).startswith(pod)

    return watch.until(right, f"{reason} of {pod}")


def verify(api: Client, scheduled: int, waiting: int) -> None:
    """`verifyResult`: so many pods on nodes and so many that fit nowhere, and they say so."""
    pods = api.items("pods")
    on_nodes = [pod for pod in pods if pod["spec"].get("nodeName")]
    assert all(condition(pod, "PodScheduled")["status"] == "True" for pod in on_nodes)
    others = [condition(pod, "PodScheduled") for pod in pods if not pod["spec"].get("nodeName")]
    unschedulable = [c for c in others if c and (c["status"], c["reason"]) == ("False", "Unschedulable")]
    assert (len(on_nodes), len(unschedulable)) == (scheduled, waiting)


def gone_or_going(api: Client, name: str) -> bool:
    answer = api.ask("GET", api.path("pods", name))
    return answer.status == 404 or "deletionTimestamp" in answer.obj["metadata"]


# --- predicates ---------------------------------------------------------------------------------------------------


@row("Scheduler, resource limits")
def test_what_is_taken_is_taken(api: Client) -> None:
    left, most = {}, 0
    for node in nodes(api):
        name = node["metadata"]["name"]
        api.patch("nodes", name, {"metadata": {"labels": {"node": name}}})
        left[name] = quantity.parse(node["status"]["allocatable"]["cpu"]).milli()
        most = max(most, left[name])
    for pod in api.items("pods", everywhere=True):
        if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            for container in pod["spec"]["containers"]:
                request = container["resources"].get("requests", {}).get("cpu", "0")
                left[pod["spec"]["nodeName"]] -= quantity.parse(request).milli()
    try:
        for name, cpu in left.items():
            terms = [{"matchExpressions": [{"key": "node", "operator": "In", "values": [name]}]}]
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            filler = pause(
                f"filler-pod-{name}", needs={"cpu": f"{cpu * 7 // 10}m"}, affinity={"nodeAffinity": required}
            )
            api.create("pods", filler)
        for name in left:
            api.phase(f"filler-pod-{name}")
        with api.watch("events", api.page("events")["metadata"]["resourceVersion"]) as watch:
            api.create("pods", pause("additional-pod", needs={"cpu": f"{most * 5 // 10}m"}))
            assert event(watch, "additional-pod", "FailedScheduling")["type"] == "Warning"
        verify(api, len(left), 1)
    finally:
        for name in left:
            api.patch("nodes", name, {"metadata": {"labels": {"node": None}}})


@row("Scheduler, node selector not matching")
def test_no_node_has_the_label(api: Client) -> None:
    with api.watch("events", api.page("events")["metadata"]["resourceVersion"]) as watch:
        api.create("pods", pause("restricted-pod", nodeSelector={"label": "nonempty"}))
        said = event(watch, "restricted-pod", "FailedScheduling")
    assert "node(s) didn't match Pod's node affinity/selector" in said["message"]
    verify(api, 0, 1)


@row("Scheduler, node selector matching")
def test_the_node_with_the_label(api: Client) -> None:
    api.create("pods", pause("without-label"))
    until(lambda: api.get("pods", "without-label")["spec"].get("nodeName"), "a node that can run pods")
    node = api.get("pods", "without-label")["spec"]["nodeName"]
    api.delete("pods", "without-label", {"gracePeriodSeconds": 0})
    key = f"kubernetes.io/e2e-{uuid4()}"
    api.patch("nodes", node, {"metadata": {"labels": {key: "42"}}})
    try:
        with api.watch("events", api.page("events")["metadata"]["resourceVersion"]) as watch:
            api.create("pods", pause("with-labels", nodeSelector={key: "42"}))
            said = event(watch, "with-labels", "Scheduled")
        assert f"Successfully assigned {api.namespace}/with-labels to {node}" in said["message"]
        until(lambda: api.get("pods", "with-labels")["status"]["phase"] != "Pending", "it is pending no more")
        assert api.get("pods", "with-labels")["spec"]["nodeName"] == node
    finally:
        api.patch("nodes", node, {"metadata": {"labels": {key: None}}})


@row("Scheduling, HostPort and Protocol match, HostIPs different but one is default HostIP (0.0.0.0)")
def test_the_unspecified_address_is_every_address(api: Client) -> None:
    node = nodes(api)[0]
    name = node["metadata"]["name"]
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    key = f"kubernetes.io/e2e-{uuid4()}"
    api.patch("nodes", name, {"metadata": {"labels": {key: "95"}}})

    def pod(pod_name: str, host: str) -> Obj:
        port = {"hostPort": 54322, "containerPort": 8080, "protocol": "TCP", "hostIP": host}
        made = pause(pod_name, nodeSelector={key: "95"})
        made["spec"]["containers"][0]["ports"] = [port]
        return made

    try:
        api.create("pods", pod("pod4", "0.0.0.0"))
        api.phase("pod4")
        api.create("pods", pod("pod5", address))
        until(lambda: condition(api.get("pods", "pod5"), "PodScheduled"), "it is said")
        verify(api, 1, 1)
        assert "free ports for the requested pod ports" in condition(api.get("pods", "pod5"), "PodScheduled")["message"]
    finally:
        api.patch("nodes", name, {"metadata": {"labels": {key: None}}})


# --- preemption ---------------------------------------------------------------------------------------------------


@row("Scheduler, Basic Preemption", "Scheduler, Preemption for critical pod")
@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("critical", [False, True])
def test_the_least_pod_makes_room(api: Client, critical: bool) -> None:
    """Two pods that use 4/5 of every node; one of them all is of low priority."""
    advertise(api, FOO, "5")
    names: list[str] = []
    for number, node in enumerate(nodes(api)):
        for second in range(2):
            level = "medium" if names else "low"
            name = f"pod{number}-{second}-{level}"
            api.create("pods", pause(name, needs={FOO: "2"}, level=level, **on(node["metadata"]["name"])))
            names.append(name)
    for name in names:
        api.phase(name)
    home = "kube-system" if critical else ""
    name = "critical-pod" if critical else "preemptor-pod"
    level = "system-cluster-critical" if critical else "high"
    made = api.create("pods", pause(name, needs={FOO: "2"}, level=level), namespace=home)
    assert made["spec"]["priority"] == (2000000000 if critical else 1000)
    where = api.path("pods", name, namespace=home)
    try:
        until(lambda: api.do("GET", where)["status"].get("phase") == "Running", "it runs")
        assert gone_or_going(api, names[0])
        assert not any(gone_or_going(api, name) for name in names[1:])
    finally:
        api.delete("pods", name, {"gracePeriodSeconds": 0}, namespace=home)


@row("Verify the DisruptionTarget condition is added to the preempted pod")
@pytest.mark.usefixtures("levels")
def test_the_victim_says_why_it_goes(api: Client) -> None:
    node = nodes(api)[0]["metadata"]["name"]
    advertise(api, FOO, "1", node)
    api.create(
        "pods", pause("victim-pod", needs={FOO: "1"}, level="low", metadata={"finalizers": [FINALIZER]}, **on(node))
    )
    api.phase("victim-pod")
    try:
        api.create("pods", pause("preemptor-pod", needs={FOO: "1"}, level="high", **on(node)))
        until(lambda: gone_or_going(api, "victim-pod"), "the victim is terminating")
        assert condition(api.get("pods", "victim-pod"), "DisruptionTarget")["status"] == "True"
    finally:
        api.change("pods", "victim-pod", lambda pod: pod["metadata"].pop("finalizers"))
    api.phase("preemptor-pod")


@row("Pod preemption verification")
def test_replica_sets_of_four_priorities(api: Client) -> None:
    """1000 of a resource: 200, 300 and 450 of it taken; 500 for the fourth, at the price of the first two and of nobody else."""
    node = nodes(api)[0]
    hostname = {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]}
    advertise(api, CPU, "1000", node["metadata"]["name"])
    for level in range(1, 5):
        api.create("priorityclasses", {"metadata": {"name": f"p{level}"}, "value": level})
    try:
        with api.watch("pods", api.page("pods")["metadata"]["resourceVersion"]) as watch:
            for level, amount in enumerate(("200", "300", "450"), 1):
                pod = pause(f"pod{level}", needs={CPU: amount}, level=f"p{level}", nodeSelector=hostname)
                labels = pod["metadata"].pop("labels")
                template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
                spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
                api.create("replicasets", {"metadata": {"name": f"rs-pod{level}"}, "spec": spec})
                name = f"rs-pod{level}"
                until(lambda name=name: api.get("replicasets", name)["status"].get("availableReplicas") == 1, name)  # type: ignore[misc]  # bound now
            api.create("pods", pause("pod4", needs={CPU: "500"}, level="p4", nodeSelector=hostname))
            until(lambda: api.get("pods", "pod4")["spec"].get("nodeName"), "the fourth has its place")
            until(lambda: len(waiting(api)) == 2, "two wait in vain for theirs")
            api.create("pods", pause("last"))
            added: list[str] = []

            def all_seen(type_: str, obj: Obj) -> bool:
                added.extend([str(obj["metadata"]["name"])[:7]] if type_ == "ADDED" else [])
                return bool(obj["metadata"]["name"] == "last")

            watch.until(all_seen, "all pods")
        assert {name: added.count(name) for name in set(added) if name.startswith("rs-pod")} == {
            "rs-pod1": 2, "rs-pod2": 2, "rs-pod3": 1,
        }  # fmt: skip
    finally:
        advertise(api, CPU, None, node["metadata"]["name"])
        for level in range(1, 5):
            api.delete("priorityclasses", f"p{level}", {"gracePeriodSeconds": 0})


def waiting(api: Client) -> list[Any]:
    conditions = [condition(pod, "PodScheduled") for pod in api.items("pods") if not pod["spec"].get("nodeName")]
    return [c for c in conditions if c and c.get("reason") == "Unschedulable"]


@row("Scheduler, Verify PriorityClass endpoints")
def test_what_of_a_priority_class_may_change(api: Client) -> None:
    label = {"e2e": api.namespace}
    made = [
        api.create("priorityclasses", {"metadata": {"name": f"p{value}", "labels": label}, "value": value})
        for value in (1, 2)
    ]
    refused = api.ask(
        "PATCH", api.path("priorityclasses", "p1"), b'{"value":10}', "application/strategic-merge-patch+json"
    )
    assert refused.status == 422
    assert api.try_put("priorityclasses", {**made[1], "value": 20}).status == 422
    assert api.patch("priorityclasses", "p1", {"description": "updated description"})["value"] == 1
    api.put("priorityclasses", {**made[1], "description": "updated description"})
    for each in made:
        live = api.get("priorityclasses", each["metadata"]["name"])
        assert (live["value"], live["description"]) == (each["value"], "updated description")
    api.delete_collection("priorityclasses", f"e2e={api.namespace}")
    assert api.items("priorityclasses", f"e2e={api.namespace}") == []
    assert {"system-cluster-critical", "system-node-critical"} <= {
        each["metadata"]["name"] for each in api.items("priorityclasses")
    }


# --- limit ranges -------------------------------------------------------------------------------------------------


def amounts(cpu: str, memory: str, storage: str) -> Obj:
    return {k: v for k, v in (("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)) if v}


LIMITS: Obj = {
    "type": "Container",
    "min": amounts("50m", "100Mi", "100Gi"),
    "max": amounts("500m", "500Mi", "500Gi"),
    "default": amounts("500m", "500Mi", "500Gi"),
    "defaultRequest": amounts("100m", "200Mi", "200Gi"),
}


def limited(name: str, requests: Obj, limits: Obj) -> Obj:
    pod = pause(name)
    pod["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": limits}
    return pod


def resources(api: Client, name: str) -> tuple[Obj, Obj]:
    (container,) = api.get("pods", name)["spec"]["containers"]
    return container["resources"]["requests"], container["resources"]["limits"]


@row("LimitRange, resources")
def test_limits_are_filled_in_and_kept(api: Client) -> None:
    selector = f"time={api.namespace}"
    revision = api.page("limitranges", selector)["metadata"]["resourceVersion"]
    with api.watch("limitranges", revision, selector) as watch:
        metadata = {"name": "limit-range", "labels": {"time": api.namespace}}
        api.create("limitranges", {"metadata": metadata, "spec": {"limits": [LIMITS]}})
        assert watch.next()[0] == "ADDED"
    limits = api.get("limitranges", "limit-range")
    assert limits["spec"]["limits"] == [LIMITS]
    api.create("pods", limited("pod-no-resources", {}, {}))
    assert resources(api, "pod-no-resources") == (LIMITS["defaultRequest"], LIMITS["default"])
    api.create("pods", limited("pod-partial", amounts("", "150Mi", "150Gi"), amounts("300m", "", "")))
    expected = amounts("300m", "150Mi", "150Gi"), amounts("300m", "500Mi", "500Gi")
    assert resources(api, "pod-partial") == expected

    def create(name: str, *of: str) -> int:
        return api.try_create("pods", limited(name, amounts(*of), {})).status

    small, large = ("10m", "50Mi", "50Gi"), ("600m", "600Mi", "600Gi")
    assert create("pfpod", *small) == 403 and create("pfpod", *large) == 422, "the latter for the limit it is given"
    limits["spec"]["limits"][0]["min"] = amounts("9m", "49Mi", "49Gi")
    api.put("limitranges", limits)
    assert api.get("limitranges", "limit-range")["spec"]["limits"][0]["min"] == amounts("9m", "49Mi", "49Gi")
    assert create("pfpod", *small) == 201 and create("pfpod", *large) == 422
    api.delete("limitranges", "limit-range", {"gracePeriodSeconds": 30})
    assert api.items("limitranges") == []
    assert create("pfpod2", *large) == 201


@row("LimitRange, list, patch and delete a LimitRange by collection")
def test_a_collection_of_limit_ranges(api: Client) -> None:
    name, other = f"e2e-{api.namespace}", f"{api.namespace}-other"
    body = {"metadata": {"name": name, "labels": {"e2e-test": name, name: "created"}}, "spec": {"limits": [LIMITS]}}
    api.create("namespaces", {"metadata": {"name": other}})
    made = api.create("limitranges", body)
    api.create("limitranges", body, namespace=other)
    assert len(api.items("limitranges", f"e2e-test={name}", everywhere=True)) == 2
    less = amounts("9m", "49Mi", "49Gi")
    metadata = {"creationTimestamp": made["metadata"]["creationTimestamp"], "labels": {name: "patched"}}
    patch = {"metadata": metadata, "spec": {"limits": [{**LIMITS, "min": less}]}}
    patched = api.patch("limitranges", name, patch)
    assert patched["metadata"]["labels"][name] == "patched" and patched["spec"]["limits"][0]["min"] == less
    api.delete_collection("limitranges", f"{name}=patched")
    assert api.items("limitranges", f"{name}=patched") == []
    (left,) = api.items("limitranges", f"e2e-test={name}", everywhere=True)
    assert left["metadata"]["namespace"] == other
    api.delete("namespaces", other)
