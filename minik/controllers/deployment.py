"""Deployment (apps/v1): ReplicaSets, one for each revision of a template, and the way from one to the next.

What to do is decided in `common/rollout.py`; this file carries it out.
"""

from __future__ import annotations

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists, NotFound, StatusError, is_namespace_terminating
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import Selector, from_label_selector
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Scope,
    can,
    maps_with,
    owned_by,
    requeue_after,
    selected_by,
)
from minik.controllers.common import claims
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims
from minik.controllers.common.rollout import (
    Annotate,
    Create,
    Delete,
    RolloutPlan,
    SetRevision,
    find_new,
    plan_rollout,
)
from minik.controllers.common.rollout_scale import DESIRED, MAX_REPLICAS, REVISION, Scale, max_surge, replicas_of
from minik.controllers.common.rollout_status import NOT_CREATED, plan_not_created

REPLICA_SETS = "replicasets.apps"


def _selector(deployment: ROObj) -> Selector:
    return from_label_selector(deployment["spec"]["selector"])


async def reconcile(ctx: Context, key: Key) -> Result:
    deployment = ctx.cache("deployments.apps").get(key)
    if deployment is None:
        return DONE
    if not deployment["spec"]["selector"]:  # selects everything: never acted upon (upstream's SelectingAll)
        return DONE
    cache = ctx.cache(REPLICA_SETS)
    ownership = plan_claims(
        deployment, _selector(deployment), cache.owned_by(deployment), cache.by_index(ORPHANS, key.namespace)
    )
    mine = await apply_claims(ctx, deployment, REPLICA_SETS, ownership)
    plan = plan_rollout(
        deployment, mine, old_pods_running=_old_pods_running(ctx, deployment, mine), now=ctx.clock.now()
    )
    again = await _apply(ctx, deployment, plan)
    if again:
        return requeue_after(0)
    return DONE if plan.check_after is None else requeue_after(plan.check_after)


def _old_pods_running(ctx: Context, deployment: ROObj, mine: list[ROObj]) -> bool:
    if (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
        return False
    new = find_new(deployment, mine)
    return any(not pods.is_finished(pod) for rs in mine if rs is not new for pod in ctx.cache("pods").owned_by(rs))


async def _apply(ctx: Context, deployment: ROObj, plan: RolloutPlan) -> bool:
    """Make the plan's writes, then report. True if a name was taken and the next pass must try another one."""
    status = plan.status
    collided = False
    for step in plan.steps:
        match step:
            case Create(replica_set):
                if not await _create(ctx, deployment, replica_set):
                    collided = True
                    status = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
            case Scale(replica_set, replicas):
                await _scale(ctx, deployment, replica_set, replicas)
            case Annotate(replica_set, patch):
                await ctx.client.patch(REPLICA_SETS, meta.name(replica_set), meta.namespace(replica_set), patch)
            case SetRevision(revision):
                patch = {"metadata": {"uid": meta.uid(deployment), "annotations": {REVISION: revision}}}
                deployment = await ctx.client.patch(
                    "deployments.apps", meta.name(deployment), meta.namespace(deployment), patch
                )
            case Delete(replica_set):
                await _delete(ctx, replica_set)
    if status != deployment.get("status"):
        await ctx.client.update_status("deployments.apps", {**deployment, "status": status})
    return collided


async def _create(ctx: Context, deployment: ROObj, replica_set: Obj) -> bool:
    """Create the new ReplicaSet. False if something else has its name (a hash collision)."""
    try:
        created = await ctx.client.create(REPLICA_SETS, replica_set)
    except AlreadyExists:
        taken = await ctx.client.get(REPLICA_SETS, meta.name(replica_set), meta.namespace(replica_set))
        # ours already: an earlier pass made it and the cache has not shown it yet
        return meta.is_controlled_by(taken, deployment)
    except StatusError as error:
        if not is_namespace_terminating(error):
            await _say_not_created(ctx, deployment, meta.name(replica_set), error)
        raise
    size = replicas_of(created)
    if size:
        _say_scaled(ctx, deployment, created, 0, size)
    return True


async def _say_not_created(ctx: Context, deployment: ROObj, name: str, error: StatusError) -> None:
    """An Event, and a condition for who waits for the rollout."""
    why = f'Failed to create new replica set "{name}": {error.message}'
    ctx.recorder.event(deployment, "Warning", NOT_CREATED, why)
    status = plan_not_created(deployment, why, now=times.format_time(ctx.clock.now()))
    if status != deployment.get("status"):
        await ctx.client.update_status("deployments.apps", {**deployment, "status": status})


async def _scale(ctx: Context, deployment: ROObj, replica_set: ROObj, replicas: int) -> None:
    wanted = deployment["spec"].get("replicas", 1)
    annotations = {DESIRED: str(wanted), MAX_REPLICAS: str(wanted + max_surge(deployment))}
    patch = {
        "metadata": {"resourceVersion": replica_set["metadata"]["resourceVersion"], "annotations": annotations},
        "spec": {"replicas": replicas},
    }
    await ctx.client.patch(REPLICA_SETS, meta.name(replica_set), meta.namespace(replica_set), patch)
    before = replicas_of(replica_set)
    if before != replicas:
        _say_scaled(ctx, deployment, replica_set, before, replicas)


def _say_scaled(ctx: Context, deployment: ROObj, replica_set: ROObj, before: int, after: int) -> None:
    way = "up" if after > before else "down"
    ctx.recorder.event(
        deployment,
        "Normal",
        "ScalingReplicaSet",
        f"Scaled {way} replica set {meta.name(replica_set)} from {before} to {after}",
    )


async def _delete(ctx: Context, replica_set: ROObj) -> None:
    try:
        await ctx.client.delete(
            REPLICA_SETS, meta.name(replica_set), meta.namespace(replica_set), uid=meta.uid(replica_set)
        )
    except NotFound:
        return


def _deployment_of(scope: Scope, pod: ROObj) -> list[Key]:
    """A Recreate rollout waits for pods to be gone: the Deployment of a pod's ReplicaSet."""
    ref = meta.controller_of(pod)
    if ref is None or ref.get("kind") != "ReplicaSet":
        return []
    replica_set = scope.cache(REPLICA_SETS).get(Key(meta.namespace(pod), ref["name"]))
    parent = meta.controller_of(replica_set) if replica_set is not None else None
    if parent is None or parent.get("kind") != "Deployment":
        return []
    key = Key(meta.namespace(pod), parent["name"])
    deployment = scope.cache("deployments.apps").get(key)
    if deployment is None or (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
        return []
    return [key]


CONTROLLER = Controller(
    "deployment",
    primary="deployments.apps",
    triggers=[
        owned_by(REPLICA_SETS),
        selected_by(REPLICA_SETS, _selector, orphans_only=True),
        maps_with("pods", _deployment_of),
    ],
    reconcile=reconcile,
    indexes={REPLICA_SETS: {claims.ORPHANS: claims.orphans}},
    rbac=[
        can("create,delete,get,list,patch,watch", REPLICA_SETS),
        can("get,list,watch,update,patch", "deployments.apps"),
        can("list,watch", "pods"),
    ],
)
