"""PersistentVolumeClaims: each gets the volume that suits it, or one made for it. Half of the binder; `persistentvolume.py` is the other.

A binding is four writes, each good to stop after: the volume names the claim, the volume is Bound, the claim names the volume, the claim is
Bound. Every write carries the revision it goes by, so of two claims that choose one volume the second is refused and looks again;
`common/volume_promises.py` makes that rare. A free volume is offered to one claim that waits, then to the next (keys `/volume`/NAME).
`common/bind_plan.py` decides what is next. Upstream: `pkg/controller/volume/persistentvolume` (syncClaim).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minik.api import meta
from minik.api.core_v1 import nodes, pods, volumes
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.storage_v1 import storageclass
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps, maps_with
from minik.controllers.common.bind_plan import BindPlan, plan_bind
from minik.controllers.common.node_directories import plan_directory
from minik.controllers.common.volume_index import BY_CLAIM, BY_CLASS, by_claim, by_class
from minik.controllers.common.volume_promises import Promises

CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", storageclass.RESOURCE
_PENDING = "minik.pending-claims"
_BY_VOLUME = "minik.claims-of-volume"
_UNPLACED = "minik.unplaced-pods-of-claim"
_VOLUME = "/volume"
"""In place of a namespace, in the keys of free volumes."""
_NO_CLASS = "-"
"""In place of a class: of claims that name none, and get the default one when there is one."""


# --- doing it ----------------------------------------------------------------------------------------------------------------


async def reconcile(ctx: Context, key: Key) -> Result:
    if key.namespace == _VOLUME:
        _offer(ctx, key.name)
        return DONE
    claim = ctx.cache(CLAIMS).get(key)
    volume = await _named_volume(ctx, claim) if claim is not None else None
    classes = _classes(ctx)
    plan = _choose(ctx, key, claim, volume, classes)
    if plan is None or claim is None:
        return DONE
    if plan.reason:
        kind = "Warning" if plan.warning else "Normal"
        if plan.step != "lost" or volumes.phase(claim) != "Lost":
            ctx.recorder.event(claim, kind, plan.reason, plan.message)
    match plan.step:
        case "class":
            draft = _draft(claim)
            draft["spec"]["storageClassName"] = plan.storage_class
            await ctx.client.update(CLAIMS, draft)
        case "bind" | "settle":
            assert plan.volume is not None
            await _bind(ctx, plan.volume, claim)
        case "provision":
            await _provision(ctx, claim, classes)
        case "lost":
            await _set_status(ctx, claim, {"phase": "Lost"})
        case "wait":
            await _set_status(ctx, claim, {"phase": "Pending"})
    return DONE


def _classes(ctx: Context) -> Mapping[str, ROObj]:
    return {meta.name(each): each for each in ctx.cache(CLASSES).list()}


def _choose(
    ctx: Context, key: Key, claim: ROObj | None, volume: ROObj | None, classes: Mapping[str, ROObj]
) -> BindPlan | None:
    """`plan_bind` among the volumes that are promised to nobody else. Does not await: what it chooses is promised at once."""
    promises: Promises = ctx.state
    promised = promises.take_back(key)
    plan, chosen = None, ""
    if claim is not None:
        known = ctx.cache(VOLUMES)
        candidates = list(known.by_index(BY_CLAIM, str(key)))
        if not volumes.volume_name(claim):
            free = known.by_index(BY_CLASS, volumes.class_of(claim))
            candidates += [each for each in free if not promises.is_promised(meta.name(each))]
        waiting = sorted(meta.name(pod) for pod in ctx.cache("pods").by_index(_UNPLACED, str(key)))
        plan = plan_bind(claim, volume, candidates, classes, waiting)
        if plan.volume is not None:
            chosen = meta.name(plan.volume)
            if volumes.claim_ref(plan.volume) is None and not promises.is_promised(chosen):
                promises.give(chosen, key)
    if promised and promised != chosen:
        promises.wake(Key(_VOLUME, promised))
    return plan


def _offer(ctx: Context, name: str) -> None:
    """Promise a free volume to the first claim that waits and would have it, and wake that."""
    promises: Promises = ctx.state
    volume = ctx.cache(VOLUMES).get(Key("", name))
    if volume is None or not _is_free(volume) or promises.is_promised(name):
        return
    classes = _classes(ctx)
    of_class = classes.get(volumes.class_of(volume))
    if of_class is not None and storageclass.waits(of_class):
        return
    pending = ctx.cache(CLAIMS).index(_PENDING)
    for kind in (volumes.class_of(volume), *(() if volumes.class_of(volume) else (_NO_CLASS,))):
        for key, claim in pending.get(kind, {}).items():
            if not promises.has_one(key) and plan_bind(claim, None, [volume], classes).step == "bind":
                promises.give(name, key)
                promises.wake(key)
                return


def _is_free(volume: ROObj) -> bool:
    return volumes.claim_ref(volume) is None and volumes.phase(volume) == "Available" and not meta.is_deleting(volume)


async def _named_volume(ctx: Context, claim: ROObj) -> ROObj | None:
    """The volume that the claim names. The cache may just not have it yet: a bound claim without one would be Lost."""
    name = volumes.volume_name(claim)
    if not name:
        return None
    found = ctx.cache(VOLUMES).get(Key("", name))
    if found is None and volumes.is_bound(claim):
        try:
            return await ctx.client.get(VOLUMES, name)
        except NotFound:
            return None
    return found


def _draft(obj: ROObj) -> Obj:
    """A copy whose spec and annotations may be changed."""
    draft = meta.draft(obj)
    draft["spec"] = dict(draft["spec"])
    draft["metadata"]["annotations"] = dict(meta.annotations(obj))
    return draft


async def _bind(ctx: Context, volume: ROObj, claim: ROObj) -> None:
    """The four writes, as far as they are missing. A Conflict is for the next call."""
    volume = await _name_claim(ctx, volume, claim)
    if volumes.phase(volume) != "Bound":
        volume = await ctx.client.update_status(VOLUMES, volume, {"phase": "Bound"})
    if volumes.volume_name(claim) != meta.name(volume) or volumes.BIND_COMPLETED not in meta.annotations(claim):
        draft = _draft(claim)
        if not volumes.volume_name(claim):
            draft["spec"]["volumeName"] = meta.name(volume)
            draft["metadata"]["annotations"][volumes.BOUND_BY_CONTROLLER] = "yes"
        draft["metadata"]["annotations"][volumes.BIND_COMPLETED] = "yes"
        claim = await ctx.client.update(CLAIMS, draft)
    volume = await _grow(ctx, volume, claim)
    status: Obj = {"phase": "Bound", "accessModes": list(volumes.access_modes(volume))}
    held = (claim.get("status") or {}).get("capacity")
    if held is None or _is_ours(volume):
        status["capacity"] = {"storage": volume["spec"]["capacity"]["storage"]}
    await _set_status(ctx, claim, status)


async def _name_claim(ctx: Context, volume: ROObj, claim: ROObj) -> ROObj:
    ref = volumes.claim_ref(volume)
    if ref is not None and ref.get("uid") == meta.uid(claim):
        return volume
    draft = _draft(volume)
    if ref is None:
        draft["metadata"]["annotations"][volumes.BOUND_BY_CONTROLLER] = "yes"
    draft["spec"]["claimRef"] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace(claim),
        "name": meta.name(claim),
        "uid": meta.uid(claim),
        "resourceVersion": claim["metadata"]["resourceVersion"],
    }
    return await ctx.client.update(VOLUMES, draft)


def _is_ours(volume: ROObj) -> bool:
    return meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_DIRECTORY


async def _grow(ctx: Context, volume: ROObj, claim: ROObj) -> ROObj:
    """A directory is as large as one says; other volumes are their drivers' to expand."""
    if volumes.requested(claim) <= volumes.capacity(volume):
        return volume
    if not _is_ours(volume):
        text = "waiting for an external controller to expand this PVC"
        ctx.recorder.event(claim, "Normal", "ExternalExpanding", text)
        return volume
    draft = _draft(volume)
    draft["spec"]["capacity"] = {
        **volume["spec"]["capacity"],
        "storage": claim["spec"]["resources"]["requests"]["storage"],
    }
    grown = await ctx.client.update(VOLUMES, draft)
    ctx.recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")
    return grown


async def _set_status(ctx: Context, claim: ROObj, status: Obj) -> None:
    current = claim.get("status") or {}
    if all(current.get(field) == value for field, value in status.items()):
        return
    await ctx.client.update_status(CLAIMS, claim, {**current, **status})


async def _provision(ctx: Context, claim: ROObj, classes: Mapping[str, ROObj]) -> None:
    name = volumes.class_of(claim)
    storage_class = classes.get(name)
    if storage_class is None:
        text = f'storageclass.storage.k8s.io "{name}" not found'
        ctx.recorder.event(claim, "Warning", "ProvisioningFailed", text)
        await _set_status(ctx, claim, {"phase": "Pending"})
        return
    provisioner = storage_class["provisioner"]
    if provisioner == storageclass.NO_PROVISIONER:
        text = f'no volume of storage class "{name}" suits, and the class makes none'
        ctx.recorder.event(claim, "Warning", "ProvisioningFailed", text)
        await _set_status(ctx, claim, {"phase": "Pending"})
        return
    claim = await _say_who_provides(ctx, claim, provisioner)
    if provisioner != volumes.NODE_DIRECTORY:
        text = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system"
            " administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        )
        ctx.recorder.event(claim, "Normal", "ExternalProvisioning", text)
        await _set_status(ctx, claim, {"phase": "Pending"})
        return
    await _make_directory(ctx, claim, storage_class)


async def _say_who_provides(ctx: Context, claim: ROObj, provisioner: str) -> ROObj:
    wanted = dict.fromkeys((volumes.PROVISIONER, volumes.BETA_PROVISIONER), provisioner)
    if wanted.items() <= meta.annotations(claim).items():
        return claim
    draft = _draft(claim)
    draft["metadata"]["annotations"] |= wanted
    return await ctx.client.update(CLAIMS, draft)


async def _make_directory(ctx: Context, claim: ROObj, storage_class: ROObj) -> None:
    plan = plan_directory(claim, storage_class, ctx.cache("nodes").list())
    if plan.volume is not None:
        try:
            await ctx.client.create(VOLUMES, plan.volume)
        except AlreadyExists:
            return  # the cache will show it
        text = f"Successfully provisioned volume {meta.name(plan.volume)}"
        ctx.recorder.event(claim, "Normal", "ProvisioningSucceeded", text)
        return
    ctx.recorder.event(claim, "Warning", "ProvisioningFailed", plan.problem)
    if plan.node_is_gone:  # the scheduler chooses another
        draft = _draft(claim)
        draft["metadata"]["annotations"].pop(volumes.SELECTED_NODE, None)
        await ctx.client.update(CLAIMS, draft)


# --- what brings a claim back --------------------------------------------------------------------------------------------------


def _pending(claim: ROObj) -> Iterable[str]:
    return () if volumes.is_bound(claim) else (volumes.class_of(claim) if volumes.has_class(claim) else _NO_CLASS,)


def _by_volume(claim: ROObj) -> Iterable[str]:
    name = volumes.volume_name(claim)
    return (name,) if name else ()


def _of_volume(scope: Scope, volume: ROObj) -> Iterable[Key]:
    """The claim it names, those that name it, and itself: if it is free, one that waits gets it."""
    found = {meta.key(claim) for claim in scope.cache(CLAIMS).by_index(_BY_VOLUME, meta.name(volume))}
    ref = volumes.claim_ref(volume)
    found.add(
        Key(ref.get("namespace") or "", ref.get("name") or "") if ref is not None else Key(_VOLUME, meta.name(volume))
    )
    return found


def _of_class(scope: Scope, storage_class: ROObj) -> Iterable[Key]:
    claims = scope.cache(CLAIMS)
    without = claims.by_index(_PENDING, _NO_CLASS) if storageclass.is_default(storage_class) else ()
    return {meta.key(claim) for claim in (*claims.by_index(_PENDING, meta.name(storage_class)), *without)}


def _waits_for_any_node(scope: Scope, node: ROObj) -> Iterable[Key]:
    """Immediate claims that found no node to lie on."""
    if not nodes.is_ready(node):
        return ()
    classes = [each for each in scope.cache(CLASSES).list() if each["provisioner"] == volumes.NODE_DIRECTORY]
    names = [meta.name(each) for each in classes if not storageclass.waits(each)]
    return {meta.key(claim) for name in names for claim in scope.cache(CLAIMS).by_index(_PENDING, name)}


def _unplaced(pod: ROObj) -> Iterable[str]:
    """namespace/name of every claim of a pod that has no node yet."""
    return [str(key) for key in _claims_of(pod)] if not pods.is_scheduled(pod) and not pods.is_finished(pod) else ()


def _claims_of(pod: ROObj) -> Iterable[Key]:
    return [Key(meta.namespace(pod), name) for name in pods.claim_names(pod)]


def _claims_without_node(pod: ROObj) -> Iterable[Key]:
    """Claims that wait for a pod which fits no node: worth an Event. Of most pods the scheduler finds one at once."""
    return _claims_of(pod) if not pods.is_scheduled(pod) and _is_refused(pod) else ()


def _is_refused(pod: ROObj) -> bool:
    condition = meta.condition(pod, "PodScheduled")
    return condition is not None and condition.get("status") == "False"


def _becomes_refused(old: ROObj, new: ROObj) -> bool:
    return _is_refused(new) and not _is_refused(old)


def _becomes_usable(old: ROObj, new: ROObj) -> bool:
    return nodes.is_ready(old) != nodes.is_ready(new) or nodes.is_schedulable(old) != nodes.is_schedulable(new)


CONTROLLER = Controller(
    "persistent-volume-claim",
    primary=CLAIMS,
    triggers=[
        maps_with(VOLUMES, _of_volume),
        maps_with(CLASSES, _of_class),
        maps_with("nodes", _waits_for_any_node, when=_becomes_usable),
        maps("pods", _claims_without_node, when=_becomes_refused),
    ],
    reconcile=reconcile,
    indexes={
        CLAIMS: {_PENDING: _pending, _BY_VOLUME: _by_volume},
        "pods": {_UNPLACED: _unplaced},
        VOLUMES: {BY_CLASS: by_class, BY_CLAIM: by_claim},
    },
    state=lambda setup: Promises(setup.enqueue),
    rbac=[
        can("update", CLAIMS),
        can("update", f"{CLAIMS}/status"),
        can("create,update", VOLUMES),
        can("update", f"{VOLUMES}/status"),
    ],
    component="persistentvolume-controller",
)
