"""The garbage collector: objects whose owners are gone go too, in the background, in the foreground, or are set free.

kube-controller-manager's garbage-collector-controller, over every kind that is served. The rules are in `common/ownership.py`, here is
what they act on. The queue holds every object that may have to be dealt with:

* one that appears without an owner that it names, or whose owners change;
* one that begins to be deleted with `orphan` or `foregroundDeletion` among its finalizers, and then its dependents;
* the dependents of one that is gone, and its owners that waited for it.

An owner is looked up by uid. If no cache shows it, the server is asked before anything is deleted; a deletion carries uid and
resourceVersion of what was decided about, so that a stale cache can never delete the wrong thing.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.errors import Conflict, NotFound
from minik.api.kind import Kind
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Setup, can
from minik.client.informer import Informer
from minik.controllers.common.every import follow_every
from minik.controllers.common.ownership import (
    FOREGROUND,
    ORPHAN,
    CollectionPlan,
    Dependent,
    Item,
    OwnerRef,
    Ownership,
    Presence,
    plan_collection,
    presence_of,
    waits_for_dependents,
)

AT_A_TIME = 32
"""Dependents that are set free at once."""
_HELD = frozenset({ORPHAN, FOREGROUND})


class Watcher:
    """Follows every kind and enqueues what may have to be collected."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.ownership = Ownership(setup.registry)
        self._started = False
        follow_every(setup, begin=self._begin, end=self._end)
        self._started = True

    def enqueue(self, item: Item) -> None:
        self._setup.enqueue(item.key)

    def _begin(self, kind: Kind, informer: Informer) -> None:
        self.ownership.follow(kind, informer)
        resource = kind.resource
        informer.add_handler(
            added=functools.partial(self._added, resource),
            updated=functools.partial(self._updated, resource),
            deleted=functools.partial(self._deleted, resource),
        )
        if self._started:
            self._reconsider(kind)

    def _end(self, kind: Kind, informer: Informer) -> None:
        """The kind and with it all its objects are gone; what they owned goes too."""
        self.ownership.forget(kind)
        for obj in informer.lister:
            self._deleted(kind.resource, obj)

    def _reconsider(self, kind: Kind) -> None:
        """Owners of a kind that was not served could not be judged until now."""
        for item, obj in self.ownership.everything():
            if any(self.ownership.owner_kind(ref) is kind for ref in meta.owners(obj)):
                self.enqueue(item)

    def _added(self, resource: str, obj: ROObj) -> None:
        if meta.is_deleting(obj):
            matters = _is_held(obj)
        else:  # while its owners are there, it is they that something will happen to first
            matters = any(self.ownership.presence(obj, ref) is not Presence.SOLID for ref in meta.owners(obj))
        if matters:
            self.enqueue(Item.of(resource, obj))

    def _updated(self, resource: str, old: ROObj, new: ROObj) -> None:
        before, after = old["metadata"].get("ownerReferences"), new["metadata"].get("ownerReferences")
        if before != after:
            self.enqueue(Item.of(resource, new))
            self._wake_owners(old)
        if new["metadata"].get("deletionTimestamp") and _is_held(new):
            was_held = meta.is_deleting(old) and meta.finalizers(old) == meta.finalizers(new)
            if not was_held:
                self.enqueue(Item.of(resource, new))

    def _deleted(self, resource: str, obj: ROObj) -> None:
        uid = meta.uid(obj)
        dependents = self.ownership.dependents(uid)
        if dependents:
            self.ownership.gone(uid)
        for dependent in dependents:
            self.enqueue(dependent.item)
        self._wake_owners(obj)

    def _wake_owners(self, obj: ROObj) -> None:
        """Owners that wait for their dependents have one fewer, perhaps."""
        for ref in meta.owners(obj):
            item = self.ownership.owner_item(obj, ref)
            owner = self.ownership.get(item) if item is not None else None
            if item is not None and owner is not None and waits_for_dependents(owner):
                self.enqueue(item)


def _is_held(obj: ROObj) -> bool:
    return not _HELD.isdisjoint(meta.finalizers(obj))


async def reconcile(ctx: Context, key: Key) -> Result:
    watcher: Watcher = ctx.state
    ownership, item = watcher.ownership, Item.parse(key)
    obj = ownership.get(item)
    if obj is None:
        return DONE
    owners = [(ref, await _presence(ctx, ownership, obj, ref)) for ref in meta.owners(obj)]
    plan = plan_collection(obj, owners, ownership.dependents(meta.uid(obj)))
    if plan.action == "orphan":
        for start in range(0, len(plan.dependents), AT_A_TIME):
            some = plan.dependents[start : start + AT_A_TIME]
            await asyncio.gather(*(_disown(ctx, each.item, each.obj, frozenset({meta.uid(obj)})) for each in some))
        await _drop_finalizer(ctx, item, obj, ORPHAN)
    elif plan.action == "release":
        await _drop_finalizer(ctx, item, obj, FOREGROUND)
    elif plan.action == "await":
        _wake(watcher, plan.dependents)
    elif plan.action == "disown":
        await _disown(ctx, item, obj, plan.uids)
    elif plan.action == "delete":
        await _delete(ctx, item, obj, plan)
    return DONE


def _wake(watcher: Watcher, dependents: Sequence[Dependent]) -> None:
    for dependent in dependents:
        if not meta.is_deleting(dependent.obj):
            watcher.enqueue(dependent.item)


async def _presence(ctx: Context, ownership: Ownership, obj: ROObj, ref: OwnerRef) -> Presence:
    """What is true of an owner; the server is asked if no cache shows it."""
    presence = ownership.presence(obj, ref)
    item = ownership.owner_item(obj, ref)
    if presence is Presence.UNKNOWN:
        _complain(ctx, obj, ref)
    if presence is not Presence.UNSEEN or item is None:
        return presence
    try:
        owner = await ctx.client.get(item.resource, item.name, item.namespace)
        if meta.uid(owner) == ref["uid"]:
            return presence_of(owner)
    except NotFound:
        pass
    if ownership.is_elsewhere(item, ref["uid"]):
        _complain(ctx, obj, ref)
    return Presence.ABSENT


def _complain(ctx: Context, obj: ROObj, ref: OwnerRef) -> None:
    watcher: Watcher = ctx.state
    kind = watcher.ownership.owner_kind(ref)
    if kind is None or not kind.namespaced:
        return  # not served (yet): nothing wrong with the object
    namespace = meta.namespace(obj)
    message = (
        f"ownerRef [{ref['apiVersion']}/{ref['kind']}, namespace: {namespace}, name: {ref['name']}, uid: {ref['uid']}] "
        f'does not exist in namespace "{namespace}"'
    )
    ctx.recorder.event(obj, "Warning", "OwnerRefInvalidNamespace", message)


async def _patch(ctx: Context, item: Item, obj: ROObj, metadata: Mapping[str, Any]) -> None:
    """Change metadata of exactly this state of the object; one that is gone is fine. Raises Conflict if it has changed."""
    exact = {"uid": meta.uid(obj), "resourceVersion": obj["metadata"]["resourceVersion"]}
    try:
        await ctx.client.patch(item.resource, item.name, item.namespace, {"metadata": {**exact, **metadata}})
    except NotFound:
        return


async def _disown(ctx: Context, item: Item, obj: ROObj, uids: frozenset[str]) -> None:
    """Remove the owner references to `uids`. The cache may be behind: on a conflict, once more with the server's state."""
    for fresh in (False, True):
        if fresh:
            try:
                current = await ctx.client.get(item.resource, item.name, item.namespace)
            except NotFound:
                return
            if meta.uid(current) != meta.uid(obj):
                return
            obj = current
        remaining = [dict(ref) for ref in meta.owners(obj) if ref["uid"] not in uids]
        if len(remaining) == len(meta.owners(obj)):
            return
        try:
            await _patch(ctx, item, obj, {"ownerReferences": remaining or None})
        except Conflict:
            if fresh:
                raise
            continue
        return


async def _drop_finalizer(ctx: Context, item: Item, obj: ROObj, finalizer: str) -> None:
    remaining = [each for each in meta.finalizers(obj) if each != finalizer]
    await _patch(ctx, item, obj, {"finalizers": remaining or None})


async def _delete(ctx: Context, item: Item, obj: ROObj, plan: CollectionPlan) -> None:
    version = obj["metadata"]["resourceVersion"]
    if plan.unblock:
        refs = [{**ref, "blockOwnerDeletion": False} for ref in meta.owners(obj)]
        exact = {"uid": meta.uid(obj), "resourceVersion": version}
        patch = {"metadata": {**exact, "ownerReferences": refs}}
        try:
            changed = await ctx.client.patch(item.resource, item.name, item.namespace, patch)
        except NotFound:
            return
        version = changed["metadata"]["resourceVersion"]
    ctx.log.debug("collecting", extra={"policy": plan.policy})
    try:
        await ctx.client.delete(
            item.resource, item.name, item.namespace, uid=meta.uid(obj), resource_version=version,
            propagation=plan.policy,
        )  # fmt: skip
    except NotFound:
        return


CONTROLLER = Controller(
    "garbage-collector",
    primary="",
    reconcile=reconcile,
    state=Watcher,
    workers=20,
    rbac=[can("get,list,watch,patch,update,delete", "*")],
    component="garbage-collector-controller",
)
