"""pods/eviction (policy/v1): what `kubectl drain` sends. A delete with the given options that a disruption budget may refuse.

Until PodDisruptionBudgets are served nothing refuses; `refused` is the answer for when something does.
"""

from __future__ import annotations

from dataclasses import replace

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import TooManyRequests
from minik.api.meta import Obj, ROObj
from minik.server import lifecycle, resources
from minik.server.core import Core
from minik.server.decode import decode_object
from minik.server.options import DeleteOptions, field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import attributes, check_name


async def create(core: Core, request: Request) -> Response:
    eviction = decode_object(
        request, group="policy", version="v1", kind="Eviction", schema="io.k8s.api.policy.v1.Eviction",
        validation=field_validation(request),
    )  # fmt: skip
    check_name(eviction, request, must=False)
    given = eviction.get("deleteOptions") or {}
    preconditions = given.get("preconditions") or {}
    options = DeleteOptions(
        grace_period_seconds=given.get("gracePeriodSeconds"),
        propagation_policy=given.get("propagationPolicy") or "",
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=is_dry_run(request, body=given),
    )
    await _say_why(core, request, options)
    options = replace(options, resource_version="")  # has been checked, and the mark has made a new one
    own = attributes(request, dry_run=options.dry_run, verb="delete")
    own.subresource = ""
    await resources.delete(core, own, options)
    return Response(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def _say_why(core: Core, request: Request, options: DeleteOptions) -> None:
    """Mark the pod as disrupted (KEP-3329), so that its Job need not count this as a failure of its own."""
    own = attributes(request, dry_run=options.dry_run, verb="update")
    own.subresource = "status"
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": times.format_time(core.clock.now()),
    }

    def marked(old: ROObj) -> Obj:
        lifecycle.check_preconditions(old, own.kind, uid=options.uid, resource_version=options.resource_version)
        draft = meta.draft(old)
        if pods.is_finished(old) or meta.is_deleting(old):
            return draft
        status = draft.setdefault("status", {})
        others = [c for c in status.get("conditions") or () if c["type"] != condition["type"]]
        status["conditions"] = [*others, condition]
        return draft

    await resources.update(core, own, marked)


def refused(budget: str, healthy: int, wanted: int) -> TooManyRequests:
    """429 with the cause by which `kubectl drain` knows to try again."""
    why = f"The disruption budget {budget} needs {wanted} healthy pods and has {healthy} currently"
    return TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": why}]},
    )
