"""TaintNodesByCondition: a node that says it is not ready when it is created takes no pods from the first moment on.

The node lifecycle controller would say so a moment later, and takes the taint away when the node is ready. Source: upstream's admission
plugin `nodetaint`, which taints every new node; a Node object without a word on its readiness is left alone here, as there may be nobody
behind it who will ever say more.
"""

from __future__ import annotations

from minik.api import meta
from minik.api.meta import Obj
from minik.server.core import Attributes, Core

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def admit_node_taints(_core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "nodes" or attributes.verb != "create" or attributes.subresource:
        return
    ready = meta.condition(draft, "Ready")
    if ready is None or ready.get("status") == "True":
        return
    taints = (draft.get("spec") or {}).get("taints") or []
    if not any((t.get("key"), t.get("effect")) == (NOT_READY["key"], NOT_READY["effect"]) for t in taints):
        draft["spec"] = {**(draft.get("spec") or {}), "taints": [*taints, dict(NOT_READY)]}
