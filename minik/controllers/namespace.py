"""Deleting a namespace deletes what is in it: pods first, then everything else, then the finalizer `kubernetes`, and it is gone.

kube-controller-manager's namespace-controller, with ordered deletion (KEP-5080: pods go first, so that nothing they rely on
for their safety, a NetworkPolicy say, goes before them). Conditions tell a person what a deletion waits for. Upstream asks again
every few seconds; here the deletion of what was in the way brings the namespace back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from minik.api import meta, times
from minik.api.errors import NotFound, StatusError
from minik.api.kind import Kind
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Setup, can, requeue_after
from minik.client.informer import Informer
from minik.controllers.common.conditions import with_condition
from minik.controllers.common.every import IGNORED, follow_every, followed

FINALIZER = "kubernetes"
SAY_AFTER = 1.0
"""Seconds between two writes of the conditions."""
Content = Mapping[str, Sequence[ROObj]]
"""resource → its objects in the namespace."""


@dataclass(frozen=True, slots=True)
class ContentPlan:
    """`delete`: the resources to delete all of. `remaining`: whether anything is left to wait for after that."""

    delete: Sequence[str]
    remaining: bool


def plan_content(content: Content) -> ContentPlan:
    """What to delete now: pods alone as long as there are any, then everything that is not yet being deleted."""
    present = {resource: objects for resource, objects in content.items() if objects}
    first = {"pods": present["pods"]} if "pods" in present else present
    delete = [r for r, objects in first.items() if any(not meta.is_deleting(obj) for obj in objects)]
    return ContentPlan(delete, bool(present))


def plan_conditions(namespace: ROObj, content: Content, *, failures: Sequence[str], now: str) -> list[Obj]:
    """The conditions that say what the deletion waits for (`pkg/controller/namespace/deletion/status_condition_utils.go`)."""
    remaining = {resource: len(objects) for resource, objects in sorted(content.items()) if objects}
    finalizers: dict[str, int] = {}
    for objects in content.values():
        for obj in objects:
            for finalizer in meta.finalizers(obj):
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    shown = [f"{_with_dot(resource)} has {number} resource instances" for resource, number in remaining.items()]
    held = [f"{finalizer} in {number} resource instances" for finalizer, number in sorted(finalizers.items())]
    failed = (
        f"Failed to delete all resource types, {len(failures)} remaining: {', '.join(sorted(failures))}"
        if failures
        else ""
    )
    wanted = (
        ("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure", bool(failures), "ContentDeletionFailed" if failures else "ContentDeleted",
            failed or "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining", bool(shown), "SomeResourcesRemain" if shown else "ContentRemoved",
            f"Some resources are remaining: {', '.join(shown)}" if shown else "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining", bool(held), "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {', '.join(held)}"
            if held else "All content-preserving finalizers finished",
        ),
    )  # fmt: skip
    conditions: Sequence[Mapping[str, object]] = (namespace.get("status") or {}).get("conditions") or ()
    for type_, status, reason, message in wanted:
        new = {"type": type_, "status": "True" if status else "False", "reason": reason, "message": message}
        conditions = with_condition(conditions, new, now=now)
    return [dict(condition) for condition in conditions]


def _with_dot(resource: str) -> str:
    """`pods.` for the core group, as upstream prints a GroupResource here."""
    return resource if "." in resource else f"{resource}."


async def reconcile(ctx: Context, key: Key) -> Result:
    namespace = ctx.cache("namespaces").get(key)
    if namespace is None or not meta.is_deleting(namespace):
        return DONE
    if FINALIZER not in ((namespace.get("spec") or {}).get("finalizers") or ()):
        return DONE
    kinds = [resource for resource, kind in followed(ctx.registry).items() if kind.namespaced]
    content: Content = {resource: ctx.cache(resource).list(key.name) for resource in kinds}
    if not any(content.values()):
        content = await _ask(ctx, kinds, key.name)  # caches lag: the server has the last word
    plan = plan_content(content)
    failures = await _delete(ctx, plan, key.name)
    if not plan.remaining:
        for resource in IGNORED:
            await ctx.client.delete_collection(resource, key.name)
        await _finalize(ctx, namespace)
        return DONE
    if plan.delete and not failures:
        return requeue_after(SAY_AFTER)  # most of it will be gone by then; what is not is worth a condition
    contents: Contents = ctx.state
    wait = contents.told.get(key, 0.0) + SAY_AFTER - ctx.clock.monotonic()
    if wait > 0 and not failures:
        return requeue_after(wait)
    contents.told[key] = ctx.clock.monotonic()
    now = times.format_time(ctx.clock.now())
    conditions = plan_conditions(namespace, content, failures=[failure.message for failure in failures], now=now)
    status = namespace.get("status") or {}
    if conditions != list(status.get("conditions") or ()):
        await ctx.client.update_status("namespaces", namespace, {**status, "conditions": conditions})
    if failures:
        raise failures[0]
    return DONE


async def _delete(ctx: Context, plan: ContentPlan, namespace: str) -> list[StatusError]:
    """Delete what the plan says, as far as it goes; the failures are returned, for a condition and another try."""
    failures: list[StatusError] = []
    for resource in plan.delete:
        try:
            await ctx.client.delete_collection(resource, namespace, propagation="Background")
        except NotFound:
            continue  # the kind itself went
        except StatusError as error:
            failures.append(error)
    return failures


async def _ask(ctx: Context, kinds: Iterable[str], namespace: str) -> Content:
    found: dict[str, Sequence[ROObj]] = {}
    for resource in kinds:
        try:
            found[resource] = (await ctx.client.list(resource, namespace)).items
        except NotFound:
            continue
    return found


async def _finalize(ctx: Context, namespace: ROObj) -> None:
    spec = namespace.get("spec") or {}
    remaining = [finalizer for finalizer in spec.get("finalizers") or () if finalizer != FINALIZER]
    body = {**namespace, "spec": {**spec, "finalizers": remaining}}
    try:
        await ctx.client.update("namespaces", body, subresource="finalize")
    except NotFound:
        return


class Contents:
    """Brings a namespace that is being deleted back whenever something in it comes or goes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._namespaces = setup.informer("namespaces").lister
        self.told: dict[Key, float] = {}
        """When conditions were last written, by the monotonic clock: not with every object that goes."""
        setup.informer("namespaces").add_handler(deleted=self._forget)
        follow_every(setup, begin=self._begin, end=self._end)

    def _forget(self, namespace: ROObj) -> None:
        self.told.pop(meta.key(namespace), None)

    def _begin(self, kind: Kind, informer: Informer) -> None:
        if kind.namespaced:
            informer.add_handler(added=self._changed, deleted=self._changed)

    def _end(self, kind: Kind, informer: Informer) -> None:
        """A kind that is gone holds nothing up."""
        if kind.namespaced:
            for namespace in self._namespaces:
                if meta.is_deleting(namespace):
                    self._setup.enqueue(meta.key(namespace))

    def _changed(self, obj: ROObj) -> None:
        key = Key("", meta.namespace(obj))
        namespace = self._namespaces.get(key)
        if namespace is not None and meta.is_deleting(namespace):
            self._setup.enqueue(key)


CONTROLLER = Controller(
    "namespace",
    primary="namespaces",
    reconcile=reconcile,
    state=Contents,
    rbac=[can("*", "*"), can("update", "namespaces/finalize"), can("update", "namespaces/status")],
)
