"""Keeping a number of equal pods: what ReplicaSet and ReplicationController share (kube-controller-manager's replicaset package).

`plan_*` decide and are pure; `apply_*` act. Which pods belong to the owner is its caller's business (`claims.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import NotFound, StatusError, is_namespace_terminating
from minik.api.meta import Obj, ROObj
from minik.client.controller import Context

BURST = 500
"""At most so many pods are created or deleted in one pass."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """How many pods to create, and which to delete."""

    create: int
    delete: Sequence[ROObj]


def plan_scale(wanted: int, owned: Sequence[ROObj], *, neighbours: Counter[str] | None = None) -> ScalePlan:
    """Compare the active pods with `wanted`. `neighbours`: node → pods of the same family there (crowded nodes lose pods first)."""
    active = [pod for pod in owned if pods.is_active(pod)]
    missing = wanted - len(active)
    if missing >= 0:
        return ScalePlan(min(missing, BURST), ())
    surplus = min(-missing, BURST)
    return ScalePlan(0, rank_for_deletion(active, neighbours)[:surplus])


def rank_for_deletion(active: Sequence[ROObj], neighbours: Counter[str] | None = None) -> list[ROObj]:
    """The pods that are missed least first (controller.ActivePodsWithRanks): unassigned, pending, unready, cheap, crowded, young."""
    crowd = neighbours if neighbours is not None else Counter(pods.node_name(pod) for pod in active)
    phases = {"Pending": 0, "Unknown": 1}

    def rank(pod: ROObj) -> tuple[object, ...]:
        ready = pods.is_ready(pod)
        return (
            bool(pods.node_name(pod)),
            phases.get(pods.phase(pod), 2),
            ready,
            _deletion_cost(pod),
            -crowd[pods.node_name(pod)] if pods.node_name(pod) else 0,
            _newest_first(pods.ready_since(pod)) if ready else 0.0,
            -pods.restarts(pod),
            _newest_first(pod["metadata"].get("creationTimestamp")),
            meta.name(pod),
        )

    return sorted(active, key=rank)


def _deletion_cost(pod: ROObj) -> int:
    try:
        return int(meta.annotations(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _newest_first(timestamp: str | None) -> float:
    return -times.parse_time(timestamp).timestamp() if timestamp else float("-inf")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a status says of the pods. `check_after` is when, in seconds, a ready pod becomes an available one."""

    replicas: int
    fully_labeled: int
    ready: int
    available: int
    terminating: int = 0
    check_after: float | None = None


def plan_counts(owner: ROObj, owned: Sequence[ROObj], *, now: datetime) -> Counts:
    """Count the pods of `owner`: the active ones, and those that are on their way out (KEP-3973)."""
    template_labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    min_ready = owner["spec"].get("minReadySeconds") or 0
    replicas = labelled = ready = available = terminating = 0
    check_after: float | None = None
    for pod in owned:
        if not pods.is_active(pod):
            terminating += not pods.is_finished(pod)
            continue
        replicas += 1
        labelled += meta.labels(pod).items() >= template_labels.items()
        if not pods.is_ready(pod):
            continue
        ready += 1
        left = seconds_until_available(pod, min_ready, now=now)
        if left <= 0:
            available += 1
        else:
            check_after = left if check_after is None else min(check_after, left)
    return Counts(replicas, labelled, ready, available, terminating, check_after)


def seconds_until_available(pod: ROObj, min_ready: int, *, now: datetime) -> float:
    """How long a ready pod must stay ready until it counts as available; 0 or less if it does."""
    since = pods.ready_since(pod)
    if not min_ready or since is None:
        return 0.0
    return (times.parse_time(since) + timedelta(seconds=min_ready) - now).total_seconds()


def plan_status(owner: ROObj, counts: Counts, *, failure: str, now: datetime) -> Obj:
    """The owner's new status; `failure` is why pods could not be created or deleted, "" if they could."""
    old = owner.get("status") or {}
    too_many = counts.replicas > owner["spec"].get("replicas", 1)
    status: Obj = {
        "replicas": counts.replicas,
        "fullyLabeledReplicas": counts.fully_labeled,
        "readyReplicas": counts.ready,
        "availableReplicas": counts.available,
        "observedGeneration": meta.generation(owner),
    }
    status = {k: v for k, v in status.items() if v or k == "replicas"}
    if owner["kind"] == "ReplicaSet":  # a ReplicationController has no such field
        status["terminatingReplicas"] = counts.terminating
    others = [c for c in old.get("conditions") or () if c["type"] != "ReplicaFailure"]
    if failure:
        # The first failure stands (replica_set_utils.go calculateStatus): each names another pod, and a status that changes with
        # every attempt would call for the next one at once.
        condition = meta.condition(owner, "ReplicaFailure") or {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedDelete" if too_many else "FailedCreate",
            "message": failure,
            "lastTransitionTime": times.format_time(now),
        }
        status["conditions"] = [*others, condition]
    elif others:
        status["conditions"] = others
    return status


def pod_from_template(owner: ROObj) -> Obj:
    """A new pod of `owner`'s template, owned by it (controller.GetPodFromTemplate)."""
    template = owner["spec"]["template"]
    given = template.get("metadata") or {}
    metadata: Obj = {
        "generateName": f"{meta.name(owner)}-",
        "namespace": meta.namespace(owner),
        "ownerReferences": [meta.controller_ref(owner)],
    }
    for name in ("labels", "annotations", "finalizers"):
        if given.get(name):
            metadata[name] = given[name]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


async def apply_scale(ctx: Context, owner: ROObj, plan: ScalePlan) -> None:
    """Create in batches that double while all goes well, or delete. Raises the first StatusError met, after the batch."""
    batch, left = 1, plan.create
    while left > 0:
        count = min(batch, left)
        await _all([create_pod(ctx, owner, pod_from_template(owner)) for _ in range(count)])
        left -= count
        batch *= 2
    if plan.delete:
        await _all([delete_pod(ctx, owner, pod) for pod in plan.delete])


async def _all(calls: Sequence[object]) -> None:
    results = await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload]  # awaitables of any kind
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def create_pod(ctx: Context, owner: ROObj, pod: Obj) -> bool:
    """Create one pod and say so in an Event. Raises StatusError, but not because the namespace is being deleted: then it is False."""
    try:
        created = await ctx.client.create("pods", pod)
    except StatusError as error:
        if is_namespace_terminating(error):
            return False  # nothing can be created any more, and what is there goes too
        ctx.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
        raise
    ctx.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {meta.name(created)}")
    return True


async def delete_pod(ctx: Context, owner: ROObj, pod: ROObj) -> None:
    """Delete one pod, this very one; one that is gone is fine. Raises StatusError."""
    try:
        await ctx.client.delete("pods", meta.name(pod), meta.namespace(pod), uid=meta.uid(pod))
    except NotFound:
        return
    except StatusError as error:
        ctx.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
        raise
    ctx.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name(pod)}")
