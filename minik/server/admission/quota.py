"""ResourceQuota: no write that would use more than a namespace's quotas leave (admission plugin ResourceQuota). The last step of all.

Upstream writes each use into the quota's status before it lets the object through. Here the use is what the cache shows, plus what
writes under way will add: each reserves it for the length of the write, as `addresses.py` does with addresses. So there is nothing to
leak or to repair, creates do not wait for one another, and no quota is exceeded at any revision, whoever dies. `status.used` is
for people and follows shortly (`controllers/resourcequota.py`). Sums are kept up as objects come and go (`quota_tally.py`), from
the first write that needs them; a namespace without quotas costs one look-up.

More than upstream: a quota holds from the moment it exists, not from its first status; and a pod that an update moves into a scope
(`activeDeadlineSeconds` is set) must fit there too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from minik.api import errors, meta
from minik.api.core_v1 import quotas
from minik.api.core_v1.quota_tally import Tally
from minik.api.core_v1.quotas import Scope
from minik.api.meta import Obj, ROObj
from minik.clock import Clock
from minik.server.core import Attributes, Core
from minik.storage.cache import Cache
from minik.storage.entry import Entry

QUOTAS = "resourcequotas"


@dataclass(slots=True, eq=False)
class _Reservation:
    """What one write under way adds, by scope."""

    adds: Mapping[Scope, Mapping[str, int]]
    landed: bool = False


class _Space:
    """One resource in one namespace: what is used, and what is reserved."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.under_way: dict[str, list[_Reservation]] = {}
        self._reserved: dict[tuple[Scope, str], int] = {}

    def used(self, scope: Scope, name: str) -> int:
        return self.tally.used(scope).get(name, 0) + self._reserved.get((scope, name), 0)

    def reserve(self, key: str, adds: Mapping[Scope, Mapping[str, int]]) -> Callable[[], None]:
        """Until what is returned is called, or the cache shows a change of `key`: then the write has landed, or has lost."""
        held = _Reservation(adds)
        self.under_way.setdefault(key, []).append(held)
        self._add(adds, 1)

        def release() -> None:
            if not held.landed:
                self._settle(held)
                waiting = self.under_way[key]
                waiting.remove(held)
                if not waiting:
                    del self.under_way[key]

        return release

    def landed(self, key: str) -> None:
        for held in self.under_way.pop(key, ()):
            self._settle(held)

    def _settle(self, held: _Reservation) -> None:
        held.landed = True
        self._add(held.adds, -1)

    def _add(self, adds: Mapping[Scope, Mapping[str, int]], times: int) -> None:
        for scope, names in adds.items():
            for name, nanos in names.items():
                left = self._reserved.get((scope, name), 0) + times * nanos
                if left:
                    self._reserved[scope, name] = left
                else:
                    del self._reserved[scope, name]


class QuotaUse:
    """What is used in namespaces that have quotas. One per server; see the module."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._spaces: dict[str, dict[str, _Space]] = {}
        """resource → namespace → what is known there. A resource that is in it is followed."""
        cache.follow(QUOTAS, self._quota_changed)

    def _quota_changed(self, key: str, entry: Entry | None) -> None:
        """The last quota of a namespace is gone: nothing there need be remembered but what is under way."""
        namespace = key.split("/", 2)[1]
        if entry is not None or self._cache.list(QUOTAS, namespace):
            return
        for spaces in self._spaces.values():
            space = spaces.get(namespace)
            if space is not None and not space.under_way:
                del spaces[namespace]

    def space(self, resource: str, namespace: str, scopes: set[Scope]) -> _Space:
        """With sums for `scopes`, at least; counted now if they have not been."""
        spaces = self._spaces.get(resource)
        if spaces is None:
            spaces = self._spaces[resource] = {}
            self._cache.follow(resource, lambda key, entry: self._changed(spaces, key, entry))
        space = spaces.get(namespace)
        if space is None:
            space = spaces[namespace] = _Space(self._count(resource, namespace, scopes))
        elif not scopes <= space.tally.scopes:
            space.tally = self._count(resource, namespace, scopes | space.tally.scopes)
        return space

    def _count(self, resource: str, namespace: str, scopes: set[Scope] | frozenset[Scope]) -> Tally:
        entries = self._cache.list(resource, namespace)
        return Tally(resource, scopes, ((entry.key, entry.obj) for entry in entries), now=self.now())

    def now(self) -> float:
        return self._clock.now().timestamp()

    def _changed(self, spaces: Mapping[str, _Space], key: str, entry: Entry | None) -> None:
        space = spaces.get(key.split("/", 2)[1])
        if space is None:
            return
        if entry is None:
            space.tally.drop(key)
        else:
            space.tally.put(key, entry.obj, now=self.now())
        space.landed(key)


def admit_quota(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Reserve what the write adds. Raises Forbidden if a quota leaves less."""
    kind, namespace = attributes.kind, attributes.namespace
    if not kind.namespaced or attributes.subresource not in ("", "resize") or attributes.verb == "delete":
        return
    entries = core.cache.list(QUOTAS, namespace)
    if not entries or (attributes.old is not None and not _may_use_more(kind.resource, draft, attributes.old)):
        return
    relevant = [(entry.obj, names) for entry in entries if (names := quotas.names_for(entry.obj, kind.resource))]
    if relevant:
        _charge(core, draft, attributes, relevant)


def _may_use_more(resource: str, draft: ROObj, old: ROObj) -> bool:
    if resource not in quotas.CHANGING:
        return False
    return draft.get("spec") != old.get("spec") or meta.annotations(draft) != meta.annotations(old)


def _charge(core: Core, draft: Obj, attributes: Attributes, relevant: Sequence[tuple[ROObj, list[str]]]) -> None:
    resource, old = attributes.kind.resource, attributes.old
    use = core.quotas
    now = use.now()
    new_use = quotas.usage(resource, draft, now=now)
    old_use = quotas.usage(resource, old, now=now) if old is not None else {}
    scopes = {quotas.scope_of(quota) for quota, _ in relevant}
    space = use.space(resource, attributes.namespace, scopes)
    space.tally.pass_time(now)
    adds: dict[Scope, dict[str, int]] = {}
    for scope in scopes:
        if quotas.in_scope(scope, resource, draft):
            before = old_use if old is not None and quotas.in_scope(scope, resource, old) else {}
            adds[scope] = {name: n - b for name, n in new_use.items() if n > (b := before.get(name, 0))}
    for quota, names in relevant:
        scope = quotas.scope_of(quota)
        if scope not in adds:
            continue
        if resource == quotas.PODS and (old is None or attributes.subresource):
            why = quotas.unsaid(draft, names)
            if why:
                raise _refused(attributes, f"failed quota: {meta.name(quota)}: {why}")
        _check(quota, names, scope, adds[scope], space, attributes)
    if any(adds.values()):
        key = attributes.kind.key(attributes.namespace, attributes.name)
        attributes.done.append(space.reserve(key, adds))


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
