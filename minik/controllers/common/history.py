"""ControllerRevisions: the templates that a DaemonSet or StatefulSet had, numbered (kubernetes `pkg/controller/history`).

`plan_history` finds the revision of the present template, or says which one to make or to number anew (a rollback takes up an old
one, it does not make a copy). `sync_history` carries that out; `plan_forgetting` says which old ones go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Obj, ROObj
from minik.api.selectors import Selector
from minik.client.controller import Context
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims
from minik.controllers.common.rollout import template_hash

REVISIONS = "controllerrevisions.apps"
HASH = "controller-revision-hash"
"""Label of pods (and of a DaemonSet's revisions): which revision they are of."""
REVISION_HASH = "controller.kubernetes.io/hash"
"""Label of a StatefulSet's revisions."""


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """`current`: the revision of the present template, None if there is none yet. `number`: what its number has to be."""

    current: ROObj | None
    number: int

    @property
    def renumber(self) -> bool:
        return self.current is not None and (self.current.get("revision") or 0) != self.number


def data_of(owner: ROObj) -> Obj:
    """What a revision holds: a strategic merge patch that puts the template back.

    Its keys are in order at every level: clients (`kubectl rollout`, the conformance tests) find the present revision by comparing
    these bytes with what they would write themselves.
    """
    data: Obj = _in_order({"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}})
    return data


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    return value


def template_of(revision: ROObj) -> Obj:
    """The template that a revision holds."""
    template = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    return {k: v for k, v in template.items() if k != "$patch"}


def plan_history(owner: ROObj, revisions: Sequence[ROObj]) -> HistoryPlan:
    """`revisions`: all of the owner's."""
    template = owner["spec"]["template"]
    same = [revision for revision in revisions if template_of(revision) == template]
    others = [revision.get("revision") or 0 for revision in revisions if template_of(revision) != template]
    number = max(others, default=0) + 1
    if not same:
        return HistoryPlan(None, number)
    current = max(same, key=lambda revision: (revision.get("revision") or 0, meta.name(revision)))
    return HistoryPlan(current, max(number, current.get("revision") or 0))


def new_revision(owner: ROObj, number: int, *, collisions: int, label: str) -> Obj:
    """The revision of the present template. `label`: the key under which it carries its hash."""
    template = owner["spec"]["template"]
    value = template_hash(template, collisions)
    metadata: Obj = {
        "name": f"{meta.name(owner)[:223]}-{value}",
        "namespace": meta.namespace(owner),
        "labels": {**((template.get("metadata") or {}).get("labels") or {}), label: value},
        "ownerReferences": [meta.controller_ref(owner)],
    }
    if meta.annotations(owner):
        metadata["annotations"] = dict(meta.annotations(owner))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": data_of(owner),
        "revision": number,
    }


async def own_revisions(ctx: Context, owner: ROObj, selector: Selector) -> list[ROObj]:
    """The owner's revisions, orphans adopted, oldest first."""
    cache = ctx.cache(REVISIONS)
    plan = plan_claims(owner, selector, cache.owned_by(owner), cache.by_index(ORPHANS, meta.namespace(owner)))
    mine = await apply_claims(ctx, owner, REVISIONS, plan)
    return sorted(mine, key=lambda revision: (revision.get("revision") or 0, meta.name(revision)))


async def sync_history(ctx: Context, owner: ROObj, revisions: Sequence[ROObj], *, label: str) -> tuple[ROObj, int]:
    """(the revision of the present template, the owner's collision count), made or renumbered if need be."""
    collisions = (owner.get("status") or {}).get("collisionCount") or 0
    plan = plan_history(owner, revisions)
    if plan.current is not None:
        if not plan.renumber:
            return plan.current, collisions
        patch = {"metadata": {"uid": meta.uid(plan.current)}, "revision": plan.number}
        name, namespace = meta.name(plan.current), meta.namespace(owner)
        return await ctx.client.patch(REVISIONS, name, namespace, patch), collisions
    while True:
        revision = new_revision(owner, plan.number, collisions=collisions, label=label)
        try:
            return await ctx.client.create(REVISIONS, revision), collisions
        except AlreadyExists:
            taken = await _get(ctx, revision)
        if taken is not None:
            if meta.is_controlled_by(taken, owner) and template_of(taken) == owner["spec"]["template"]:
                return taken, collisions  # made by an earlier pass, on its way into the cache
            collisions += 1


async def _get(ctx: Context, revision: ROObj) -> ROObj | None:
    try:
        return await ctx.client.get(REVISIONS, meta.name(revision), meta.namespace(revision))
    except NotFound:
        return None


def plan_forgetting(revisions: Sequence[ROObj], *, live: Collection[str], limit: int) -> list[ROObj]:
    """The oldest revisions beyond `limit` that nothing uses. `revisions`: oldest first; `live`: names of those that are in use."""
    old = [revision for revision in revisions if meta.name(revision) not in live]
    return old[: len(old) - limit] if len(old) > limit else []


async def forget(ctx: Context, revisions: Sequence[ROObj]) -> None:
    for revision in revisions:
        try:
            await ctx.client.delete(REVISIONS, meta.name(revision), meta.namespace(revision), uid=meta.uid(revision))
        except NotFound:
            continue
