"""ResourceQuota: no write that would use more than a namespace's quotas leave (admission plugin ResourceQuota). The last step of all.

Upstream writes each use into the quota's status before it lets the object through. Here the use is what the cache shows, plus what
writes under way will add: each is known for as long as it takes, as addresses are in `addresses.py`. So there is nothing to leak or to
repair, creates do not wait for one another, and no quota is exceeded at any revision, whoever dies. `status.used` is for people and
follows shortly (`controllers/resourcequota.py`). Sums are kept up as objects come and go (`quota_tally.py`), from the first write that
needs them; a namespace without quotas costs two look-ups.

More than upstream: a quota holds from the moment it is asked for, not from its first status; and a pod that an update moves into a scope
(`activeDeadlineSeconds` is set) must fit there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from minik.api import errors, meta
from minik.api.core_v1 import quotas
from minik.api.core_v1.quota_tally import Tally
from minik.api.core_v1.quotas import Scope
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.clock import Clock
from minik.server.core import Attributes, Core
from minik.storage.cache import Cache
from minik.storage.entry import Entry

QUOTAS = "resourcequotas"
Adds: TypeAlias = Mapping[Scope, Mapping[str, int]]
"""What a write adds to the use, by scope."""


class _Write:
    """One write under way."""

    __slots__ = ("adds", "draft", "key", "namespace", "old", "resource")

    def __init__(self, kind: Kind, namespace: str, name: str, draft: ROObj, old: ROObj | None) -> None:
        self.resource, self.namespace, self.key = kind.resource, namespace, kind.key(namespace, name)
        self.draft, self.old = draft, old
        self.adds: dict[_Space, Adds] = {}
        """What it still adds to the sums of a space."""

    def has_landed(self, cache: Cache) -> bool:
        """Whether the cache shows a change of the object since the write began: then this is it, or it has lost."""
        entry = cache.get(self.key)
        return (str(entry.revision) if entry else "") != (self.old["metadata"]["resourceVersion"] if self.old else "")


def _adds(resource: str, draft: ROObj, old: ROObj | None, scopes: Iterable[Scope], *, now: float) -> Adds:
    after = quotas.usage(resource, draft, now=now)
    used = quotas.usage(resource, old, now=now) if old is not None else {}
    found: dict[Scope, dict[str, int]] = {}
    for scope in scopes:
        if quotas.in_scope(scope, resource, draft):
            before = used if old is not None and quotas.in_scope(scope, resource, old) else {}
            found[scope] = {name: n - b for name, n in after.items() if n > (b := before.get(name, 0))}
    return found


class _Space:
    """One resource in one namespace: what is used, and what writes under way add."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._waiting: dict[str, list[_Write]] = {}
        self._reserved: dict[tuple[Scope, str], int] = {}

    def used(self, scope: Scope, name: str) -> int:
        return self.tally.used(scope).get(name, 0) + self._reserved.get((scope, name), 0)

    def expect(self, write: _Write, adds: Adds) -> None:
        """Count what `write` adds until it is settled."""
        if any(adds.values()):
            write.adds[self] = adds
            self._waiting.setdefault(write.key, []).append(write)
            self._add(adds, 1)

    def settle(self, write: _Write) -> None:
        """The write is over; its object counts if it is there."""
        adds = write.adds.pop(self, None)
        if adds is not None:
            self._add(adds, -1)
            waiting = self._waiting[write.key]
            waiting.remove(write)
            if not waiting:
                del self._waiting[write.key]

    def changed(self, key: str) -> None:
        """The cache shows a change of `key`: whoever was writing it has done so, or has lost."""
        for write in tuple(self._waiting.get(key, ())):
            self.settle(write)

    def _add(self, adds: Adds, times: int) -> None:
        for scope, names in adds.items():
            for name, nanos in names.items():
                left = self._reserved.get((scope, name), 0) + times * nanos
                if left:
                    self._reserved[scope, name] = left
                else:
                    del self._reserved[scope, name]


class QuotaUse:
    """What is used in namespaces that have quotas, and which writes are under way in all. One per server; see the module."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._spaces: dict[str, dict[str, _Space]] = {}
        """resource → namespace → what is known there. A resource that is in it is followed."""
        self._under_way: dict[str, set[_Write]] = {}
        """By namespace; a quota that comes or grows finds there what was let through before it."""
        self._coming: set[_Write] = set()
        """Those of them that write quotas, of all namespaces."""
        cache.follow(QUOTAS, self._quota_changed)

    def now(self) -> float:
        return self._clock.now().timestamp()

    def quotas(self, namespace: str) -> list[ROObj]:
        """The namespace's quotas: those that are there, and those that are being written."""
        found = [entry.obj for entry in self._cache.list(QUOTAS, namespace)]
        if self._coming:
            found += [w.draft for w in self._coming if w.namespace == namespace and not w.has_landed(self._cache)]
        return found

    def begin(self, write: _Write) -> Callable[[], None]:
        """Remember a write that may use more, until what is returned is called."""
        namespace = write.namespace
        self._under_way.setdefault(namespace, set()).add(write)
        if write.resource == QUOTAS:
            self._coming.add(write)

        def finish() -> None:
            for space in tuple(write.adds):
                space.settle(write)
            under_way = self._under_way[namespace]
            under_way.discard(write)
            self._coming.discard(write)
            if not under_way:
                del self._under_way[namespace]

        return finish

    def space(self, resource: str, namespace: str, scopes: set[Scope]) -> _Space:
        """With sums for `scopes`, at least; counted now if they have not been."""
        spaces = self._spaces.get(resource)
        if spaces is None:
            spaces = self._spaces[resource] = {}
            self._cache.follow(resource, lambda key, entry: self._changed(spaces, key, entry))
        space = spaces.get(namespace)
        if space is None or not scopes <= space.tally.scopes:
            wanted = scopes if space is None else scopes | space.tally.scopes
            space = spaces[namespace] = self._count(resource, namespace, wanted)
        return space

    def _count(self, resource: str, namespace: str, scopes: Iterable[Scope]) -> _Space:
        entries, now = self._cache.list(resource, namespace), self.now()
        space = _Space(Tally(resource, scopes, ((entry.key, entry.obj) for entry in entries), now=now))
        for write in self._under_way.get(namespace, ()):
            if write.resource == resource and not write.has_landed(self._cache):
                space.expect(write, _adds(resource, write.draft, write.old, space.tally.scopes, now=now))
        return space

    def _changed(self, spaces: Mapping[str, _Space], key: str, entry: Entry | None) -> None:
        space = spaces.get(key.split("/", 2)[1])
        if space is None:
            return
        if entry is None:
            space.tally.drop(key)
        else:
            space.tally.put(key, entry.obj, now=self.now())
        space.changed(key)

    def _quota_changed(self, key: str, entry: Entry | None) -> None:
        """With a namespace's last quota goes what was counted for them."""
        namespace = key.split("/", 2)[1]
        if entry is None and not self._cache.list(QUOTAS, namespace):
            for spaces in self._spaces.values():
                spaces.pop(namespace, None)


def admit_quota(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Raises Forbidden if a quota leaves less than the write adds; else counts with the write until it is over."""
    kind, namespace, old = attributes.kind, attributes.namespace, attributes.old
    if not kind.namespaced or attributes.subresource not in ("", "resize") or attributes.verb == "delete":
        return
    if old is not None and not _may_matter(kind.resource, draft, old):
        return
    write = _Write(kind, namespace, attributes.name, draft, old)
    known = core.quotas.quotas(namespace)
    relevant = [(quota, names) for quota in known if (names := quotas.names_for(quota, kind.resource))] if known else ()
    if relevant:
        _charge(core.quotas, write, relevant, attributes)
    attributes.done.append(core.quotas.begin(write))


def _may_matter(resource: str, draft: ROObj, old: ROObj) -> bool:
    """Whether an update may use more, or leave less."""
    if resource in quotas.CHANGING:
        return draft.get("spec") != old.get("spec") or meta.annotations(draft) != meta.annotations(old)
    return resource == QUOTAS and draft.get("spec") != old.get("spec")


def _charge(use: QuotaUse, write: _Write, relevant: Sequence[tuple[ROObj, list[str]]], attributes: Attributes) -> None:
    now, scopes = use.now(), {quotas.scope_of(quota) for quota, _ in relevant}
    space = use.space(write.resource, attributes.namespace, scopes)
    space.tally.pass_time(now)
    adds = _adds(write.resource, write.draft, write.old, space.tally.scopes, now=now)
    for quota, names in relevant:
        scope = quotas.scope_of(quota)
        if scope not in adds:
            continue
        if write.resource == quotas.PODS and (write.old is None or attributes.subresource):
            why = quotas.unsaid(write.draft, names)
            if why:
                raise _refused(attributes, f"failed quota: {meta.name(quota)}: {why}")
        _check(quota, names, scope, adds[scope], space, attributes)
    space.expect(write, adds)


def _check(
    quota: ROObj, names: Sequence[str], scope: Scope, adds: Mapping[str, int], space: _Space, attributes: Attributes
) -> None:
    exceeded = [
        name
        for name in sorted(names)
        if name in adds and space.used(scope, name) + adds[name] > quotas.limit(quota, name)
    ]
    if not exceeded:
        return

    def said(amount: Callable[[str], int]) -> str:
        return ",".join(f"{name}={quotas.show(name, amount(name))}" for name in exceeded)

    requested, used = said(lambda name: adds[name]), said(lambda name: space.used(scope, name))
    limited = ",".join(f"{name}={quota['spec']['hard'][name]}" for name in exceeded)
    why = f"exceeded quota: {meta.name(quota)}, requested: {requested}, used: {used}, limited: {limited}"
    raise _refused(attributes, why)


def _refused(attributes: Attributes, why: str) -> errors.Forbidden:
    return errors.forbidden(attributes.kind.plural, attributes.kind.group, attributes.name, why)
