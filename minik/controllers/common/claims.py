"""Whose is an object: adopting orphans that a selector matches, releasing what it matches no longer (PodControllerRefManager)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minik.api import meta
from minik.api.errors import Conflict, Invalid, NotFound
from minik.api.meta import Obj, ROObj
from minik.api.selectors import Selector
from minik.client.controller import Context

ORPHANS = "orphans"
"""Index of objects without a controller, by namespace; a controller that adopts declares it for what it adopts."""


def orphans(obj: ROObj) -> Iterable[str]:
    """The index function of `ORPHANS`."""
    return () if meta.controller_of(obj) else (meta.namespace(obj),)


@dataclass(frozen=True, slots=True)
class Claims:
    """What to do about ownership."""

    mine: Sequence[ROObj]
    """Owned, and still selected."""
    adopt: Sequence[ROObj]
    release: Sequence[ROObj]


def plan_claims(owner: ROObj, selector: Selector, owned: Iterable[ROObj], orphaned: Iterable[ROObj]) -> Claims:
    """Sort objects into kept, adopted and released. An owner that is being deleted does neither of the latter two."""
    mine: list[ROObj] = []
    release: list[ROObj] = []
    for obj in owned:
        (mine if selector.matches(meta.labels(obj)) else release).append(obj)
    if meta.is_deleting(owner):
        return Claims(mine, (), ())
    adopt = [
        obj
        for obj in orphaned
        if not meta.is_deleting(obj)
        and meta.namespace(obj) == meta.namespace(owner)
        and selector.matches(meta.labels(obj))
    ]
    return Claims(mine, adopt, [obj for obj in release if not meta.is_deleting(obj)])


async def apply_claims(
    ctx: Context, owner: ROObj, resource: str, claims: Claims, *, finalizer: str = ""
) -> list[ROObj]:
    """Carry out the plan; the objects that are the owner's afterwards. Objects that went away meanwhile are left out.

    `finalizer`: what the owner puts on its own; it comes with adoption and goes with release."""
    mine = list(claims.mine)
    if claims.adopt and not await still_there(ctx, owner):
        return mine
    patch: Obj
    for obj in claims.adopt:
        refs = [*meta.owners(obj), meta.controller_ref(owner)]
        patch = {"metadata": {"uid": meta.uid(obj), "ownerReferences": refs}}
        if finalizer:
            patch["metadata"]["finalizers"] = [*(f for f in meta.finalizers(obj) if f != finalizer), finalizer]
        try:
            mine.append(await ctx.client.patch(resource, meta.name(obj), meta.namespace(obj), patch))
        except (NotFound, Conflict, Invalid):
            continue
    for obj in claims.release:
        refs = [ref for ref in meta.owners(obj) if ref.get("uid") != meta.uid(owner)]
        patch = {"metadata": {"uid": meta.uid(obj), "ownerReferences": refs or None}}
        if finalizer:
            patch["metadata"]["finalizers"] = [f for f in meta.finalizers(obj) if f != finalizer] or None
        try:
            await ctx.client.patch(resource, meta.name(obj), meta.namespace(obj), patch)
        except (NotFound, Conflict, Invalid):
            continue
    return mine


async def still_there(ctx: Context, owner: ROObj, *, deleting: bool = False) -> bool:
    """Adoption must not revive what was deleted: ask the server, not the cache (client-go RecheckDeletionTimestamp). `deleting`:
    whether one that is being deleted counts as there."""
    kind = ctx.client.registry.by_kind(*meta.parse_api_version(owner["apiVersion"]), owner["kind"])
    if kind is None:
        return False
    try:
        fresh = await ctx.client.get(kind.resource, meta.name(owner), meta.namespace(owner))
    except NotFound:
        return False
    return meta.uid(fresh) == meta.uid(owner) and (deleting or not meta.is_deleting(fresh))
