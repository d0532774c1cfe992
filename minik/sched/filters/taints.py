"""TaintToleration: NoSchedule and NoExecute taints refuse pods that do not tolerate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from minik.sched.columns import Column
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.terms import untolerated

REASON = "node(s) had untolerated taint(s)"
"""Upstream's words since 1.34.2 (kubernetes/kubernetes#134740): Events and conditions name no taint; the explanation does."""


def fits(pod: PodInfo, cluster: Cluster) -> Column:
    tolerated = pod.spec.get("tolerations") or ()
    key = f"tolerated/{orjson.dumps(tolerated).decode()}"
    return cluster.column(key, lambda node: float(not node.taints or untolerated(node.taints, tolerated) is None))


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not cluster.tainted:
        return None
    tolerated = pod.spec.get("tolerations") or ()
    no = No((REASON,), resolvable=False, explain=lambda node: _explain(node, tolerated))

    def check(node: NodeInfo) -> No | None:
        taint = untolerated(node.taints, tolerated) if node.taints else None
        if taint is None:
            return None
        return no

    return check


def _explain(node: NodeInfo, tolerated: Sequence[Mapping[str, Any]]) -> str:
    taint = untolerated(node.taints, tolerated)
    return f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" if taint else ""


FILTER = Filter("TaintToleration", prepare, fits)
