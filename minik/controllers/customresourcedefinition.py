"""CustomResourceDefinitions: a definition that is being deleted goes after all objects of its kind, and one whose names were taken gets
them once they are free.

apiextensions-apiserver's finalizer and naming controllers. Names and conditions of new definitions are decided when they are written
(`server/admission/custom_kinds.py`); serving them is `server/crd/kinds.py`. Upstream asks every few seconds whether the last
object is gone; here its deletion brings the definition back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik.api import meta, times
from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.apiextensions_v1.names import (
    FINALIZER,
    NAMES_ACCEPTED,
    TERMINATING,
    group_of,
    is_true,
    plan_status,
    with_condition,
)
from minik.api.errors import MethodNotAllowed, NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, Setup, can, maps_with


class Instances:
    """Brings a definition that is being deleted back when objects of its kind go."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._followed: set[str] = set()
        setup.informer(RESOURCE).add_handler(deleted=self._gone)

    def follow(self, crd: ROObj) -> None:
        """From now on. Twice is fine."""
        resource, key = meta.name(crd), meta.key(crd)
        if resource in self._followed or self._setup.registry.get(resource) is None:
            return
        self._followed.add(resource)
        self._setup.informer(resource).add_handler(deleted=lambda _obj: self._setup.enqueue(key))

    def _gone(self, crd: ROObj) -> None:
        resource = meta.name(crd)
        if resource in self._followed:
            self._followed.discard(resource)
            if self._setup.registry.get(resource) is not None:
                return  # defined anew meanwhile: everybody has new informers
            self._setup.tasks.start(f"drop {resource}", self._setup.drop(resource))


def plan_terminating(crd: ROObj, remaining: int | None, *, now: str) -> Obj:
    """The status that says how far a deletion is. `remaining`: objects that are left, None before anything was done."""
    if remaining is None:
        state = {"status": "True", "reason": "InstanceDeletionInProgress",
                 "message": "CustomResource deletion is in progress"}  # fmt: skip
    elif remaining:
        why = "could not confirm zero CustomResources remaining: those that are left wait for their finalizers"
        state = {"status": "True", "reason": "InstanceDeletionCheck", "message": why}
    else:
        state = {"status": "False", "reason": "InstanceDeletionCompleted", "message": "removed all instances"}
    status = dict(crd.get("status") or {})
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    return {**status, "conditions": with_condition(conditions, {"type": TERMINATING, **state}, now=now)}


async def reconcile(ctx: Context, key: Key) -> Result:
    crd = ctx.cache(RESOURCE).get(key)
    if crd is None:
        return DONE
    if meta.is_deleting(crd):
        if FINALIZER in meta.finalizers(crd):
            await _clean_up(ctx, crd)
        return DONE
    wanted = plan_status(crd, ctx.cache(RESOURCE), now=times.format_time(ctx.clock.now()))
    await _say(ctx, crd, wanted)
    return DONE


async def _say(ctx: Context, crd: ROObj, status: Obj) -> ROObj:
    if status == crd.get("status"):
        return crd
    return await ctx.client.update_status(RESOURCE, crd, status)


async def _clean_up(ctx: Context, crd: ROObj) -> None:
    """Delete the kind's objects; once there are none left, let the definition go."""
    now = times.format_time(ctx.clock.now())
    if not is_true(crd, TERMINATING):
        crd = await _say(ctx, crd, plan_terminating(crd, None, now=now))
    left = await _delete_all(ctx, crd)
    crd = await _say(ctx, crd, plan_terminating(crd, left, now=now))
    if left:
        return
    remaining = [finalizer for finalizer in meta.finalizers(crd) if finalizer != FINALIZER]
    exact = {"uid": meta.uid(crd), "resourceVersion": crd["metadata"]["resourceVersion"]}
    try:
        await ctx.client.patch(RESOURCE, meta.name(crd), "", {"metadata": {**exact, "finalizers": remaining or None}})
    except NotFound:
        return


async def _delete_all(ctx: Context, crd: ROObj) -> int:
    """Delete every object of the kind; how many are still there. A kind that is not served has none."""
    instances: Instances = ctx.state
    resource = meta.name(crd)
    instances.follow(crd)
    try:
        found = (await ctx.client.list(resource)).items
        if any(not meta.is_deleting(obj) for obj in found):
            await ctx.client.delete_collection(resource, "", propagation="Background")
            found = (await ctx.client.list(resource)).items
    except (NotFound, MethodNotAllowed):
        return 0
    return len(found)


def _waiting(scope: Scope, changed: ROObj) -> Iterable[Key]:
    """Definitions of the same group that wait for a name."""
    group = group_of(changed)
    return [
        meta.key(crd)
        for crd in scope.cache(RESOURCE)
        if group_of(crd) == group and not is_true(crd, NAMES_ACCEPTED) and meta.name(crd) != meta.name(changed)
    ]


def _matters(old: ROObj, new: ROObj) -> bool:
    """Names or conditions may be others, or a deletion goes on; what this controller itself writes is none of it."""
    return (
        old["metadata"].get("generation") != new["metadata"].get("generation")
        or meta.is_deleting(old) != meta.is_deleting(new)
        or (old.get("status") or {}).get("acceptedNames") != (new.get("status") or {}).get("acceptedNames")
    )


CONTROLLER = Controller(
    "customresourcedefinition",
    primary=RESOURCE,
    reconcile=reconcile,
    when=_matters,
    triggers=[maps_with(RESOURCE, _waiting, when=_matters)],
    state=Instances,
    rbac=[
        can("patch", RESOURCE),
        can("update", f"{RESOURCE}/status"),
        can("get,list,watch,deletecollection", "*"),
    ],
    component="customresourcedefinition-controller",
)
