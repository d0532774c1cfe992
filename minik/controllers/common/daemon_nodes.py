"""On which nodes a DaemonSet's pods belong, and what a pod for one of them looks like. Pure (kubernetes `pkg/controller/daemon/util`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.apps_v1.daemonset import template_generation
from minik.api.core_v1 import node_selectors, pods
from minik.api.core_v1.tolerations import tolerates
from minik.api.meta import Obj, ROObj
from minik.controllers.common.history import HASH
from minik.controllers.common.replicas import pod_from_template
from minik.controllers.common.settled_names import settled_suffix

GENERATION = "pod-template-generation"
_NODE = "node.kubernetes.io/"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


@dataclass(frozen=True, slots=True)
class Fit:
    """`runs`: a pod belongs on the node. `stays`: one that is there already may stay."""

    runs: bool
    stays: bool


_NEITHER, _BOTH = Fit(False, False), Fit(True, True)


def tolerations(spec: ROObj) -> list[Obj]:
    """A daemon pod's tolerations: its own, and those of the troubles that a node may have."""
    own = list(spec.get("tolerations") or ())
    wanted = [*_TOLERATED, *((("network-unavailable", "NoSchedule"),) if spec.get("hostNetwork") else ())]
    for name, effect in wanted:
        toleration = {"key": f"{_NODE}{name}", "operator": "Exists", "effect": effect}
        same = [t for t in own if {k: t.get(k) for k in toleration} == toleration and not t.get("value")]
        own = [toleration if t in same else t for t in own] if same else [*own, toleration]
    return own


def fitting(daemon_set: ROObj) -> Callable[[ROObj], Fit]:
    """node → whether the DaemonSet runs on it (NodeShouldRunDaemonPod)."""
    spec = daemon_set["spec"]["template"].get("spec") or {}
    only, selector = spec.get("nodeName") or "", (spec.get("nodeSelector") or {}).items()
    required = _node_affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    own = tolerations(spec)

    def fits(node: ROObj) -> Fit:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if only and only != name:
            return _NEITHER
        if any(labels.get(key) != value for key, value in selector):
            return _NEITHER
        if required and not node_selectors.matches(required, labels, name):
            return _NEITHER
        against = [t["effect"] for t in (node.get("spec") or {}).get("taints") or () if not tolerates(own, t)]
        if "NoExecute" in against:
            return _NEITHER
        return Fit(False, True) if "NoSchedule" in against else _BOTH

    return fits


def fit(daemon_set: ROObj, node: ROObj) -> Fit:
    """The same for one node."""
    return fitting(daemon_set)(node)


def _node_affinity(spec: ROObj) -> dict[str, Any]:
    return (spec.get("affinity") or {}).get("nodeAffinity") or {}


def daemon_pod(
    daemon_set: ROObj, node: str, revision_hash: str, *, there: Sequence[ROObj] = (), after: str = ""
) -> Obj:
    """A new pod that only that node can take; the scheduler binds it. `there`: the pods that the node has already; `after`: the uid of
    one of that revision that has gone. The name follows from them (`settled_names.py`)."""
    pod = pod_from_template(daemon_set)
    known = sorted(meta.uid(each) for each in there) + ([after] if after else [])
    suffix = settled_suffix(meta.uid(daemon_set), node, revision_hash, *known)
    pod["metadata"]["name"] = f"{meta.name(daemon_set)[:57]}-{suffix}"
    labels = {**(pod["metadata"].get("labels") or {}), HASH: revision_hash}
    pod["metadata"]["labels"] = labels | {GENERATION: str(template_generation(daemon_set))}
    spec = pod["spec"]
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {
        **(spec.get("affinity") or {}),
        "nodeAffinity": {
            **_node_affinity(spec),
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
        },
    }
    pod["spec"] = {**spec, "affinity": affinity, "tolerations": tolerations(spec)}
    return pod


def target_node(pod: ROObj) -> str:
    """The node that a daemon pod is on or is meant for; "" if it is no daemon pod."""
    if pods.node_name(pod):
        return pods.node_name(pod)
    required = _node_affinity(pod["spec"]).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("operator") == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""
