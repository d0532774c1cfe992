"""pods/eviction (policy/v1): what `kubectl drain` sends, and the scheduler's preemption. A delete with the given options that a
disruption budget may refuse.

Which pods need no leave and how a pod is marked is here (kubernetes `pkg/registry/core/pod/storage/eviction.go`); how a budget gives
leave, exactly, is in `budgets.py`. The scheduler preempts through the same door: its Eviction carries the annotation
`minik.io/preempted-by: <scheduler name>`, and the pod's condition says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import Conflict
from minik.api.meta import Obj, ROObj
from minik.server import lifecycle, resources
from minik.server.core import Core
from minik.server.decode import decode_object
from minik.server.options import DeleteOptions, field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.subresources import budgets
from minik.server.verbs.common import attributes, check_name, kind_of

_SCHEDULER = "system:kube-scheduler"
_MASTERS = "system:masters"
_TRIES = 20


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
    await core.webhooks.hear(core, attributes(request, dry_run=options.dry_run), "CREATE", eviction)
    held: list[Callable[[], None]] = []

    def hold() -> None:
        if not held:
            held.append(core.reserved.hold(budgets.EVICTIONS, f"{request.info.namespace}/{request.info.name}"))

    try:
        await _evict(core, request, options, _reason(request, eviction), hold)
    finally:
        for release in held:
            release()
    return Response(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _reason(request: Request, eviction: ROObj) -> tuple[str, str]:
    """(reason, message) of the condition that says why the pod goes."""
    scheduler = meta.annotations(eviction).get(pods.PREEMPTED_BY)
    if scheduler and (request.user.name == _SCHEDULER or _MASTERS in request.user.groups):
        return "PreemptionByScheduler", f"{scheduler}: preempting to accommodate a higher priority pod"
    return "EvictionByEvictionAPI", "Eviction API: evicting"


def needs_no_leave(pod: ROObj) -> bool:
    """Whether the pod disrupts nothing by going: it has ended, is going, or has not begun (canIgnorePDB)."""
    return pods.is_finished(pod) or pods.phase(pod) == "Pending" or meta.is_deleting(pod)


async def _evict(
    core: Core, request: Request, options: DeleteOptions, reason: tuple[str, str], hold: Callable[[], None]
) -> None:
    """Ask the budget, mark the pod and delete it: again, if it became another meanwhile and nobody insists on one state of it.
    `hold` is called, without anything coming in between, when it is settled that the pod may go."""
    kind = kind_of(request)
    own = attributes(request, dry_run=options.dry_run)
    for tries_left in range(_TRIES, 0, -1):
        pod = resources.get(core, kind, own.namespace, own.name).obj
        lifecycle.check_preconditions(pod, kind, uid=options.uid, resource_version=options.resource_version)
        unmoved, budget = False, None
        if needs_no_leave(pod):
            unmoved = pods.phase(pod) == "Pending" and not meta.is_deleting(pod)
        else:
            budget = budgets.guarding(core, pod)
            if budget is not None and not pods.is_ready(pod) and budgets.lets_unhealthy_go(budget):
                unmoved = True
            elif budget is not None:
                await budgets.take(core, budget, pod, own, hold)
        bound = replace(options, uid=meta.uid(pod))
        if unmoved:
            hold()  # it went without leave for what it is; it must still be that
            bound = replace(bound, resource_version=pod["metadata"]["resourceVersion"])
        try:
            await _mark_and_delete(core, request, bound, reason)
            return
        except Conflict:
            if options.uid or options.resource_version or tries_left == 1:
                raise
            if unmoved and budget is not None:
                raise budgets.lagging(meta.name(budget)) from None


async def _mark_and_delete(core: Core, request: Request, options: DeleteOptions, reason: tuple[str, str]) -> None:
    if not options.dry_run:
        await _say_why(core, request, options, reason)
        options = replace(options, resource_version="")  # has been checked, and the mark has made a new one
    own = attributes(request, dry_run=options.dry_run, verb="delete")
    own.subresource, own.hooked = "", False
    await resources.delete(core, own, options)


async def _say_why(core: Core, request: Request, options: DeleteOptions, reason: tuple[str, str]) -> None:
    """Mark the pod as disrupted (KEP-3329), so that its Job need not count this as a failure of its own."""
    own = attributes(request, verb="update")
    own.subresource, own.hooked = "status", False
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason[0],
        "message": reason[1],
        "lastTransitionTime": times.format_time(core.clock.now()),
    }

    def marked(old: ROObj) -> Obj:
        lifecycle.check_preconditions(old, own.kind, uid=options.uid, resource_version=options.resource_version)
        draft = meta.draft(old)
        draft["metadata"]["resourceVersion"] = ""  # checked above; again after a lost race
        if pods.is_finished(old) or meta.is_deleting(old):
            return draft
        status = draft.setdefault("status", {})
        others = [c for c in status.get("conditions") or () if c["type"] != condition["type"]]
        status["conditions"] = [*others, {**condition, "observedGeneration": meta.generation(old)}]
        return draft

    await resources.update(core, own, marked)
