"""TaintToleration: NoSchedule and NoExecute taints refuse pods that do not tolerate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from minik.sched.columns import Column
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.terms import untolerated


def fits(pod: PodInfo, cluster: Cluster) -> Column:
    tolerated = pod.spec.get("tolerations") or ()
    key = f"tolerated/{orjson.dumps(tolerated).decode()}"
    return cluster.column(key, lambda node: float(not node.taints or untolerated(node.taints, tolerated) is None))


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not cluster.tainted:
        return None
    tolerated = pod.spec.get("tolerations") or ()
    made: dict[str, No] = {}

    def check(node: NodeInfo) -> No | None:
        taint = untolerated(node.taints, tolerated) if node.taints else None
        if taint is None:
            return None
        reason = f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if reason not in made:
            made[reason] = No((reason,), resolvable=False, explain=lambda node: _explain(node, tolerated))
        return made[reason]

    return check


def _explain(node: NodeInfo, tolerated: Sequence[Mapping[str, Any]]) -> str:
    taint = untolerated(node.taints, tolerated)
    return f"the taint's effect is {taint['effect']}" if taint else ""


FILTER = Filter("TaintToleration", prepare, fits)
