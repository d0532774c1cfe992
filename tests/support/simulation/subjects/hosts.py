"""Zones, nodes that are drained and tainted by people, and pods that do not wait long for a node that is lost.

Nodes are lost by faults (`faults.py`); a run with this subject takes longer, so that the control plane notices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import StatusError
from minik.api.meta import Key, Obj, ROObj
from tests.support.simulation.subjects.subject import NoLook, Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_TAINT = "simulation.test/broken"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


async def label_zones(user: User) -> None:
    for number, node in enumerate((await user.client.list("nodes")).items):
        labels = {ZONE: f"zone-{number % 2}", REGION: "here"}
        await user.client.patch("nodes", meta.name(node), "", {"metadata": {"labels": labels}})


async def create_impatient(user: User) -> None:
    """Pods that give a lost node a few seconds only; spread over zones as far as that goes."""
    rng, name, namespace = user.rng, user.new_name("short"), user.namespace()
    template = user.template(name)
    seconds = rng.choice((0, 5, 20))
    template["spec"]["tolerations"] = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in _LOST
    ]
    spread = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway"}
    template["spec"]["topologySpreadConstraints"] = [{**spread, "labelSelector": {"matchLabels": {"app": name}}}]
    spec: Obj = {"replicas": rng.randint(2, 4), "selector": {"matchLabels": {"app": name}}, "template": template}
    await user.create("deployments.apps", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


def _taints(node: ROObj) -> list[Obj]:
    return list(node["spec"].get("taints") or ())


async def _some_node(user: User) -> ROObj | None:
    found = (await user.client.list("nodes")).items
    return user.rng.choice(found) if found else None


async def taint_node(user: User) -> None:
    node = await _some_node(user)
    if node is None:
        return
    effect = user.rng.choice(("NoExecute", "NoSchedule"))
    others = [taint for taint in _taints(node) if taint["key"] != _TAINT]
    await _set_taints(user, node, [*others, {"key": _TAINT, "effect": effect}])


async def untaint_node(user: User) -> None:
    node = await _some_node(user)
    if node is not None:
        await _set_taints(user, node, [taint for taint in _taints(node) if taint["key"] != _TAINT])


async def _set_taints(user: User, node: ROObj, taints: list[Obj]) -> None:
    patch = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": taints or None}}
    await user.client.patch("nodes", meta.name(node), "", patch)
    user.say(f"tainted {meta.name(node)}: {[taint['key'] for taint in taints]}")


async def drain(user: User) -> None:
    """`kubectl drain`, as far as the budgets let it."""
    node = await _some_node(user)
    if node is None:
        return
    await user.client.patch("nodes", meta.name(node), "", {"spec": {"unschedulable": True}})
    for pod in (await user.client.list("pods")).items:
        owner = meta.controller_of(pod) or {}
        if pods.node_name(pod) == meta.name(node) and owner.get("kind") != "DaemonSet":
            try:
                await user.client.evict(Key(meta.namespace(pod), meta.name(pod)))
            except StatusError as error:
                user.say(f"did not evict {meta.key(pod)}: {error.reason}")
    user.say(f"drained {meta.name(node)}")


async def restore(user: User, node: ROObj) -> None:
    """What people said of a node is taken back."""
    own = [taint for taint in _taints(node) if taint["key"] in (_TAINT, OUT_OF_SERVICE)]
    if own:
        await _set_taints(user, node, [taint for taint in _taints(node) if taint not in own])


class _Ranges(NoLook):
    """No two nodes have one range of pod addresses."""

    resources = ("nodes",)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ranges: dict[str, str] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        before = (old or {}).get("spec", {}).get("podCIDR")
        after = (new or {}).get("spec", {}).get("podCIDR")
        if before == after:
            return
        if before and self._ranges.get(before) == key:
            del self._ranges[before]
        if before and after:
            self._problem(f"{key} had {before} and has {after}")
        if after and self._ranges.setdefault(after, key) != key:
            self._problem(f"{key} and {self._ranges[after]} both have {after}")


def unsettled(view: View) -> Iterator[str]:
    there = {meta.name(node): node for node in view.all("nodes")}
    for node in there.values():
        if not node["spec"].get("podCIDR"):
            yield f"node {name_of(node)}: has no range of addresses"
    for pod in view.all("pods"):
        if pods.node_name(pod) and pods.node_name(pod) not in there:
            yield f"pod {name_of(pod)}: is on {pods.node_name(pod)}, which is gone"


SUBJECT = Subject(
    "hosts",
    actions=(
        (create_impatient, 3.0), (taint_node, 1.5), (untaint_node, 2.0), (drain, 1.0),
        (label_zones, 0.5),
    ),
    starts=(label_zones, create_impatient),
    unsettled=unsettled,
    watchers=(_Ranges,),
)  # fmt: skip
