"""What is next for a PersistentVolumeClaim: which volume to bind it to, or that one is to be made for it, or why it waits. Pure.

`persistentvolumeclaim.py` asks and acts. Upstream: `pkg/controller/volume/persistentvolume` (syncUnboundClaim, syncBoundClaim,
checkVolumeSatisfyClaim).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.meta import ROObj
from minik.api.storage_v1 import storageclass

_LOST = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
_MISBOUND = "Two claims are bound to the same volume, this one is bound incorrectly"

Step = Literal["wait", "class", "bind", "provision", "lost", "settle"]


@dataclass(frozen=True, slots=True)
class BindPlan:
    """What is next. `reason` and `message` make an Event."""

    step: Step
    volume: ROObj | None = None
    reason: str = ""
    message: str = ""
    warning: bool = False
    storage_class: str = ""


def plan_bind(
    claim: ROObj,
    volume: ROObj | None,
    candidates: Sequence[ROObj],
    classes: Mapping[str, ROObj],
    waiting: Sequence[str] = (),
) -> BindPlan:
    """What is next. Pure.

    `volume`: the one that the claim names, if there is one. `candidates`: free ones of its class, and those meant for it. `waiting`: names
    of the pods that use the claim and have no node yet.
    """
    if volumes.is_bound(claim) or volumes.BIND_COMPLETED in meta.annotations(claim):
        return _plan_bound(claim, volume)
    if meta.is_deleting(claim):
        return BindPlan("wait")
    if volumes.volume_name(claim):
        return _plan_named(claim, volume)
    if not volumes.has_class(claim):
        found = storageclass.default_of(list(classes.values()))
        if found is not None:
            return BindPlan("class", storage_class=meta.name(found))
    name = volumes.class_of(claim)
    of_class = classes.get(name)
    if of_class is not None and storageclass.waits(
        of_class
    ):  # which of the free ones it gets is the scheduler's choice
        candidates = [each for each in candidates if volumes.claim_ref(each) is not None]
    best = volumes.best_for(candidates, claim)
    if best is not None:
        return BindPlan("bind", best)
    if of_class is not None and storageclass.waits(of_class) and not _selected_node(claim):
        return _plan_wait_for_pod(waiting)
    if not name:
        text = "no persistent volumes available for this claim and no storage class is set"
        return BindPlan("wait", reason="FailedBinding", message=text)
    return BindPlan("provision")


def _plan_wait_for_pod(waiting: Sequence[str]) -> BindPlan:
    """The scheduler has still to choose a node (emitEventForUnboundDelayBindingClaim)."""
    if not waiting:
        text = "waiting for first consumer to be created before binding"
        return BindPlan("wait", reason="WaitForFirstConsumer", message=text)
    text = f"waiting for pod{'s' if len(waiting) > 1 else ''} {','.join(waiting)} to be scheduled"
    return BindPlan("wait", reason="WaitForPodScheduled", message=text)


def _selected_node(claim: ROObj) -> str:
    return meta.annotations(claim).get(volumes.SELECTED_NODE, "")


def _plan_bound(claim: ROObj, volume: ROObj | None) -> BindPlan:
    if not volumes.volume_name(claim):
        text = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        return BindPlan("lost", reason="ClaimLost", message=text, warning=True)
    if volume is None:
        return BindPlan("lost", reason="ClaimLost", message=_LOST, warning=True)
    ref = volumes.claim_ref(volume)
    if ref is None or volumes.is_for(volume, claim):
        return BindPlan("bind" if ref is None or not ref.get("uid") else "settle", volume)
    return BindPlan("lost", reason="ClaimMisbound", message=_MISBOUND, warning=True)


def _plan_named(claim: ROObj, volume: ROObj | None) -> BindPlan:
    """Somebody said which volume it is to be."""
    if volume is None:
        return BindPlan("wait")
    if volumes.claim_ref(volume) is None:
        why = _mismatch(volume, claim)
        if why:
            text = f'Cannot bind to requested volume "{meta.name(volume)}": {why}'
            return BindPlan("wait", reason="VolumeMismatch", message=text, warning=True)
        return BindPlan("bind", volume)
    if volumes.is_for(volume, claim):
        return BindPlan("bind", volume)
    text = f'volume "{meta.name(volume)}" already bound to a different claim.'
    return BindPlan("wait", reason="FailedBinding", message=text, warning=True)


def _mismatch(volume: ROObj, claim: ROObj) -> str:
    if volumes.capacity(volume) < volumes.requested(claim):
        return "requested PV is too small"
    if volumes.class_of(volume) != volumes.class_of(claim):
        return "storageClassName does not match"
    if (claim["spec"].get("volumeMode") or "Filesystem") != (volume["spec"].get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(volumes.access_modes(claim)) <= set(volumes.access_modes(volume)):
        return "incompatible accessMode"
    return ""
