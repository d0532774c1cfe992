"""The decisions of the binder, one by one: no API server, no time."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.meta import Key, Obj
from minik.api.storage_v1 import storageclass
from minik.controllers.common.bind_plan import BindPlan, plan_bind
from minik.controllers.common.node_directories import plan_directory
from minik.controllers.common.volume_promises import Promises
from minik.controllers.persistentvolume import plan_volume
from tests.support.cluster import named
from tests.unit.controllers.test_volumes import claim, storage_class, volume


def a_claim(*, bound_to: str = "", complete: bool = False, selected: str = "", **more: Any) -> Obj:
    made = claim("c", **more)
    made["metadata"] |= {"uid": "11111111-c", "annotations": {}}
    if bound_to:
        made["spec"]["volumeName"] = bound_to
    if complete:
        made["metadata"]["annotations"][volumes.BIND_COMPLETED] = "yes"
    if selected:
        made["metadata"]["annotations"][volumes.SELECTED_NODE] = selected
    return made


def a_volume(name: str = "v", *, uid: str | None = None, phase: str = "Available", **more: Any) -> Obj:
    """`uid`: of the claim that it names; "" for a claim of that name, whichever it is."""
    annotations = more.pop("annotations", {})
    made = volume(name, **more)
    made["metadata"]["annotations"] = annotations
    if uid is not None:
        made["spec"]["claimRef"] = {"namespace": "default", "name": "c"} | ({"uid": uid} if uid else {})
    return made | {"status": {"phase": phase}}


NOW, LATER = storage_class("now"), storage_class("later", mode="WaitForFirstConsumer")
CLASSES = {"now": NOW, "later": LATER}
MINE, OTHERS = "11111111-c", "22222222-d"


def said(plan: BindPlan) -> tuple[str, str]:
    return plan.step, meta.name(plan.volume) if plan.volume is not None else plan.reason


@pytest.mark.parametrize(
    ("the_claim", "named_volume", "candidates", "expected"),
    [
        (a_claim(), None, [], ("wait", "FailedBinding")),
        (a_claim(), None, [a_volume("b"), a_volume("a")], ("bind", "a")),
        (a_claim(), None, [a_volume("a", size="9Gi"), a_volume("b", size="2Gi")], ("bind", "b")),
        (a_claim(), None, [a_volume("a"), a_volume("z", size="9Gi", uid="")], ("bind", "z")),
        (a_claim(), None, [a_volume("tiny", size="1Mi", uid="")], ("wait", "FailedBinding")),
        (a_claim(), None, [a_volume(uid=OTHERS)], ("wait", "FailedBinding")),
        (a_claim(), None, [a_volume(phase="Released")], ("wait", "FailedBinding")),
        (a_claim(), None, [a_volume(volumeMode="Block")], ("wait", "FailedBinding")),
        (a_claim(modes=("ReadWriteMany",)), None, [a_volume()], ("wait", "FailedBinding")),
        (a_claim(cls="now"), None, [], ("provision", "")),
        (a_claim(cls="now"), None, [a_volume(cls="now")], ("bind", "v")),
        (a_claim(cls="later"), None, [a_volume(cls="later")], ("wait", "WaitForFirstConsumer")),
        (a_claim(cls="later", selected="n"), None, [a_volume(cls="later")], ("provision", "")),
        (a_claim(cls="later"), None, [a_volume(cls="later", uid=MINE)], ("bind", "v")),
        (a_claim(cls="unknown"), None, [], ("provision", "")),
        (a_claim(bound_to="v"), None, [], ("wait", "")),
        (a_claim(bound_to="v"), a_volume(), [], ("bind", "v")),
        (a_claim(bound_to="v"), a_volume(uid=MINE), [], ("bind", "v")),
        (a_claim(bound_to="v"), a_volume(uid=OTHERS), [], ("wait", "FailedBinding")),
        (a_claim(bound_to="v", cls="now"), a_volume(), [], ("wait", "VolumeMismatch")),
        (a_claim(bound_to="v", complete=True), a_volume(uid=MINE), [], ("settle", "v")),
        (a_claim(bound_to="v", complete=True), a_volume(), [], ("bind", "v")),
        (a_claim(bound_to="v", complete=True), a_volume(uid=OTHERS), [], ("lost", "ClaimMisbound")),
        (a_claim(bound_to="v", complete=True), None, [], ("lost", "ClaimLost")),
        (a_claim(complete=True), None, [], ("lost", "ClaimLost")),
    ],
)
def test_what_is_next_for_a_claim(
    the_claim: Obj, named_volume: Obj | None, candidates: list[Obj], expected: tuple[str, str]
) -> None:
    assert said(plan_bind(the_claim, named_volume, candidates, CLASSES)) == expected


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ((), ("WaitForFirstConsumer", "waiting for first consumer to be created before binding")),
        (("p",), ("WaitForPodScheduled", "waiting for pod p to be scheduled")),
        (("p", "q"), ("WaitForPodScheduled", "waiting for pods p,q to be scheduled")),
    ],
)
def test_whom_a_claim_waits_for(waiting: tuple[str, ...], expected: tuple[str, str]) -> None:
    plan = plan_bind(a_claim(cls="later"), None, [], CLASSES, waiting)
    assert (plan.step, plan.reason, plan.message) == ("wait", *expected)


def test_the_default_class_is_for_claims_that_name_none() -> None:
    default = storage_class("fast", default=True)
    default["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan_bind(a_claim(cls=None), None, [], {"fast": default}) == BindPlan("class", storage_class="fast")
    assert plan_bind(a_claim(cls=""), None, [], {"fast": default}).reason == "FailedBinding"


OURS, THEIRS = {volumes.PROVISIONED_BY: volumes.NODE_DIRECTORY}, {volumes.PROVISIONED_BY: "csi.example.com"}


@pytest.mark.parametrize(
    ("the_volume", "the_claim", "expected"),
    [
        (a_volume(), None, ("Available", "")),
        (a_volume(uid=""), None, ("Available", "")),
        (a_volume(uid=MINE), a_claim(bound_to="v"), ("Bound", "")),
        (a_volume(uid=MINE), a_claim(), ("", "")),
        (a_volume(uid=MINE), a_claim(bound_to="w"), ("Available", "unbind")),
        (
            a_volume(uid=MINE, annotations=OURS, persistentVolumeReclaimPolicy="Delete"),
            a_claim(bound_to="w"),
            ("Released", "delete"),
        ),
        (a_volume(uid=MINE), None, ("Released", "")),
        (a_volume(uid=MINE, annotations=OURS), None, ("Released", "")),
        (a_volume(uid=MINE, annotations=OURS, persistentVolumeReclaimPolicy="Delete"), None, ("Released", "delete")),
        (a_volume(uid=MINE, annotations=THEIRS, persistentVolumeReclaimPolicy="Delete"), None, ("Released", "")),
        (a_volume(uid=MINE, persistentVolumeReclaimPolicy="Delete"), None, ("Failed", "")),
        (a_volume(uid=MINE, persistentVolumeReclaimPolicy="Recycle"), None, ("Failed", "")),
    ],
)
def test_what_becomes_of_a_volume(the_volume: Obj, the_claim: Obj | None, expected: tuple[str, str]) -> None:
    plan = plan_volume(the_volume, the_claim)
    assert (plan.phase, plan.action) == expected
    assert bool(plan.message) == (plan.phase == "Failed")


def a_node(name: str, *, ready: bool = True, zone: str = "a", **spec: Any) -> Obj:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return named(name, labels={"kubernetes.io/hostname": name, "zone": zone}, spec=spec, status=status)


def test_on_which_node_a_directory_lies() -> None:
    nodes = [a_node("n1", ready=False), a_node("n2", unschedulable=True), a_node("n3", zone="b"), a_node("n4")]
    only_b = {**NOW, "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]}

    def node_of(the_claim: Obj, cls: Obj) -> str:
        made = plan_directory(the_claim, cls, nodes).volume
        return meta.labels(made)[volumes.NODE_LABEL] if made is not None else ""

    assert node_of(a_claim(), only_b) == "n3"
    assert node_of(a_claim(), NOW) in ("n3", "n4") and node_of(a_claim(), NOW) == node_of(a_claim(), NOW)
    assert node_of(a_claim(selected="n1"), NOW) == "n1", "the scheduler knows what it does"
    assert plan_directory(a_claim(selected="gone"), LATER, nodes).node_is_gone
    assert plan_directory(a_claim(), NOW, nodes[:2]).problem == "no node is ready to take the volume"
    assert "block device" in plan_directory(a_claim(volumeMode="Block"), NOW, nodes).problem


def test_promises() -> None:
    woken: list[Key] = []
    promises, one = Promises(woken.append), Key("default", "one")
    promises.give("v", one)
    assert promises.is_promised("v") and promises.has_one(one) and not promises.is_promised("w")
    assert promises.take_back(one) == "v" and promises.take_back(one) == ""
    assert not promises.is_promised("v") and not promises.has_one(one)


def test_of_several_default_classes_the_newest_then_the_first_by_name() -> None:
    classes = [storage_class(name, default=name != "none") for name in ("c", "b", "a", "none")]
    for each, day in zip(classes, (2, 2, 1, 3), strict=True):
        each["metadata"]["creationTimestamp"] = f"2026-01-0{day}T00:00:00Z"
    for order in (classes, classes[::-1]):
        assert meta.name(storageclass.default_of(order) or {}) == "b"
