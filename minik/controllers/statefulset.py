"""StatefulSet (apps/v1): pods with names that stay, made and unmade in order, and claims that stay with the names.

What to do is decided in `common/stateful_plan.py`; revisions are kept by `common/history.py`. Claims are made as soon as
PersistentVolumeClaims are served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minik.api import meta
from minik.api.errors import AlreadyExists, Conflict, NotFound, StatusError, is_namespace_terminating
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import Selector, from_label_selector
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Setup,
    can,
    owned_by,
    requeue_after,
    selected_by,
)
from minik.client.store import Lister
from minik.controllers.common import claims
from minik.controllers.common.batches import at_once, in_batches
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims
from minik.controllers.common.history import (
    REVISION_HASH,
    REVISIONS,
    forget,
    own_revisions,
    plan_forgetting,
    sync_history,
    template_of,
)
from minik.controllers.common.reconcile_replicas import matters_to_replicas
from minik.controllers.common.stateful_claims import CLAIMS, is_stale, new_claim, wanted_owners
from minik.controllers.common.stateful_plan import (
    Stateful,
    StatefulPlan,
    plan_stateful,
    plan_stateful_status,
    read_pods,
    seconds_to_availability,
)
from minik.controllers.common.stateful_pods import (
    claim_name,
    claim_templates,
    has_identity,
    identity,
    in_range,
    ordinal_of,
    revision_of,
)

STATEFUL_SETS = "statefulsets.apps"
_STALE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Storage:
    """The cache of claims; None where claims are not served."""

    claims: Lister | None


def _storage(setup: Setup) -> Storage:
    if setup.registry.get(CLAIMS) is None:
        return Storage(None)
    return Storage(setup.informer(CLAIMS).lister)


class _Stale(Exception):
    """A claim that an earlier pod owned is not gone yet."""


def _selector(stateful_set: ROObj) -> Selector:
    return from_label_selector(stateful_set["spec"]["selector"])


async def reconcile(ctx: Context, key: Key) -> Result:
    stateful_set = ctx.cache(STATEFUL_SETS).get(key)
    if stateful_set is None or meta.is_deleting(stateful_set):
        return DONE
    revisions = await own_revisions(ctx, stateful_set, _selector(stateful_set))
    owned = await _own_pods(ctx, stateful_set)
    update, collisions = await sync_history(ctx, stateful_set, revisions, label=REVISION_HASH)
    named = (stateful_set.get("status") or {}).get("currentRevision")
    current = next((revision for revision in revisions if meta.name(revision) == named), update)
    state = Stateful(
        stateful_set=stateful_set,
        pods=read_pods(stateful_set, owned),
        current=meta.name(current),
        current_template=template_of(current),
        update=meta.name(update),
        now=ctx.clock.now(),
    )
    plan = plan_stateful(state)
    failure: Exception | None = None
    try:
        await _apply(ctx, state, plan)
    except (StatusError, _Stale) as error:
        failure = error
    status = plan_stateful_status(state, plan, collisions=collisions)
    if status != stateful_set.get("status"):
        await ctx.client.update_status(STATEFUL_SETS, {**stateful_set, "status": status})
    live = {state.current, state.update, status.get("currentRevision", ""), *map(revision_of, owned)}
    limit = stateful_set["spec"].get("revisionHistoryLimit", 10)
    await forget(ctx, plan_forgetting(revisions, live=live, limit=limit))
    if isinstance(failure, _Stale):
        return requeue_after(_STALE_SECONDS)
    if failure is not None:
        raise failure
    wait = seconds_to_availability(state)
    return DONE if wait is None else requeue_after(wait)


async def _own_pods(ctx: Context, stateful_set: ROObj) -> list[ROObj]:
    """The set's pods, orphans of fitting names adopted."""
    cache = ctx.cache("pods")
    orphans = [
        pod
        for pod in cache.by_index(ORPHANS, meta.namespace(stateful_set))
        if ordinal_of(stateful_set, pod) is not None
    ]
    plan = plan_claims(stateful_set, _selector(stateful_set), cache.owned_by(stateful_set), orphans)
    return await apply_claims(ctx, stateful_set, "pods", plan)


async def _apply(ctx: Context, state: Stateful, plan: StatefulPlan) -> None:
    """Make the plan's writes: an ordered set has at most one pod to create or delete. Raises the first failure after all were tried."""
    stateful_set = state.stateful_set
    for ordinal, pod in plan.mend:
        await _mend(ctx, stateful_set, ordinal, pod)
    if ctx.state.claims is not None:
        for ordinal, pod in state.pods.items():
            await _own_claims(ctx, stateful_set, ordinal, pod)
    _, failure = await in_batches([lambda o=o, pod=pod: _create(ctx, stateful_set, o, pod) for o, pod in plan.create])  # type: ignore[misc]  # binds them
    results = await at_once([lambda pod=pod: _delete(ctx, stateful_set, pod) for pod in plan.delete])  # type: ignore[misc]  # binds the pod
    for error in (failure, *results):
        if error is not None:
            raise error


# --- pods ----------------------------------------------------------------------------------------------------------------


async def _create(ctx: Context, stateful_set: ROObj, ordinal: int, pod: Obj) -> None:
    """The ordinal's claims, then its pod."""
    name, owner = meta.name(pod), meta.name(stateful_set)
    try:
        await _create_claims(ctx, stateful_set, ordinal, name)
        await ctx.client.create("pods", pod)
    except AlreadyExists:
        raise  # an earlier pass made it and the cache has not shown it yet, or it is somebody else's
    except StatusError as error:
        if is_namespace_terminating(error):
            return
        why = f"create Pod {name} in StatefulSet {owner} failed error: {error.message}"
        ctx.recorder.event(stateful_set, "Warning", "FailedCreate", why)
        raise
    ctx.recorder.event(
        stateful_set, "Normal", "SuccessfulCreate", f"create Pod {name} in StatefulSet {owner} successful"
    )


async def _delete(ctx: Context, stateful_set: ROObj, pod: ROObj) -> None:
    name, owner = meta.name(pod), meta.name(stateful_set)
    try:
        await ctx.client.delete("pods", name, meta.namespace(pod), uid=meta.uid(pod))
    except NotFound:
        return
    except StatusError as error:
        why = f"delete Pod {name} in StatefulSet {owner} failed error: {error.message}"
        ctx.recorder.event(stateful_set, "Warning", "FailedDelete", why)
        raise
    ctx.recorder.event(
        stateful_set, "Normal", "SuccessfulDelete", f"delete Pod {name} in StatefulSet {owner} successful"
    )


async def _mend(ctx: Context, stateful_set: ROObj, ordinal: int, pod: ROObj) -> None:
    """Give a pod back what makes it this set's: its labels, and claims that are missing."""
    if not has_identity(stateful_set, pod, ordinal):
        patch = {"metadata": {"uid": meta.uid(pod), "labels": identity(stateful_set, ordinal)}}
        await ctx.client.patch("pods", meta.name(pod), meta.namespace(pod), patch)
    await _create_claims(ctx, stateful_set, ordinal, meta.name(pod), uid=meta.uid(pod))


# --- claims --------------------------------------------------------------------------------------------------------------


async def _create_claims(ctx: Context, stateful_set: ROObj, ordinal: int, pod_name: str, *, uid: str = "") -> None:
    """Create the claims of an ordinal that are not there. Raises _Stale if one goes with an earlier pod, or is going."""
    cache: Lister | None = ctx.state.claims
    for template in claim_templates(stateful_set):
        key = Key(meta.namespace(stateful_set), claim_name(stateful_set, template, ordinal))
        known = cache.get(key) if cache is not None else None
        if known is not None:
            stale = is_stale(known, pod_name) and not any(ref.get("uid") == uid for ref in meta.owners(known))
            if not uid and (stale or meta.is_deleting(known)):
                raise _Stale
            continue
        try:
            await ctx.client.create(CLAIMS, new_claim(stateful_set, template, ordinal))
        except AlreadyExists:
            continue
        why = f"create Claim {key.name} Pod {pod_name} in StatefulSet {meta.name(stateful_set)} success"
        ctx.recorder.event(stateful_set, "Normal", "SuccessfulCreate", why)


async def _own_claims(ctx: Context, stateful_set: ROObj, ordinal: int, pod: ROObj) -> None:
    """Bring the owners of a pod's claims in line with the retention policy."""
    cache: Lister = ctx.state.claims
    if meta.is_deleting(pod) and in_range(stateful_set, ordinal):
        return
    for template in claim_templates(stateful_set):
        claim = cache.get(Key(meta.namespace(stateful_set), claim_name(stateful_set, template, ordinal)))
        if claim is None:
            continue
        owners: Sequence[object] = list(meta.owners(claim))
        wanted = wanted_owners(stateful_set, tuple(meta.owners(claim)), pod, ordinal)
        if owners == wanted:
            continue
        version = claim["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "ownerReferences": wanted or None}}
        try:
            await ctx.client.patch(CLAIMS, meta.name(claim), meta.namespace(claim), patch)
        except (NotFound, Conflict):
            continue


CONTROLLER = Controller(
    "statefulset",
    primary=STATEFUL_SETS,
    triggers=[
        owned_by("pods", when=matters_to_replicas),
        selected_by("pods", _selector, orphans_only=True),
        owned_by(REVISIONS),
        selected_by(REVISIONS, _selector, orphans_only=True),
    ],
    reconcile=reconcile,
    indexes={"pods": {ORPHANS: claims.orphans}, REVISIONS: {ORPHANS: claims.orphans}},
    state=_storage,
    rbac=[
        can("create,delete,list,patch,watch", "pods"),
        can("create,delete,get,list,patch,watch", REVISIONS),
        can("get,list,watch", STATEFUL_SETS),
        can("update", f"{STATEFUL_SETS}/status"),
        can("create,get,list,patch,watch", CLAIMS),
    ],
)
