"""PersistentVolumes: in which phase each is, and what becomes of one whose claim is gone. The other half of `persistentvolumeclaim.py`.

Available until a claim has it, Bound, then Released; by its reclaim policy a released one stays, or goes (with what it holds: that is done
by who provided it, before its finalizer goes). A volume in use does not go: its protection is taken off here, too. Upstream:
`pkg/controller/volume/persistentvolume` (syncVolume) and `pkg/controller/volume/pvprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from minik.api import meta, times
from minik.api.core_v1 import volumes
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with
from minik.controllers.common.volume_index import BY_CLAIM, by_claim

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"
_BY_NODE = "minik.volumes-of-node"


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """The phase it should be in, and what else is to be done."""

    phase: str = ""
    """"" to leave it."""
    message: str = ""
    action: Literal["", "delete", "unbind"] = ""


def plan_volume(volume: ROObj, claim: ROObj | None) -> VolumePlan:
    """`claim`: the one that the volume names, if it exists with that uid. Pure."""
    ref = volumes.claim_ref(volume)
    if ref is None or not ref.get("uid"):
        return VolumePlan("Available")
    if claim is None:
        return _plan_released(volume)
    named = volumes.volume_name(claim)
    if named == meta.name(volume):
        return VolumePlan("Bound")
    if not named:
        return VolumePlan()  # the binding is under way; the claim's own controller goes on
    if _is_provisioned(volume) and _policy(volume) == "Delete":
        return _plan_released(volume)  # made for a claim that found another one
    return VolumePlan("Available", action="unbind")


def _policy(volume: ROObj) -> str:
    return volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain"


def _is_provisioned(volume: ROObj) -> bool:
    return volumes.PROVISIONED_BY in meta.annotations(volume)


def _plan_released(volume: ROObj) -> VolumePlan:
    match _policy(volume):
        case "Delete" if meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_DIRECTORY:
            return VolumePlan("Released", action="delete")
        case "Delete" if not _is_provisioned(volume) and volumes.source_of(volume) != "csi":
            text = f'error getting deleter volume plugin for volume "{meta.name(volume)}": no deletable volume plugin matched'
            return VolumePlan("Failed", text)
        case "Recycle":
            return VolumePlan(
                "Failed", "volumes are not recycled: the policy Recycle is deprecated, use dynamic provisioning"
            )
        case _:
            return VolumePlan("Released")


async def reconcile(ctx: Context, key: Key) -> Result:
    volume = ctx.cache(VOLUMES).get(key)
    if volume is None:
        return DONE
    plan = plan_volume(volume, await _claim_of(ctx, volume))
    if plan.action == "unbind":
        volume = await _unbind(ctx, volume)
    volume = await _set_phase(ctx, volume, plan)
    if plan.action == "delete" and not meta.is_deleting(volume):
        try:
            await ctx.client.delete(VOLUMES, meta.name(volume), uid=meta.uid(volume))
        except NotFound:
            return DONE
        volume = await ctx.client.get(VOLUMES, meta.name(volume))
    if meta.is_deleting(volume):
        await _let_go(ctx, volume)
    return DONE


async def _claim_of(ctx: Context, volume: ROObj) -> ROObj | None:
    """The claim that it names, by uid; asks the server before it says that there is none."""
    ref = volumes.claim_ref(volume)
    if ref is None or not ref.get("uid"):
        return None
    found = ctx.cache(CLAIMS).get(Key(ref.get("namespace") or "", ref.get("name") or ""))
    if found is None or meta.uid(found) != ref["uid"]:
        try:
            found = await ctx.client.get(CLAIMS, ref["name"], ref["namespace"])
        except NotFound:
            return None
    return found if meta.uid(found) == ref["uid"] else None


async def _unbind(ctx: Context, volume: ROObj) -> ROObj:
    """Its claim has another one: it is free again, or waits for the claim that somebody meant it for."""
    draft = meta.draft(volume)
    draft["spec"] = dict(draft["spec"])
    annotations = dict(meta.annotations(volume))
    if annotations.pop(volumes.BOUND_BY_CONTROLLER, None) is not None:
        del draft["spec"]["claimRef"]
    else:
        ref = dict(draft["spec"]["claimRef"])
        for field in ("uid", "resourceVersion"):
            ref.pop(field, None)
        draft["spec"]["claimRef"] = ref
    draft["metadata"]["annotations"] = annotations
    return await ctx.client.update(VOLUMES, draft)


async def _set_phase(ctx: Context, volume: ROObj, plan: VolumePlan) -> ROObj:
    current = volumes.phase(volume)
    if not plan.phase or current == plan.phase or (current == "Failed" and plan.phase == "Released"):
        return volume  # a provisioner that could not delete it says so in the status, and tries again
    status: Obj = {"phase": plan.phase, "lastPhaseTransitionTime": times.format_time(ctx.clock.now())}
    if plan.message:
        reason = "VolumeFailedRecycle" if _policy(volume) == "Recycle" else "VolumeFailedDelete"
        status |= {"message": plan.message, "reason": reason}
        ctx.recorder.event(volume, "Warning", reason, plan.message)
    return await ctx.client.update_status(VOLUMES, volume, status)


async def _let_go(ctx: Context, volume: ROObj) -> None:
    """Take off the protection of a volume that no claim has, and what a node that is gone can not take off."""
    rest = list(meta.finalizers(volume))
    if volumes.phase(volume) != "Bound" and volumes.PV_PROTECTION in rest:
        rest.remove(volumes.PV_PROTECTION)
    if volumes.NODE_DIRECTORY in rest and volumes.phase(volume) != "Bound":
        node = meta.labels(volume).get(volumes.NODE_LABEL, "")
        if ctx.cache("nodes").get(Key("", node)) is None and not await _exists(ctx, node):
            rest.remove(volumes.NODE_DIRECTORY)
    if rest != list(meta.finalizers(volume)):
        patch = {"metadata": {"finalizers": rest, "resourceVersion": volume["metadata"]["resourceVersion"]}}
        try:
            await ctx.client.patch(VOLUMES, meta.name(volume), "", patch)
        except NotFound:
            return


async def _exists(ctx: Context, node: str) -> bool:
    try:
        await ctx.client.get("nodes", node)
    except NotFound:
        return False
    return True


def _of_claim(scope: Scope, claim: ROObj) -> Iterable[Key]:
    known = scope.cache(VOLUMES)
    found = {meta.key(volume) for volume in known.by_index(BY_CLAIM, str(meta.key(claim)))}
    name = volumes.volume_name(claim)
    return found | {Key("", name)} if name else found


def _claim_matters(old: ROObj, new: ROObj) -> bool:
    return volumes.volume_name(old) != volumes.volume_name(new) or meta.uid(old) != meta.uid(new)


def _by_node(volume: ROObj) -> Iterable[str]:
    node = meta.labels(volume).get(volumes.NODE_LABEL)
    return (node,) if node and meta.is_deleting(volume) else ()


def _going_of_node(scope: Scope, node: ROObj) -> Iterable[Key]:
    return [meta.key(volume) for volume in scope.cache(VOLUMES).by_index(_BY_NODE, meta.name(node))]


def _never(_old: ROObj, _new: ROObj) -> bool:
    return False  # only that a node comes or goes is of interest


CONTROLLER = Controller(
    "persistent-volume",
    primary=VOLUMES,
    triggers=[
        maps_with(CLAIMS, _of_claim, when=_claim_matters),
        maps_with("nodes", _going_of_node, when=_never),
    ],
    reconcile=reconcile,
    indexes={VOLUMES: {BY_CLAIM: by_claim, _BY_NODE: _by_node}},
    rbac=[
        can("update,patch,delete,get", VOLUMES),
        can("update", f"{VOLUMES}/status"),
        can("get", CLAIMS),
        can("get", "nodes"),
    ],
    component="persistentvolume-controller",
)
