"""One pass over a ReplicaSet or ReplicationController: ownership, number of pods, status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import StatusError
from minik.api.meta import Key, ROObj
from minik.api.selectors import Selector
from minik.client.controller import DONE, Context, Result, requeue_after
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims
from minik.controllers.common.replicas import apply_scale, plan_counts, plan_scale, plan_status


def matters_to_replicas(old: ROObj, new: ROObj) -> bool:
    """Whether an update of a pod can change what `reconcile_replicas` does: what it is counted and claimed by. Which node it runs
    on matters only for the choice of pods to delete, which is made from what is then."""
    return (
        meta.condition(old, "Ready") != meta.condition(new, "Ready")
        or pods.phase(old) != pods.phase(new)
        or _identity(old) != _identity(new)
    )


def _identity(pod: ROObj) -> tuple[object, ...]:
    metadata = pod["metadata"]
    return tuple(metadata.get(name) for name in ("uid", "labels", "ownerReferences", "deletionTimestamp"))


async def reconcile_replicas(ctx: Context, resource: str, key: Key, selector_of: Callable[[ROObj], Selector]) -> Result:
    """Bring the pods of the owner at `key` to its number, and its status to what is."""
    owner = ctx.cache(resource).get(key)
    if owner is None:
        return DONE
    all_pods = ctx.cache("pods")
    plan = plan_claims(owner, selector_of(owner), all_pods.owned_by(owner), all_pods.by_index(ORPHANS, key.namespace))
    owned = await apply_claims(ctx, owner, "pods", plan)
    failure: StatusError | None = None
    if not meta.is_deleting(owner):
        wanted = owner["spec"].get("replicas", 1)
        crowd = _neighbours(ctx, owner) if len(owned) > wanted else None
        scale = plan_scale(wanted, owned, neighbours=crowd)
        try:
            await apply_scale(ctx, owner, scale)
        except StatusError as error:
            failure = error
    counts = plan_counts(owner, owned, now=ctx.clock.now())
    status = plan_status(owner, counts, failure=failure.message if failure else "", now=ctx.clock.now())
    if status != owner.get("status"):
        await ctx.client.update_status(resource, {**owner, "status": status})
    if failure is not None:
        raise failure
    return DONE if counts.check_after is None else requeue_after(counts.check_after)


def _neighbours(ctx: Context, owner: ROObj) -> Counter[str] | None:
    """Where pods of the same Deployment run, whichever of its ReplicaSets they belong to."""
    parent = meta.controller_of(owner)
    if parent is None or parent.get("kind") != "Deployment":
        return None
    counts: Counter[str] = Counter()
    siblings = ctx.cache("replicasets.apps")
    for sibling in siblings.by_index("controller-uid", parent["uid"]):
        for pod in ctx.cache("pods").owned_by(sibling):
            if pods.is_active(pod):
                counts[pods.node_name(pod)] += 1
    return counts
