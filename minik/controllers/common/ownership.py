"""Who owns whom, over every kind: the garbage collector's view of the cluster, and what it decides about one object. No I/O.

kube-controller-manager keeps a graph of its own; here every informer has an index by owner uid, so the graph is in the caches and
cannot disagree with them. `Ownership` reads it, `plan_collection` decides; `garbagecollector.py` acts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

from minik.api import meta
from minik.api.kind import Kind
from minik.api.meta import Key, ROObj
from minik.api.registry import Registry
from minik.client.informer import Informer
from minik.client.store import Lister

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
BY_OWNER = "owner-uid"
"""Index by the uid of every owner, the controlling one and others."""
_ABSENT_LIMIT = 10_000

OwnerRef: TypeAlias = Mapping[str, Any]


def by_owner(obj: ROObj) -> Iterable[str]:
    """The index function of `BY_OWNER`."""
    refs = obj["metadata"].get("ownerReferences")
    return tuple(ref["uid"] for ref in refs) if refs else ()


@dataclass(frozen=True, slots=True)
class Item:
    """Names one object of any kind. Its `key` is what the garbage collector's queue holds."""

    resource: str
    namespace: str
    name: str

    @property
    def key(self) -> Key:
        return Key(f"{self.resource}/{self.namespace}", self.name)

    @classmethod
    def of(cls, resource: str, obj: ROObj) -> Item:
        return cls(resource, meta.namespace(obj), meta.name(obj))

    @classmethod
    def parse(cls, key: Key) -> Item:
        resource, _, namespace = key.namespace.partition("/")
        return cls(resource, namespace, key.name)


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object that names the one in question as its owner."""

    item: Item
    obj: ROObj

    def blocks(self, owner_uid: str) -> bool:
        """Whether a foreground deletion of the owner has to wait for it."""
        return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in meta.owners(self.obj))


def waits_for_dependents(obj: ROObj) -> bool:
    """Whether it is being deleted in the foreground."""
    return meta.is_deleting(obj) and FOREGROUND in meta.finalizers(obj)


class Presence(Enum):
    """What is known of an owner."""

    SOLID = "solid"
    """It is there."""
    WAITING = "waiting"
    """It is being deleted in the foreground and waits for its dependents."""
    ABSENT = "absent"
    """It is gone, or was never there, or its name belongs to another object now."""
    UNSEEN = "unseen"
    """No cache shows it; only the server can tell."""
    UNKNOWN = "unknown"
    """Nobody can tell: its kind is not served, or a cluster-scoped object names a namespaced owner."""


class Ownership:
    """The owners and dependents of any object, read from the caches of all kinds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._listers: dict[str, Lister] = {}
        self._absent: OrderedDict[str, None] = OrderedDict()

    def follow(self, kind: Kind, informer: Informer) -> None:
        informer.add_index(BY_OWNER, by_owner)
        self._listers[kind.resource] = informer.lister

    def forget(self, kind: Kind) -> None:
        self._listers.pop(kind.resource, None)

    def gone(self, uid: str) -> None:
        """The object of this uid does not exist (any more). Uids are never used twice."""
        self._absent[uid] = None
        if len(self._absent) > _ABSENT_LIMIT:
            self._absent.popitem(last=False)

    def get(self, item: Item) -> ROObj | None:
        lister = self._listers.get(item.resource)
        return lister.get(Key(item.namespace, item.name)) if lister is not None else None

    def dependents(self, uid: str) -> list[Dependent]:
        return [
            Dependent(Item.of(resource, obj), obj)
            for resource, lister in self._listers.items()
            for obj in lister.by_index(BY_OWNER, uid)
        ]

    def everything(self) -> Iterator[tuple[Item, ROObj]]:
        """Every object that names an owner."""
        for resource, lister in self._listers.items():
            for obj in lister:
                if meta.owners(obj):
                    yield Item.of(resource, obj), obj

    def owner_kind(self, ref: OwnerRef) -> Kind | None:
        """The kind that `ref` names, if it is served."""
        group, version = meta.parse_api_version(ref["apiVersion"])
        return self._registry.by_kind(group, version, ref["kind"])

    def owner_item(self, obj: ROObj, ref: OwnerRef) -> Item | None:
        """The object that `ref` of `obj` names; None if it cannot be told (`Presence.UNKNOWN`)."""
        kind = self.owner_kind(ref)
        if kind is None or (kind.namespaced and not meta.namespace(obj)):
            return None
        return Item(kind.resource, meta.namespace(obj) if kind.namespaced else "", ref["name"])

    def is_elsewhere(self, item: Item, uid: str) -> bool:
        """Whether the owner that `item` should be is in another namespace. Looks at all objects of the kind: for owners that are not
        found, and have not been seen to go."""
        lister = self._listers.get(item.resource)
        return bool(item.namespace) and lister is not None and any(meta.uid(each) == uid for each in lister)

    def presence(self, obj: ROObj, ref: OwnerRef) -> Presence:
        item, absent = self.owner_item(obj, ref), ref["uid"] in self._absent
        if absent and (item is not None or self.owner_kind(ref) is None):  # its kind may have gone with it
            return Presence.ABSENT
        if item is None:
            return Presence.UNKNOWN
        owner = self.get(item)
        if owner is None or meta.uid(owner) != ref["uid"]:
            return Presence.UNSEEN
        return presence_of(owner)


def presence_of(owner: ROObj) -> Presence:
    """Of an owner that was found."""
    return Presence.WAITING if waits_for_dependents(owner) else Presence.SOLID


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """What the garbage collector does about one object.

    `keep`; `orphan`: take its reference from `dependents`, then its finalizer; `release`: take the foreground finalizer, nothing
    blocks it any more; `await`: its `dependents` have to go first, look at each; `disown`: remove the references to the owners
    `uids`; `delete`: with `policy`, after setting blockOwnerDeletion to false if `unblock`."""

    action: Literal["keep", "orphan", "release", "await", "disown", "delete"]
    dependents: Sequence[Dependent] = ()
    uids: frozenset[str] = frozenset()
    policy: Literal["Background", "Foreground", "Orphan"] = "Background"
    unblock: bool = False


KEEP = CollectionPlan("keep")


def plan_collection(
    obj: ROObj, owners: Sequence[tuple[OwnerRef, Presence]], dependents: Sequence[Dependent]
) -> CollectionPlan:
    """`pkg/controller/garbagecollector` attemptToDeleteItem, attemptToOrphan and processDeletingDependentsItem as one decision.

    `owners`: each reference with its presence (never UNSEEN). `dependents`: all of the object's."""
    finalizers = meta.finalizers(obj)
    if meta.is_deleting(obj):
        if ORPHAN in finalizers:
            return CollectionPlan("orphan", dependents)
        if FOREGROUND in finalizers:
            blocking = [d for d in dependents if d.blocks(meta.uid(obj))]
            return CollectionPlan("await", dependents) if blocking else CollectionPlan("release")
        return KEEP
    if not owners:
        return KEEP
    by_presence: dict[Presence, set[str]] = {}
    for ref, presence in owners:
        by_presence.setdefault(presence, set()).add(ref["uid"])
    absent, waiting = by_presence.get(Presence.ABSENT, set()), by_presence.get(Presence.WAITING, set())
    if Presence.SOLID in by_presence:
        superfluous = frozenset(absent | waiting)
        return CollectionPlan("disown", uids=superfluous) if superfluous else KEEP
    if Presence.UNKNOWN in by_presence:
        return KEEP
    if waiting and dependents:
        # A cycle of objects that block one another would wait for ever: one that has such a dependent does not block.
        cycle = any(waits_for_dependents(d.obj) for d in dependents)
        return CollectionPlan("delete", policy="Foreground", unblock=cycle)
    if ORPHAN in finalizers:
        return CollectionPlan("delete", policy="Orphan")
    return CollectionPlan("delete", policy="Foreground" if FOREGROUND in finalizers else "Background")
