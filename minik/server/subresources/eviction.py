"""pods/eviction (policy/v1): what `kubectl drain` sends. A delete with the given options that a disruption budget may refuse.

Until PodDisruptionBudgets are served nothing refuses; `refused` is the answer for when something does.
"""

from __future__ import annotations

from minik.api.errors import TooManyRequests
from minik.server import resources
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
    own = attributes(request, dry_run=options.dry_run, verb="delete")
    own.subresource = ""
    await resources.delete(core, own, options)
    return Response(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def refused(budget: str, healthy: int, wanted: int) -> TooManyRequests:
    """429 with the cause by which `kubectl drain` knows to try again."""
    why = f"The disruption budget {budget} needs {wanted} healthy pods and has {healthy} currently"
    return TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": why}]},
    )
