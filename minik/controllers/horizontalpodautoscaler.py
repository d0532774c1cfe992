"""HorizontalPodAutoscaler (autoscaling/v2): as many replicas of a target as its metrics ask for.

Looks at every autoscaler when its spec changes and then every 15 seconds, as long as it exists; without autoscalers nothing is done, and
what does it (`common/hpa_reconcile.py`) is not even imported. What was recommended lately is remembered in the process alone, as upstream
does.
"""

from __future__ import annotations

from minik.api.autoscaling_v2.horizontalpodautoscaler import RESOURCE
from minik.api.meta import Key
from minik.client.controller import DONE, Context, Controller, Result, can

PERIOD = 15.0
"""Seconds between two looks at an autoscaler (--horizontal-pod-autoscaler-sync-period)."""


def controller(period: float = PERIOD) -> Controller:
    """`period`: seconds between two looks at an autoscaler."""

    async def reconcile(ctx: Context, key: Key) -> Result:
        if not ctx.state and ctx.cache(RESOURCE).get(key) is None:
            return DONE
        from minik.controllers.common import hpa_reconcile

        if not ctx.state:
            ctx.state.append(hpa_reconcile.State())
        return await hpa_reconcile.reconcile(ctx, key, ctx.state[0], period)

    return Controller(
        "horizontal-pod-autoscaler",
        primary=RESOURCE,
        when=lambda old, new: old["spec"] != new["spec"],
        caches=("pods",),
        state=lambda _setup: [],
        reconcile=reconcile,
        rbac=[
            can("update", f"{RESOURCE}/status"),
            can("get,update", "*/scale"),
            can("list", "pods.metrics.k8s.io"),
            can("get,list", "*.custom.metrics.k8s.io"),
            can("get,list", "*.external.metrics.k8s.io"),
        ],
        component="horizontal-pod-autoscaler",
    )


CONTROLLER = controller()
