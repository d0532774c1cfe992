"""ResourceQuota: `status.hard` and `status.used` say what is limited and what is used.

Nobody decides by them (`server/admission/quota.py` knows better); people, `kubectl describe quota` and tools read them. What is used
is not added up for every look: a `Tally` for each resource that a namespace's quotas limit follows its objects through the shared
informers, and when a sum changes the namespace's quotas are looked at, at most every `GATHER` seconds. Kinds that come and go
(`count/widgets.example.com`) are followed while they are served. Source of the rules: kubernetes `pkg/controller/resourcequota`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from minik.api import meta, quantity
from minik.api.core_v1 import quotas
from minik.api.core_v1.quota_tally import Tally
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Setup, can, requeue_after
from minik.client.informer import Informer

QUOTAS = "resourcequotas"
GATHER = 0.05
"""Seconds in which changes of a namespace's use are gathered into one status."""


class Use:
    """What the objects in namespaces with quotas use. Rebuilt from the informers whenever it is not there."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._informers: dict[str, tuple[Informer, Callable[[], None]]] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        """(resource, namespace) → what is used there."""
        self._quotas = setup.informer(QUOTAS)
        setup.registry.on_change(self._kinds_changed)

    def now(self) -> float:
        return self._setup.clock.now().timestamp()

    async def follow(self, resource: str) -> Informer | None:
        """The synced informer of a resource, or None if it is not served."""
        known = self._informers.get(resource)
        if known is None:
            kind = self._setup.registry.get(resource)
            if kind is None or not kind.namespaced or not {"list", "watch"}.issubset(kind.verbs):
                return None
            informer = self._setup.informer(resource)
            await informer.wait_synced()
            known = self._informers.get(resource)  # another quota may have waited for it too
            if known is None:
                changed = functools.partial(self._changed, resource)
                detach = informer.add_handler(
                    added=changed,
                    updated=lambda _old, new: changed(new),
                    deleted=functools.partial(self._gone, resource),
                )
                known = self._informers[resource] = informer, detach
        return known[0]

    def tally(self, resource: str, namespace: str, scopes: set[quotas.Scope], informer: Informer) -> Tally:
        """With sums for `scopes`, at least; counted now if they have not been."""
        key = resource, namespace
        known = self._tallies.get(key)
        if known is None or not scopes <= known.scopes:
            wanted = scopes | (known.scopes if known is not None else frozenset())
            objects = ((str(meta.key(obj)), obj) for obj in informer.lister.list(namespace))
            known = self._tallies[key] = Tally(resource, wanted, objects, now=self.now())
        return known

    def forget(self, namespace: str) -> None:
        """The namespace has no quota any more."""
        for key in [key for key in self._tallies if key[1] == namespace]:
            del self._tallies[key]

    def _changed(self, resource: str, obj: ROObj) -> None:
        tally = self._tallies.get((resource, meta.namespace(obj)))
        if tally is not None and tally.put(str(meta.key(obj)), obj, now=self.now()):
            self._enqueue(meta.namespace(obj))

    def _gone(self, resource: str, obj: ROObj) -> None:
        tally = self._tallies.get((resource, meta.namespace(obj)))
        if tally is not None and tally.drop(str(meta.key(obj))):
            self._enqueue(meta.namespace(obj))

    def _enqueue(self, namespace: str) -> None:
        for quota in self._quotas.lister.list(namespace):
            self._setup.enqueue_after(meta.key(quota), GATHER)

    def _kinds_changed(self) -> None:
        """Let go of kinds that are no longer served, and look again at quotas of kinds that are served from now on."""
        if self._setup.tasks.closed:
            return
        gone = {resource for resource in self._informers if self._setup.registry.get(resource) is None}
        for resource in gone:
            self._informers.pop(resource)[1]()
            for key in [key for key in self._tallies if key[0] == resource]:
                del self._tallies[key]
        for quota in self._quotas.lister:
            if any(resource in gone or resource not in self._informers for resource in counted_by(quota)):
                self._setup.enqueue(meta.key(quota))


def counted_by(quota: ROObj) -> set[str]:
    """The resources whose objects the quota counts."""
    return {resource for name in quota["spec"].get("hard") or () if (resource := quotas.resource_of(name))}


def plan_status(quota: ROObj, used: dict[str, quotas.Usage]) -> Obj:
    """`used`: resource → what its objects use in the quota's scope; a resource that is not served is missing there, and its names are
    missing in the status."""
    hard = quota["spec"].get("hard")
    if not hard:
        return {}
    amounts = {
        name: quotas.show(name, used[resource].get(name, 0))
        for name in hard
        if (resource := quotas.resource_of(name)) in used
    }
    status: Obj = {"hard": dict(hard)}
    if amounts:
        status["used"] = amounts
    return status


def is_same(old: ROObj, new: ROObj) -> bool:
    """Whether two statuses say the same, however their amounts are written."""
    return all(_parsed(old.get(part) or {}) == _parsed(new.get(part) or {}) for part in ("hard", "used"))


def _parsed(amounts: ROObj) -> dict[str, quantity.Quantity]:
    return {name: quantity.parse(text) for name, text in amounts.items()}


async def reconcile(ctx: Context, key: Key) -> Result:
    use: Use = ctx.state
    all_quotas = ctx.cache(QUOTAS)
    quota = all_quotas.get(key)
    if quota is None:
        if not all_quotas.list(key.namespace):
            use.forget(key.namespace)
        return DONE
    scope, now = quotas.scope_of(quota), use.now()
    used: dict[str, quotas.Usage] = {}
    ends: list[float] = []
    for resource in sorted(counted_by(quota)):
        informer = await use.follow(resource)
        if informer is None:
            continue
        tally = use.tally(
            resource, key.namespace, _scopes(all_quotas.list(key.namespace), resource) | {scope}, informer
        )
        end = tally.pass_time(now)
        if end is not None:
            ends.append(end)
        used[resource] = tally.used(scope)
    status = plan_status(quota, used)
    if not is_same(quota.get("status") or {}, status):
        await ctx.client.update_status(QUOTAS, quota, status)
    return requeue_after(min(ends) - now + 1) if ends else DONE


def _scopes(known: Iterable[ROObj], resource: str) -> set[quotas.Scope]:
    """Of all quotas of a namespace that count the resource, so that it is counted once for all of them."""
    return {quotas.scope_of(quota) for quota in known if resource in counted_by(quota)}


def _matters(old: ROObj, new: ROObj) -> bool:
    return bool(old["spec"] != new["spec"] or old.get("status") != new.get("status"))


CONTROLLER = Controller(
    "resourcequota",
    primary=QUOTAS,
    when=_matters,
    reconcile=reconcile,
    state=Use,
    rbac=[can("get,list,watch", "*"), can("update", f"{QUOTAS}/status")],
)
