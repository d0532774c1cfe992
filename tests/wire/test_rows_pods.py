"""Rows of sig-node about pods as objects: their life, status, generation, ephemeral containers, resizing. The calls of upstream's tests,
in protobuf, against simulated containers; what containers do and say is in tests/docker and tests/e2e.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.e2e import MERGE, STRATEGIC, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import IMAGE, notes

OTHER = "registry.test/httpd:1"


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def pod(name: str = "pod-test", labels: Obj | None = None, container: Obj | None = None, **spec: Any) -> Obj:
    containers = [{"name": name, "image": IMAGE, **(container or {})}]
    metadata = {"name": name, "labels": dict(labels or {"name": "foo"})}
    return {"metadata": metadata, "spec": {"terminationGracePeriodSeconds": 1, "containers": containers, **spec}}


def created(api: Client, obj: Obj) -> Any:
    """`CreateSync`: until it runs and is ready."""
    api.create("pods", obj)
    name = obj["metadata"]["name"]
    until(lambda: (api.condition("pods", name, "Ready") or {}).get("status") == "True", f"pod {name} is ready")
    return api.get("pods", name)


def change(api: Client, name: str, edit: Any) -> Any:
    """`podClient.Update`."""
    return api.change("pods", name, edit)


@row("Pods, lifecycle")
def test_submitted_and_removed(api: Client) -> None:
    selector = "time=now"
    listed = api.page("pods", selector)
    assert listed["items"] == []
    with api.watch("pods", listed["metadata"]["resourceVersion"], selector) as watch:
        api.create("pods", pod(labels={"name": "foo", "time": "now"}, terminationGracePeriodSeconds=30))
        assert len(api.items("pods", selector)) == 1
        assert watch.next("the pod")[0] == "ADDED"
        api.phase("pod-test")
        api.delete("pods", "pod-test", {"gracePeriodSeconds": 30})
        while (event := watch.next("the deletion"))[0] != "DELETED":
            pass
    last = event[1]
    assert last["metadata"]["deletionTimestamp"]
    assert last["spec"]["terminationGracePeriodSeconds"] == 30
    assert api.items("pods", selector) == []


@row("Pods, update")
def test_updated(api: Client) -> None:
    created(api, pod(labels={"time": "one"}))
    change(api, "pod-test", lambda obj: obj["metadata"]["labels"].update(time="two"))
    api.phase("pod-test")
    assert (len(api.items("pods", "time=one")), len(api.items("pods", "time=two"))) == (0, 1)


@row("Pods, ActiveDeadlineSeconds")
def test_a_deadline_is_set(api: Client) -> None:
    created(api, pod())
    change(api, "pod-test", lambda obj: obj["spec"].update(activeDeadlineSeconds=1))
    api.phase("pod-test", "Failed")
    assert api.get("pods", "pod-test")["status"]["reason"] == "DeadlineExceeded"


@row("Pods, assigned hostip", "Pods, QOS")
def test_what_the_status_says(api: Client) -> None:
    amounts = {"cpu": "100m", "memory": "100Mi"}
    made = api.create("pods", pod(container={"resources": {"limits": amounts, "requests": amounts}}))
    assert made["status"]["qosClass"] == "Guaranteed"
    until(lambda: api.get("pods", "pod-test")["status"].get("hostIP"), "the address of its node")
    status = api.get("pods", "pod-test")["status"]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]


@row("Pods, delete a collection")
def test_a_collection_of_pods(api: Client) -> None:
    for number in range(1, 4):
        api.create("pods", pod(f"test-pod-{number}", {"type": "Testing"}, restartPolicy="Never"))
    for number in range(1, 4):
        api.phase(f"test-pod-{number}")
    api.delete_collection("pods", "type=Testing", {"gracePeriodSeconds": 1})
    until(lambda: api.items("pods", "type=Testing") == [], "the pods gone")


@row("Pods, completes the lifecycle of a Pod and the PodStatus")
def test_the_life_of_a_pod_and_its_status(api: Client) -> None:
    selector = "test-pod-static=true"
    revision = api.page("pods", selector, everywhere=True)["metadata"]["resourceVersion"]
    api.create("pods", pod(labels={"test-pod-static": "true"}))
    api.until_event("pods", revision, selector, lambda _, obj: obj["status"].get("phase") == "Running", "the pod runs")
    before = api.get("pods", "pod-test")
    assert before["status"]["phase"] == "Running"
    api.patch("pods", "pod-test", {
        "metadata": {"creationTimestamp": None, "labels": {"test-pod": "patched"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "pod-test", "image": OTHER, "resources": {}}]},
        "status": {},
    })  # fmt: skip  # a whole marshalled pod
    revision = before["metadata"]["resourceVersion"]
    api.until_event("pods", revision, selector, lambda type_, _: type_ == "MODIFIED", "the patch")
    patched = api.get("pods", "pod-test")
    assert (patched["metadata"]["labels"]["test-pod"], patched["spec"]["containers"][0]["image"]) == ("patched", OTHER)

    def unready(obj: Obj) -> None:
        for condition in obj["status"]["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition["status"] = "False"

    updated = api.change("pods", "pod-test", unready, "status")
    conditions = {each["type"]: each["status"] for each in updated["status"]["conditions"]}
    assert (conditions["Ready"], conditions["ContainersReady"]) == ("False", "False")
    api.delete_collection("pods", selector, {"gracePeriodSeconds": 1})
    revision = updated["metadata"]["resourceVersion"]
    api.until_event("pods", revision, selector, lambda type_, _: type_ == "DELETED", "the deletion")
    assert not api.exists("pods", "pod-test")


@row("Pods, patching status")
def test_a_patched_status(api: Client) -> None:
    created(api, pod(labels={"e2e": "pod"}))
    body = {
        "metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"message": "Patched by e2e test", "reason": "E2E"},
    }
    patched = api.patch("pods", "pod-test/status", body, MERGE)
    assert (patched["status"]["message"], patched["status"]["reason"]) == ("Patched by e2e test", "E2E")
    assert notes(patched)["patchedstatus"] == "true"


# --- generation -------------------------------------------------------------------------------------------------------


@row("Pods Generation, updates")
def test_updates_count(api: Client) -> None:
    made = created(api, pod(initContainers=[{"name": "init-container", "image": OTHER, "command": ["true"]}]))
    assert made["metadata"]["generation"] == 1
    tolerations = [{"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}]
    expected = 1
    for edit, counts in (
        (lambda _: None, False),
        (lambda obj: obj["spec"].update(tolerations=tolerations), True),
        (lambda obj: obj["spec"].update(activeDeadlineSeconds=5000), True),
        (lambda obj: obj["spec"]["containers"][0].update(image=OTHER), True),
        (lambda obj: obj["spec"]["initContainers"][0].update(image=IMAGE), True),
        (lambda obj: obj["metadata"].update(annotations={"key": "value"}), False),
        (lambda obj: obj["metadata"].update(generation=1), False),
    ):
        change(api, "pod-test", edit)
        expected += counts
        assert api.get("pods", "pod-test")["metadata"]["generation"] == expected


@row("Pods Generation, graceful delete")
def test_a_deletion_counts(api: Client) -> None:
    obj = pod()
    obj["metadata"]["generation"] = 100
    made = created(api, obj)
    assert made["metadata"]["generation"] == 1
    api.do("PATCH", api.path("pods", "pod-test"), {"metadata": {"finalizers": ["test.invalid/hold"]}}, MERGE)
    api.do("DELETE", f"{api.path('pods', 'pod-test')}?gracePeriodSeconds=60")  # what real containers make use of
    assert api.get("pods", "pod-test")["metadata"]["generation"] == 2
    api.do("PATCH", api.path("pods", "pod-test"), {"metadata": {"finalizers": None}}, MERGE)


@row("Pods Generation, 500 updates")
def test_observed_generations_converge(api: Client) -> None:
    """A tenth of them."""
    created(api, pod(activeDeadlineSeconds=5000))

    def edit(obj: Obj) -> None:
        obj["spec"]["activeDeadlineSeconds"] -= 1

    for _ in range(49):
        change(api, "pod-test", edit)
    assert api.get("pods", "pod-test")["metadata"]["generation"] == 50
    until(lambda: api.get("pods", "pod-test")["status"].get("observedGeneration") == 50, "the node has seen the last")


# --- where pods are and how long -----------------------------------------------------------------------------------------


@row("Scheduling, HostPort matching and HostIP and Protocol not-matching")
def test_one_host_port_of_several_addresses(api: Client) -> None:
    """Three pods on one node: an address of their own each, or a protocol."""
    node = api.items("nodes")[0]
    home = {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]}
    [ip] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    for number, (address, protocol) in enumerate((("127.0.0.1", "TCP"), (ip, "TCP"), (ip, "UDP")), 1):
        port = {"hostPort": 54323, "containerPort": 8080, "protocol": protocol, "hostIP": address}
        api.create("pods", pod(f"pod{number}", container={"ports": [port]}, nodeSelector=home))
        api.phase(f"pod{number}")
    assert {each["spec"]["nodeName"] for each in api.items("pods")} == {node["metadata"]["name"]}


@row("Pod Eviction, Toleration limits")
def test_the_least_toleration_counts(api: Client) -> None:
    """`createTestPod…`: a pod that tolerates the taint for a moment goes, one that tolerates it long stays."""
    key = "kubernetes.io/e2e-evict-taint-key"
    for name, seconds in (("brief", (1, 600)), ("long", (600, 900))):
        tolerations = [
            {"key": key, "operator": operator, "effect": "NoExecute", "tolerationSeconds": number, **value}
            for (operator, value), number in zip(
                (("Equal", {"value": "evictTaintVal"}), ("Exists", {})), seconds, strict=True
            )
        ]
        api.create(
            "pods", pod(name, tolerations=tolerations, nodeName="" if name == "brief" else home_of(api, "brief"))
        )
        api.phase(name)
    node = home_of(api, "brief")
    taint = {"key": key, "value": "evictTaintVal", "effect": "NoExecute"}
    api.change("nodes", node, lambda obj: obj["spec"].update(taints=[*(obj["spec"].get("taints") or ()), taint]))
    try:
        until(lambda: not api.exists("pods", "brief"), "the pod goes")
        assert "deletionTimestamp" not in api.get("pods", "long")["metadata"]
    finally:
        api.change("nodes", node, lambda obj: obj["spec"].update(taints=[]))


def home_of(api: Client, name: str) -> str:
    found: str = api.get("pods", name)["spec"]["nodeName"]
    return found


# --- ephemeral containers and resizing: what the server does; nodes do neither yet -------------------------------------


def test_ephemeral_containers(api: Client) -> None:
    """Of the rows "Ephemeral Container Creation" and "… update ephemeral containers"."""
    made = created(api, pod(container={"command": ["/bin/sleep"], "args": ["10000"]}))
    assert made["metadata"]["generation"] == 1
    debugger = {"name": "debugger", "image": OTHER, "command": ["sleep", "600"], "stdin": True, "tty": True}
    order = [{"name": "debugger"}]
    added = [{**debugger, "resources": {}}]
    body = {"spec": {"$setElementOrder/ephemeralContainers": order, "ephemeralContainers": added}}
    api.patch("pods", "pod-test/ephemeralcontainers", body)
    assert api.get("pods", "pod-test")["metadata"]["generation"] == 2
    [only] = api.get("pods", "pod-test/ephemeralcontainers")["spec"]["ephemeralContainers"]
    assert only["terminationMessagePolicy"] == "File"

    def another(obj: Obj) -> None:
        obj["spec"]["ephemeralContainers"].append({
            "name": "debugger2", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File",
        })  # fmt: skip

    api.change("pods", "pod-test", another, "ephemeralcontainers")
    names = [each["name"] for each in api.get("pods", "pod-test/ephemeralcontainers")["spec"]["ephemeralContainers"]]
    assert names == ["debugger", "debugger2"]
    assert api.get("pods", "pod-test")["metadata"]["generation"] == 3


def amounts(cpu: int, memory: int) -> Obj:
    return {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}


@row("In-place Pod Resize, read and replace endpoints")
def test_resized_by_replacing(api: Client) -> None:
    made = created(api, pod(container={"resources": {"requests": amounts(20, 20)}}))
    assert made["metadata"]["generation"] == 1
    wanted = {"requests": amounts(30, 30)}
    made["spec"]["containers"][0]["resources"] = wanted
    api.put("pods", made, "resize")
    updated = api.get("pods", "pod-test")
    assert updated["spec"]["containers"][0]["resources"] == wanted
    assert updated["metadata"]["generation"] == 2

    def is_actuated() -> bool:
        (status,) = api.get("pods", "pod-test")["status"]["containerStatuses"]
        return bool(status["resources"] == wanted and status["allocatedResources"] == wanted["requests"])

    until(is_actuated, "the node has resized it")
    assert not api.condition("pods", "pod-test", "PodResizeInProgress")
    until(lambda: api.get("pods", "pod-test") == api.get("pods", "pod-test/resize"), "both endpoints show one pod")


def test_several_containers_are_resized(api: Client) -> None:
    """Of the other rows "In-place Pod Resize, …": what a patch makes of the spec, and back (tests/e2e/test_resize.py has the rest)."""
    before: dict[str, Obj] = {
        name: {"requests": amounts(20, 20), "limits": amounts(20, 20)} for name in ("c1", "c2", "c3")
    }
    containers = [{"name": name, "image": IMAGE, "resources": each} for name, each in before.items()]
    made = created(api, {**pod(), "spec": {"containers": containers, "terminationGracePeriodSeconds": 1}})
    assert made["status"]["qosClass"] == "Guaranteed"
    after = {
        "c1": {"requests": amounts(30, 30), "limits": amounts(30, 30)},
        "c2": {"requests": amounts(30, 10), "limits": amounts(30, 10)},
        "c3": {"requests": amounts(15, 25), "limits": amounts(15, 25)},
    }
    for generation, wanted in ((2, after), (3, before)):
        body = {"spec": {"containers": [{"name": name, "resources": each} for name, each in wanted.items()]}}
        patched = api.patch("pods", "pod-test/resize", body)
        assert {each["name"]: each["resources"] for each in patched["spec"]["containers"]} == wanted
        assert patched["metadata"]["generation"] == generation


LIMITED = {"requests": amounts(20, 35), "limits": amounts(35, 50)}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({}, {"requests": amounts(20, 20)}, "Pod QOS Class may not change as a result of resizing"),
        (LIMITED, {"requests": LIMITED["limits"]}, "Pod QOS Class may not change as a result of resizing"),
        (LIMITED, {"limits": None}, "resource limits cannot be removed"),
        ({"requests": amounts(20, 35)}, {"requests": {"cpu": None}}, "resource requests cannot be removed"),
        (
            {"requests": {**amounts(20, 35), "ephemeral-storage": "1"}},
            {"requests": {"ephemeral-storage": "3"}},
            "only cpu and memory resources are mutable",
        ),
        (LIMITED, {"requests": {"cpu": "1"}}, "must be less than or equal to cpu limit of 35m"),
    ],
)
def test_resizes_that_are_refused(api: Client, before: Obj, after: Obj, why: str) -> None:
    """Not rows: "apply invalid resize patch requests" of the same file."""
    api.create("pods", pod(container={"resources": before}))
    body = {"spec": {"containers": [{"name": "pod-test", "resources": after}]}}
    refused = api.ask("PATCH", api.path("pods", "pod-test/resize"), body, STRATEGIC)
    assert refused.status == 422 and why in refused.obj["message"], refused.obj
    assert api.get("pods", "pod-test")["spec"]["containers"][0]["resources"] == before


# --- what else is refused or waits ------------------------------------------------------------------------------------


@row("Sysctls, reject invalid sysctls")
def test_bad_sysctls(api: Client) -> None:
    sysctls = [{"name": name, "value": "0"} for name in ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")]
    refused = api.try_create("pods", pod(securityContext={"sysctls": sysctls}))
    assert refused.status == 422
    for number in (0, 3):
        assert (
            f'spec.securityContext.sysctls[{number}].name: Invalid value: "{sysctls[number]["name"]}"'
            in refused.obj["message"]
        )
    assert "sysctls[1]" not in refused.obj["message"]


def test_readiness_gates(api: Client) -> None:
    """Not a conformance row: common/node/pods.go, "should support pod readiness gates"."""
    gates = [{"conditionType": f"k8s.io/test-condition{number}"} for number in (1, 2)]
    api.create("pods", pod(readinessGates=gates))
    api.phase("pod-test")

    def ready() -> bool:
        return (api.condition("pods", "pod-test", "Ready") or {}).get("status") == "True"

    def say(number: int, status: str) -> None:
        condition = {"type": f"k8s.io/test-condition{number}", "status": status}
        api.patch("pods", "pod-test/status", {"status": {"conditions": [condition]}})

    until(lambda: (api.condition("pods", "pod-test", "ContainersReady") or {}).get("status") == "True", "containers")
    say(1, "True")
    assert not ready()
    say(2, "True")
    until(ready, "both gates are open")
    say(1, "False")
    until(lambda: not ready(), "a gate is closed")
