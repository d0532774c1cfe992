"""HorizontalPodAutoscalers over containers that use what their command says (`load 250m`), asked of the nodes themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta, quantity
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from tests.support.simulation.subjects.subject import Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

AUTOSCALERS = "horizontalpodautoscalers.autoscaling"
_TARGETS = {
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}
_REQUEST, _TOLERANCE = 100, 0.1
"""Thousandths of a core; and how far from its goal a ratio may be (--horizontal-pod-autoscaler-tolerance)."""


def _load(user: User) -> list[str]:
    return ["load", user.rng.choice(("0", "40m", "100m", "150m", "400m"))]


def target(kind: str, name: str, namespace: str, command: list[str], replicas: int) -> Obj:
    """What is scaled: pods that all use the same."""
    container: Obj = {
        "name": "c",
        "image": "app:1",
        "resources": {"requests": {"cpu": f"{_REQUEST}m"}},
        "command": command,
    }
    template: Obj = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    template["spec"]["terminationGracePeriodSeconds"] = 1
    spec: Obj = {"replicas": replicas, "template": template}
    if kind == "ReplicationController":
        spec["selector"] = {"app": name}
    else:
        spec["selector"] = {"matchLabels": {"app": name}}
    if kind == "StatefulSet":
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def autoscaler(kind: str, name: str, namespace: str, metric: Obj, least: int, most: int) -> Obj:
    """`metric`: the `resource` of its only one."""
    version = "v1" if kind == "ReplicationController" else "apps/v1"
    reference = {"apiVersion": version, "kind": kind, "name": name}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": metric}}]
    spec: Obj = {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most, "metrics": metrics}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


async def create_autoscaled(user: User) -> None:
    rng, name, namespace = user.rng, user.new_name("hpa"), user.namespace()
    kind = rng.choice(sorted(_TARGETS))
    await user.create(_TARGETS[kind], target(kind, name, namespace, _load(user), rng.randint(0, 3)))
    goal: Obj = {"type": "Utilization", "averageUtilization": rng.choice((50, 100))}
    if rng.random() < 0.5:
        goal = {"type": "AverageValue", "averageValue": rng.choice(("60m", "100m"))}
    made = autoscaler(kind, name, namespace, goal, rng.randint(1, 2), rng.randint(2, 6))
    if rng.random() < 0.7:
        policy = {"type": "Pods", "value": rng.choice((1, 10)), "periodSeconds": 15}
        made["spec"]["behavior"] = {
            "scaleDown": {"stabilizationWindowSeconds": rng.choice((0, 30)), "policies": [policy]},
            "scaleUp": {"stabilizationWindowSeconds": rng.choice((0, 20))},
        }
    await user.create(AUTOSCALERS, made)


async def change_load(user: User) -> None:
    """Of something that is scaled, if there is any."""
    chosen = await user.some(AUTOSCALERS)
    if chosen is None:
        return
    reference = chosen["spec"]["scaleTargetRef"]
    container = {"name": "c", "command": _load(user)}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    resource = _TARGETS[reference["kind"]]
    await user.client.patch(resource, reference["name"], meta.namespace(chosen), patch, type="strategic")


async def change_bounds(user: User) -> None:
    least = user.rng.randint(1, 4)
    most = least + user.rng.randint(0, 3)
    await user.change(AUTOSCALERS, lambda draft: draft["spec"].update(minReplicas=least, maxReplicas=most))


async def delete_autoscaler(user: User) -> None:
    await user.delete(AUTOSCALERS)


async def tidy(user: User) -> None:
    """What was scaled to nothing is not scaled by anybody."""
    for chosen in (await user.client.list(AUTOSCALERS)).items:
        reference, namespace = chosen["spec"]["scaleTargetRef"], meta.namespace(chosen)
        resource = _TARGETS[reference["kind"]]
        for each in (await user.client.list(resource, namespace)).items:
            if meta.name(each) == reference["name"] and not each["spec"]["replicas"]:
                await user.client.patch(resource, reference["name"], namespace, {"spec": {"replicas": 1}})


def _ratio(hpa: ROObj, running: list[ROObj]) -> float:
    """What the pods use over what they should."""
    used = sum(quantity.parse(pods.containers(pod)[0]["command"][1]).milli() for pod in running)
    goal = hpa["spec"]["metrics"][0]["resource"]["target"]
    if goal["type"] == "Utilization":
        asked = sum(pods.pod_requests(pod)["cpu"] for pod in running)
        return used / asked * 100 / float(goal["averageUtilization"])
    return used / len(running) / quantity.parse(goal["averageValue"]).milli()


def _is_steady(hpa: ROObj, ratio: float, number: int) -> bool:
    least, most = int(hpa["spec"]["minReplicas"]), int(hpa["spec"]["maxReplicas"])
    wanted = number if abs(ratio - 1) <= _TOLERANCE else math.ceil(ratio * number - 1e-9)
    return number == min(max(wanted, least), most)


def unsettled(view: View) -> Iterator[str]:
    """A target has as many replicas as the use of its pods asks for, within the bounds, and its autoscaler says so."""
    for hpa in view.all(AUTOSCALERS):
        reference, status, what = hpa["spec"]["scaleTargetRef"], hpa.get("status") or {}, f"autoscaler {name_of(hpa)}"
        scaled = [
            obj
            for obj in view.all(_TARGETS[reference["kind"]])
            if meta.name(obj) == reference["name"] and meta.namespace(obj) == meta.namespace(hpa)
        ]
        if not scaled:
            able = meta.condition(hpa, "AbleToScale") or {}
            if able.get("status") != "False":
                yield f"{what}: has no target, and says {able.get('status')} {able.get('reason')}"
            continue
        number = scaled[0]["spec"]["replicas"]
        if (status.get("currentReplicas"), status.get("desiredReplicas")) != (number, number):
            yield f"{what}: says {status.get('currentReplicas')} of {status.get('desiredReplicas')}, there are {number}"
        running = [
            pod
            for pod in view.all("pods")
            if meta.namespace(pod) == meta.namespace(hpa)
            and meta.labels(pod).get("app") == reference["name"]
            and pods.is_active(pod)
        ]
        known = (
            running
            and len(running) == number
            and all(pods.containers(pod)[0].get("command", ("",))[0] == "load" for pod in running)
        )
        if known and not _is_steady(hpa, _ratio(hpa, running), number):
            yield f"{what}: {number} replicas use another amount than its goal"


SUBJECT = Subject(
    "autoscaling",
    actions=(
        (create_autoscaled, 4.0), (change_load, 3.0), (change_bounds, 1.5), (delete_autoscaler, 0.5),
    ),
    starts=(create_autoscaled,),
    tidy=tidy,
    unsettled=unsettled,
)  # fmt: skip
