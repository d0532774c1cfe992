"""`Controller`: one reconcile function, what it watches, and what it may do. The public way to write controllers for minik.

Built-in controllers (`minik/controllers/`) are made of it, and so is a user's own, in a Python file given to the server or run
outside over HTTP. A controller sees an API server through `Context` and nothing else.

    async def reconcile(ctx: Context, key: Key) -> Result:
        widget = ctx.cache("widgets.example.com").get(key)
        if widget is None or meta.is_deleting(widget):
            return DONE
        plan = plan_widget(widget, ctx.cache("configmaps").owned_by(widget))      # pure
        for obj in plan.create:
            await ctx.client.create("configmaps", obj)
        return requeue_after(60) if plan.waits else DONE

    CONTROLLER = Controller("widget", primary="widgets.example.com", triggers=[owned_by("configmaps")],
                            reconcile=reconcile, rbac=[can("create,list,watch", "configmaps")])

The rules (controller-runtime's, and Kubernetes' `controllers.md`):

* **Level, not edge.** Reconcile gets a key, reads what is, and does what is missing. It may run twice, and is never told why.
* **One at a time per key**, several keys at once (`workers`).
* **Read your writes.** Caches lag behind the server; but before a key is reconciled again, the framework waits until the caches
  that the controller declared have seen everything that the last reconcile of this key wrote through `ctx.client`. Revisions are
  common to all resources, so this is exact; it replaces the "expectations" of Kubernetes' controllers.
* **Do not retry and do not swallow.** Raise: the framework counts, logs, and calls again after a back-off (5 ms doubling to
  1000 s). Conflict, NotFound, AlreadyExists and an unreachable server are ordinary and logged quietly.
* **What a cache returns is read-only** and shared; `meta.draft(obj)` makes a copy to change.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol, TypeAlias

from minik.aio import Tasks
from minik.api.kind import Kind
from minik.api.meta import Key, ROObj
from minik.api.registry import Registry
from minik.client.client import Client
from minik.client.informer import Informer
from minik.client.recorder import Recorder
from minik.client.store import IndexFunction, Lister
from minik.client.triggers import Changed, Scope, Trigger, maps, maps_with, owned_by, same_key, selected_by
from minik.clock import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile ended: done, or done until `after` seconds have passed (an event may call it earlier)."""

    after: float | None = None


DONE = Result()


def requeue_after(seconds: float) -> Result:
    """Call again in `seconds` even if nothing happens. 0 or less: at once (behind other keys)."""
    return Result(max(0.0, seconds))


def soonest(*results: Result) -> Result:
    """The result that covers all of `results`."""
    delays = [result.after for result in results if result.after is not None]
    return Result(min(delays)) if delays else DONE


@dataclass(frozen=True, slots=True)
class Permission:
    """One RBAC rule that a controller needs. `resource` may name a subresource: `pods/status`."""

    verbs: tuple[str, ...]
    resource: str


def can(verbs: str, resource: str) -> Permission:
    """`can("create,delete,list,watch", "pods")`, `can("update", "deployments.apps/status")`; several resources with commas, too."""
    return Permission(tuple(verb.strip() for verb in verbs.split(",")), resource)


class KeyLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that puts the controller and the key into every record, besides the record's own fields."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


@dataclass(slots=True)
class Context:
    """What a reconcile works with. Made anew for each call."""

    client: Client
    """Writes (and the rare read that must not come from a cache)."""
    clock: Clock
    entropy: Entropy
    recorder: Recorder
    """Kubernetes Events, in the controller's name; never blocks."""
    log: KeyLogger
    state: Any
    """What `Controller.state` made, or None."""
    registry: Registry
    _caches: Mapping[str, Lister]

    def cache(self, resource: str) -> Lister:
        """The objects of a resource that is the primary, has a trigger, or stands in `Controller.caches`."""
        try:
            return self._caches[resource]
        except KeyError:
            raise LookupError(f"{resource} is not among the controller's triggers and caches") from None


class Setup(Scope, Protocol):
    """What a controller with a memory of its own gets once, at its start (see `Controller.state`)."""

    client: Client
    clock: Clock
    entropy: Entropy
    recorder: Recorder
    registry: Registry
    tasks: Tasks
    """Background tasks that end with the controller."""

    def informer(self, resource: str) -> Informer:
        """The shared informer of any resource. No reconcile runs before those asked for during set-up have synced."""
        ...

    def drop(self, resource: str) -> Coroutine[Any, Any, None]:
        """Let go of the informer of a resource that is no longer served, at once; what is returned waits until it has stopped."""
        ...

    def enqueue(self, key: Key) -> None: ...

    def enqueue_after(self, key: Key, seconds: float) -> None: ...


Reconcile: TypeAlias = Callable[[Context, Key], Awaitable[Result]]


@dataclass(frozen=True)
class Controller:
    """A declaration: no state, so one module constant serves any number of runs. See the module for the rules."""

    name: str
    """For logs, metrics, the work queue, and as the component of its Events: `replicaset`."""
    _: KW_ONLY
    primary: str
    """The resource whose keys are reconciled. Every change of such an object enqueues its key. "" if the keys are the
    controller's own and `state` enqueues them."""
    reconcile: Reconcile
    triggers: Sequence[Trigger] = ()
    """Which other resources' changes enqueue which primaries."""
    caches: Sequence[str] = ()
    """Resources that are read but trigger nothing."""
    indexes: Mapping[str, Mapping[str, IndexFunction]] = field(default_factory=dict)
    """resource → index name → function, for `cache(resource).by_index(name, value)`."""
    when: Changed | None = None
    """(old, new) → whether an update of the primary matters; None: every update does."""
    state: Callable[[Setup], Any] | None = None
    """Makes what the controller remembers between reconciles (`ctx.state`). Called once per run before anything is enqueued.
    For what cannot be read back from objects cheaply: an allocator's pool, a graph. It must be possible to rebuild it."""
    rbac: Sequence[Permission] = ()
    """Beyond get, list and watch of primary, triggers and caches, which are granted anyway."""
    workers: int = 8
    """How many keys are reconciled at once."""
    resync: float | None = None
    """Seconds after which all primaries are enqueued again although nothing happened. None (the rule): never. Only for what
    lives outside the API and cannot be watched."""
    component: str = ""
    """The source in its Events if it is not `<name>-controller`: kubectl and people know the names of Kubernetes' controllers."""

    def resources(self) -> tuple[str, ...]:
        """Every resource whose cache the controller reads, the primary first."""
        named = (self.primary, *(trigger.resource for trigger in self.triggers), *self.caches, *self.indexes)
        return tuple(dict.fromkeys(filter(None, named)))

    def permissions(self) -> tuple[Permission, ...]:
        """All RBAC rules: what is declared, and reading what is watched."""
        return (*(can("get,list,watch", resource) for resource in self.resources()), *self.rbac)


__all__ = [
    "DONE", "Changed", "Context", "Controller", "IndexFunction", "Key", "Kind", "Lister", "Permission", "ROObj", "Result",
    "Scope", "Setup", "Trigger", "can", "maps", "maps_with", "owned_by", "requeue_after", "same_key", "selected_by", "soonest",
]  # fmt: skip
