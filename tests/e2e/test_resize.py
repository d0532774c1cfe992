"""Resizing in place (KEP-1287) by stock kubectl: what the containers' own cgroups say after it. The calls and figures are those of
upstream's rows (test/e2e/common/node/pod_resize.go)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import OneNode, pod
from tests.support.e2e import row
from tests.support.kubectl import Kubectl

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]

MEGA = 1 << 20
V1 = "cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes"
V2 = "cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max"


def sizes(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def amounts(cpu: int = 0, memory: int = 0) -> dict[str, str]:
    return {name: text for name, number, text in (("cpu", cpu, f"{cpu}m"), ("memory", memory, f"{memory}Mi")) if number}


def guaranteed(cpu: int, memory: int) -> dict[str, Any]:
    return sizes(amounts(cpu, memory), amounts(cpu, memory))


def milli(resources: dict[str, Any], which: str) -> int:
    return int(resources.get(which, {}).get("cpu", "0m").removesuffix("m"))


def memory_limit(resources: dict[str, Any]) -> int:
    return int(resources.get("limits", {}).get("memory", "0Mi").removesuffix("Mi")) * MEGA


def weight(shares: int) -> int:
    """cgroup v2's cpu.weight for v1's cpu.shares, as runc converts them."""
    return 1 + (shares - 2) * 9999 // 262142


def check(kubectl: Kubectl, name: str, resources: dict[str, Any]) -> None:
    """That a container's cgroup is what `resources` say."""
    shares = max(milli(resources, "requests") * 1024 // 1000, 2)
    quota = max(milli(resources, "limits") * 100, 1000) if milli(resources, "limits") else 0
    words = kubectl("exec", "p", "-c", name, "--", "sh", "-c", f"[ -e /sys/fs/cgroup/cpu.max ] && {V2} || {V1}").split()
    if len(words) == 4:  # v2: "quota period"
        assert words[:2] == [str(weight(shares)), str(quota or "max")]
        assert words[3] == str(memory_limit(resources) or "max")
        return
    assert words[:2] == [str(shares), str(quota or -1)]
    assert int(words[2]) == memory_limit(resources) or (not memory_limit(resources) and int(words[2]) > 1 << 50)


def resize(kubectl: Kubectl, wanted: dict[str, dict[str, Any]]) -> str:
    containers = [{"name": name, "resources": resources} for name, resources in wanted.items()]
    return kubectl("patch", "pod", "p", "--subresource=resize", "-p", json.dumps({"spec": {"containers": containers}}))


def settled(kubectl: Kubectl, wanted: dict[str, dict[str, Any]]) -> Any:
    """The pod, once its node says that every container has what is wanted."""

    def is_there(text: str) -> bool:
        status = json.loads(text)["status"]
        has = {c["name"]: c.get("resources") for c in status.get("containerStatuses", ())}
        return has == wanted and not any(c["type"].startswith("PodResize") for c in status["conditions"])

    kubectl.eventually(is_there, "get", "pod", "p", "-o", "json")
    return kubectl.get("pod", "p")


def run(kubectl: Kubectl, sized: dict[str, dict[str, Any]], **more: object) -> None:
    made = pod("p", "trap 'exit 0' TERM; sleep 1d & wait", restartPolicy="OnFailure")
    spec: Any = made["spec"]
    (container,) = spec["containers"]
    spec["containers"] = [container | {"name": name, "resources": each, **more} for name, each in sized.items()]
    kubectl.apply(made)
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")


THREE = {"c1": guaranteed(20, 35), "c2": guaranteed(22, 37), "c3": guaranteed(24, 39)}
ROWS = [
    pytest.param(
        THREE,
        {"c1": guaranteed(25, 40), "c2": guaranteed(27, 42), "c3": guaranteed(19, 34)},
        id="net increase",
    ),
    pytest.param(
        THREE,
        {"c1": guaranteed(25, 40), "c2": guaranteed(17, 32), "c3": guaranteed(19, 34)},
        id="net decrease",
    ),
    pytest.param(
        THREE,
        {"c1": guaranteed(25, 35), "c2": guaranteed(17, 42), "c3": guaranteed(29, 44)},
        id="various",
    ),
    pytest.param(
        {"c1": sizes(amounts(2), amounts(10))},
        {"c1": sizes(amounts(1), amounts(5))},
        id="equivalents",
    ),
]


@row(
    "In-place Pod Resize, guaranteed pods with multiple containers, net increase",
    "In-place Pod Resize, guaranteed pods with multiple containers, net decrease",
    "In-place Pod Resize, guaranteed pods with multiple containers, various operations",
    "In-place Pod Resize, burstable pod resized with equivalents",
)
@pytest.mark.parametrize(("before", "after"), ROWS)
def test_there_and_back(kubectl: Kubectl, before: dict[str, Any], after: dict[str, Any]) -> None:
    run(kubectl, before)
    settled(kubectl, before)
    for wanted in (after, before):
        resize(kubectl, wanted)
        got = settled(kubectl, wanted)
        assert [c["restartCount"] for c in got["status"]["containerStatuses"]] == [0] * len(wanted)
        for name, resources in wanted.items():
            check(kubectl, name, resources)


@row("In-place Pod Resize, burtable pod with multiple containers and various operations")
def test_limits_and_requests_are_added(kubectl: Kubectl) -> None:
    run(kubectl, {
        "c1": sizes(amounts(20)), "c2": sizes(amounts(0, 35)), "c3": sizes(amounts(20, 35)), "c4": sizes(amounts(20)),
        "c5": sizes(amounts(0, 35)),
    })  # fmt: skip
    after = {
        "c1": sizes(amounts(25), amounts(35)), "c2": sizes(amounts(0, 30), amounts(0, 50)), "c3": sizes(amounts(20, 30)),
        "c4": sizes(amounts(15, 35)), "c5": sizes(amounts(20, 40)),
    }  # fmt: skip
    resize(kubectl, after)
    settled(kubectl, after)
    for name, resources in after.items():
        check(kubectl, name, resources)


def test_a_restart_if_the_policy_wants_one(kubectl: Kubectl, one: OneNode) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    run(kubectl, {"c1": guaranteed(20, 35)}, resizePolicy=policy)
    for number, wanted in enumerate((guaranteed(25, 35), guaranteed(25, 40))):
        resize(kubectl, {"c1": wanted})
        kubectl.eventually(str(number), "get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
        settled(kubectl, {"c1": wanted})
        check(kubectl, "c1", wanted)
    assert kubectl.get("pod", "p")["status"]["phase"] == "Running"


def test_what_cannot_be(kubectl: Kubectl) -> None:
    """More than the node has, less than is used: both are said, and taken back."""
    run(kubectl, {"c1": guaranteed(20, 35)})
    resize(kubectl, {"c1": guaranteed(9_000_000, 35)})
    path = "jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}"
    kubectl.eventually("Infeasible", "get", "pod", "p", "-o", path)
    tiny = sizes({"cpu": "20m", "memory": "10Ki"}, {"cpu": "20m", "memory": "10Ki"})
    resize(kubectl, {"c1": tiny})
    path = "jsonpath={.status.conditions[?(@.type=='PodResizeInProgress')].message}"
    kubectl.eventually(lambda text: "memory limit (10240) below current usage" in text, "get", "pod", "p", "-o", path)
    assert kubectl.get("pod", "p")["status"]["containerStatuses"][0]["resources"] == guaranteed(20, 35)
    resize(kubectl, {"c1": guaranteed(20, 30)})
    settled(kubectl, {"c1": guaranteed(20, 30)})
    check(kubectl, "c1", guaranteed(20, 30))
