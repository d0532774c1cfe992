"""`Manager`: runs controllers. The work queues, the caches, the workers, and the only retry loop of the control plane.

Read `_Runner._work` first. Built by `cli/compose.py` for the built-in controllers, by `run_controllers` for a user's own. Starts only
the informers that its controllers name. What a controller is and may rely on stands in `controller.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    ServiceUnavailable,
    StatusError,
    Timeout,
    TooManyRequests,
    is_namespace_terminating,
)
from minik.api.kind import Kind
from minik.api.meta import Key, ROObj
from minik.api.registry import Registry
from minik.client.client import Client, Writes, WritesClient
from minik.client.controller import Context, Controller, KeyLogger
from minik.client.informer import Informer, Informers
from minik.client.recorder import Recorder
from minik.client.served import wait_served
from minik.client.store import IndexFunction, Lister
from minik.client.transport import Transport
from minik.client.triggers import Changed, Keys
from minik.client.workqueue import QueueClosed, WorkQueue
from minik.clock import Clock, Entropy
from minik.metrics import Metrics

log = logging.getLogger("minik.controllers")

CATCH_UP_SECONDS = 30.0
"""How long a key waits at most for the caches to show its last writes. Only a watch that is cut takes longer, and then the
reconcile would not get far either; it is safe (level), only wasteful."""
_ORDINARY = (Conflict, NotFound, AlreadyExists, ServiceUnavailable, Timeout, TooManyRequests)


class Manager:
    """The running controllers of a process."""

    def __init__(
        self,
        controllers: Sequence[Controller],
        transport: Transport,
        registry: Registry,
        *,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        informers: Informers | None = None,
    ) -> None:
        """`informers`: to share with others (the scheduler); they are then not closed here."""
        self.transport = transport
        self.registry = registry
        self.clock = clock
        self.entropy = entropy
        self.metrics = metrics
        self._own = informers is None
        self.informers = informers or Informers(transport, registry, clock=clock, entropy=entropy)
        self._runners = {controller.name: _Runner(controller, self) for controller in controllers}
        if len(self._runners) != len(controllers):
            raise ValueError("two controllers have the same name")
        self._tasks = Tasks("controllers")

    async def start(self) -> None:
        """Start everything; each controller begins to work as soon as its kinds are served and its caches have synced. Does not wait for
        that."""
        for runner in self._runners.values():
            if runner.is_served:
                runner.attach()
        for name, runner in self._runners.items():
            self._tasks.start(name, runner.run())

    async def wait_synced(self) -> None:
        """Wait until every controller works."""
        for runner in self._runners.values():
            await runner.working.wait()

    @property
    def idle(self) -> bool:
        """No controller has anything to do right now (keys may wait for their time)."""
        return all(runner.queue.idle for runner in self._runners.values())

    def statistics(self) -> dict[str, Any]:
        return {
            "controllers": {name: runner.statistics() for name, runner in self._runners.items()},
            "informers": self.informers.statistics(),
        }

    async def close(self) -> None:
        """Stop: reconciles under way are cancelled."""
        await self._tasks.close()
        for runner in self._runners.values():
            await runner.close()
        if self._own:
            await self.informers.close()


async def run_controllers(
    controllers: Sequence[Controller],
    transport: Transport,
    registry: Registry,
    *,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics | None = None,
) -> None:
    """Run controllers until cancelled. For programs of their own; the transport stays the caller's."""
    manager = Manager(controllers, transport, registry, clock=clock, entropy=entropy, metrics=metrics or Metrics())
    await manager.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await manager.close()


def _is_ordinary(error: Exception) -> bool:
    """Whether an error is part of the day: the next try, or the next event, settles it."""
    return isinstance(error, _ORDINARY) or is_namespace_terminating(error)


class _Runner:
    """One controller at work. Also its `Scope` and `Setup`."""

    def __init__(self, controller: Controller, manager: Manager) -> None:
        self._declared = controller
        self._manager = manager
        self.controller = controller.name
        self.clock = manager.clock
        self.entropy = manager.entropy
        self.registry = manager.registry
        self.queue: WorkQueue[Key] = WorkQueue(manager.clock)
        self.tasks = Tasks(f"controller {controller.name}")
        self._component = controller.component or f"{controller.name}-controller"
        self.client = Client(manager.transport, manager.registry, manager=self._component)
        self.recorder = Recorder(
            self.client,
            component=self._component,
            clock=manager.clock,
            entropy=manager.entropy,
        )
        self.working = asyncio.Event()
        self._caches: dict[str, Lister] = {}
        self._informers: dict[str, Informer] = {}
        self._detach: list[Any] = []
        self._unseen: dict[Key, Writes] = {}
        self._state: Any = None
        self._attached = False
        metrics, name = manager.metrics, controller.name
        reconciles = metrics.counter("controller_reconcile_total", "Reconciles by result.", ["controller", "result"])
        self._succeeded = reconciles.labels(name, "success")
        self._requeued = reconciles.labels(name, "requeue_after")
        self._failed = reconciles.labels(name, "error")
        self._seconds = metrics.histogram(
            "controller_reconcile_seconds", "Seconds that a reconcile took.", ["controller"]
        ).labels(name)
        depth = metrics.gauge("workqueue_depth", "Keys that wait.", ["name"]).labels(name)
        retries = metrics.counter("workqueue_retries_total", "Keys retried after a failure.", ["name"]).labels(name)
        adds = metrics.counter("workqueue_adds_total", "Keys added.", ["name"]).labels(name)

        def collect() -> None:
            depth.set(len(self.queue))
            retries.set(self.queue.retries)
            adds.set(self.queue.adds)

        metrics.on_collect(collect)

    # --- set-up (Scope, Setup) ---------------------------------------------------------------------------------------

    @property
    def primary(self) -> Kind:
        return self.registry[self._declared.primary]

    def cache(self, resource: str) -> Lister:
        try:
            return self._caches[resource]
        except KeyError:
            raise LookupError(f"{resource} is not among the triggers and caches of {self.controller}") from None

    def add_index(self, resource: str, name: str, function: IndexFunction) -> None:
        self._informers[resource].add_index(name, function)

    def informer(self, resource: str) -> Informer:
        informer = self._manager.informers.of(resource)
        self._informers[resource] = informer
        self._caches[resource] = informer.lister
        return informer

    def drop(self, resource: str) -> Coroutine[Any, Any, None]:
        self._informers.pop(resource, None)
        self._caches.pop(resource, None)
        return self._manager.informers.drop(resource)

    def enqueue(self, key: Key) -> None:
        self.queue.add(key)

    def enqueue_after(self, key: Key, seconds: float) -> None:
        self.queue.add_after(key, seconds)

    @property
    def is_served(self) -> bool:
        """Whether there are all the kinds that the controller reads. Custom ones may come later."""
        return all(self.registry.get(resource) is not None for resource in self._declared.resources())

    def attach(self) -> None:
        """Declare caches and indexes, make the state, and listen. Runs without an `await`, so that nothing is missed."""
        self._attached = True
        declared = self._declared
        for resource in declared.resources():
            informer = self.informer(resource)
            for name, function in declared.indexes.get(resource, {}).items():
                informer.add_index(name, function)
        if declared.state is not None:
            self._state = declared.state(self)
        if declared.primary:
            self._listen(declared.primary, lambda obj: (meta.key(obj),), declared.when, both=False)
        for trigger in declared.triggers:
            self._listen(trigger.resource, trigger.bind(self), trigger.when, both=True)

    def _listen(self, resource: str, keys: Keys, when: Changed | None, *, both: bool) -> None:
        add = self.queue.add

        def changed(obj: ROObj) -> None:
            for key in keys(obj):
                add(key)

        def updated(old: ROObj, new: ROObj) -> None:
            if when is not None and not when(old, new):
                return
            if both:
                for key in keys(old):
                    add(key)
            for key in keys(new):
                add(key)

        self._detach.append(self._informers[resource].add_handler(added=changed, updated=updated, deleted=changed))

    # --- running -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        if not self._attached:
            log.info(
                "a controller waits until all its kinds are served",
                extra={"controller": self.controller, "kinds": ",".join(self._declared.resources())},
            )
            await wait_served(self.registry, self._declared.resources())
            self.attach()
        for informer in list(self._informers.values()):
            await informer.wait_synced()
        self.working.set()
        for number in range(self._declared.workers):
            self.tasks.start(f"worker {number}", self._work())
        if self._declared.resync is not None and self._declared.primary:
            self.tasks.start("resync", self._resync(self._declared.resync))

    async def close(self) -> None:
        for detach in self._detach:
            detach()
        self.queue.close()
        await self.tasks.close()
        await self.recorder.close()

    async def _resync(self, seconds: float) -> None:
        while True:
            await self.clock.sleep(seconds)
            for obj in self._caches[self._declared.primary]:
                self.queue.add(meta.key(obj))

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                await self._once(key)
            finally:
                self.queue.done(key)

    async def _once(self, key: Key) -> None:
        unseen = self._unseen.pop(key, None)
        if unseen is not None:
            await self._catch_up(key, unseen)
        began = self.clock.monotonic()
        client = WritesClient(self._manager.transport, self.registry, manager=self._component)
        logger = KeyLogger(log, {"controller": self.controller, "key": str(key)})
        ctx = Context(client, self.clock, self.entropy, self.recorder, logger, self._state, self.registry, self._caches)
        try:
            result = await self._declared.reconcile(ctx, key)
        except Exception as error:  # the retry loop: everything that is not a cancellation is tried again
            self._retry(key, error, logger)
        else:
            self.queue.forget(key)
            if result.after is None:
                self._succeeded.inc()
            else:
                self._requeued.inc()
                self.queue.add_after(key, result.after)
        finally:
            if client.writes:
                self._unseen[key] = client.writes
            self._seconds.observe(self.clock.monotonic() - began)

    def _retry(self, key: Key, error: Exception, logger: KeyLogger) -> None:
        self._failed.inc()
        at_least = 0.0
        if isinstance(error, StatusError):
            at_least = float((error.details or {}).get("retryAfterSeconds") or 0)
        delay = self.queue.retry(key, at_least=at_least)
        fields = {"error": str(error), "type": type(error).__name__, "retry_in": round(delay, 3)}
        if _is_ordinary(error):
            logger.debug("reconcile will be tried again", extra=fields)
        elif isinstance(error, StatusError):
            logger.warning("the server refused what a controller asked", extra=fields)
        else:
            logger.error("reconcile failed", extra=fields, exc_info=error)

    async def _catch_up(self, key: Key, writes: Writes) -> None:
        """Wait until the caches show what the last reconcile of `key` wrote."""
        late = [
            informer.wait_for(revision)
            for resource, revision in writes.revisions.items()
            if (informer := self._informers.get(resource)) is not None and informer.revision < revision
        ]
        late += [
            informer.wait_gone(gone, uid)
            for resource, gone, uid in writes.deleted
            if (informer := self._informers.get(resource)) is not None
        ]
        if not late:
            return
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                for wait in late:
                    await wait
        except TimeoutError:
            log.warning("a cache lags behind", extra={"controller": self.controller, "key": str(key)})
        finally:
            for wait in late:
                wait.close()

    def statistics(self) -> dict[str, Any]:
        return {**self.queue.statistics(), "events_dropped": self.recorder.dropped}
