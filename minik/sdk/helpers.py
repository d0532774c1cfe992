"""What most controllers do: keep objects as they should be, say how things are, hold up deletions. Called by users' controllers.

Decisions are pure functions (`plan_*`, `condition`); the others write at most once, and nothing if nothing differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta, times
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.yaml import load_all_yaml
from minik.client.controller import Context


class NotOursError(Exception):
    """An object of that name is there and has another controller, or none: it is left alone."""


def manifests(text: str) -> list[Obj]:
    """The objects of a YAML text. Raises minik.api.yaml.YamlError."""
    return [obj for obj, _ in load_all_yaml(text) if obj]


def owned_draft(owner: ROObj, wanted: ROObj) -> Obj:
    """A copy of `wanted` in the owner's namespace, with `owner` as its controller. Its name is the owner's if it has none."""
    draft = meta.draft(wanted)
    metadata = draft.setdefault("metadata", {})
    metadata.setdefault("name", meta.name(owner))
    if meta.namespace(owner):
        metadata.setdefault("namespace", meta.namespace(owner))
    metadata["ownerReferences"] = [meta.controller_ref(owner)]
    return draft


def is_within(wanted: Any, current: Any) -> bool:
    """Whether `current` says everything that `wanted` says; it may say more (defaults, what others set). Lists must have the same
    length, and item by item say what is wanted."""
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            is_within(value, current.get(key)) if value is not None else key not in current
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(current, list)
            and len(wanted) == len(current)
            and all(is_within(a, b) for a, b in zip(wanted, current, strict=True))
        )
    return bool(wanted == current) and isinstance(wanted, bool) == isinstance(current, bool)


def plan_ensure(draft: ROObj, current: ROObj) -> Obj | None:
    """The merge patch that makes `current` say what `draft` says, or None."""
    patch: Obj = {
        key: value
        for key, value in draft.items()
        if key not in ("apiVersion", "kind", "metadata", "status") and not is_within(value, current.get(key))
    }
    for field in ("labels", "annotations"):
        wanted = draft["metadata"].get(field)
        if wanted and not is_within(wanted, current["metadata"].get(field) or {}):
            patch.setdefault("metadata", {})[field] = wanted
    return patch or None


async def ensure(ctx: Context, owner: ROObj, resource: str, wanted: ROObj) -> ROObj:
    """Make sure that the object is there, owned by `owner`, and says what `wanted` says; returns it as it is then.

    `resource` must be among the controller's triggers or caches. Raises NotOursError if somebody else's object has the name."""
    draft = owned_draft(owner, wanted)
    kind = ctx.client.kind(resource)
    key = Key(meta.namespace(draft) if kind.namespaced else "", meta.name(draft))
    current = ctx.cache(resource).get(key)
    if current is None:
        return await ctx.client.create(resource, {"apiVersion": kind.api_version, "kind": kind.kind, **draft})
    if not meta.is_controlled_by(current, owner):
        raise NotOursError(f"{kind.kind} {key} is there and does not belong to {owner['kind']} {meta.key(owner)}")
    patch = plan_ensure(draft, current)
    if patch is None or meta.is_deleting(current):
        return current
    patch.setdefault("metadata", {})["uid"] = meta.uid(current)
    return await ctx.client.patch(resource, key.name, key.namespace, patch)


async def set_status(ctx: Context, resource: str, obj: ROObj, status: Mapping[str, Any]) -> ROObj:
    """Set these fields of the object's status, and leave others alone; nothing is written if they are as they should be. One that is
    gone meanwhile is fine."""
    if is_within(status, obj.get("status") or {}):
        return obj
    patch = {"metadata": {"uid": meta.uid(obj)}, "status": dict(status)}
    try:
        return await ctx.client.patch_status(resource, meta.name(obj), meta.namespace(obj), patch)
    except NotFound:
        return obj


def condition(
    obj: ROObj, ctx: Context, type_: str, status: bool | None, reason: str, message: str = ""
) -> Sequence[Mapping[str, Any]]:
    """`status.conditions` with this one set (metav1.Condition). None is Unknown. Its transition time changes with its status only."""
    conditions: Sequence[Mapping[str, Any]] = (obj.get("status") or {}).get("conditions") or ()
    text = "Unknown" if status is None else str(status)
    old = meta.condition(obj, type_) or {}
    since = old.get("lastTransitionTime") if old.get("status") == text else None
    new: Obj = {"type": type_, "status": text, "reason": reason, "message": message}
    if meta.generation(obj):
        new["observedGeneration"] = meta.generation(obj)
    new["lastTransitionTime"] = since or times.format_time(ctx.clock.now())
    if not old:
        return [*map(dict, conditions), new]
    return [new if each.get("type") == type_ else dict(each) for each in conditions]


def is_true(obj: ROObj, type_: str) -> bool:
    """Whether the condition of that type is True."""
    return (meta.condition(obj, type_) or {}).get("status") == "True"


async def add_finalizer(ctx: Context, resource: str, obj: ROObj, finalizer: str) -> ROObj:
    """Hold up the object's deletion until `drop_finalizer`. Nothing if it is held already, or being deleted. Raises Conflict."""
    if finalizer in meta.finalizers(obj) or meta.is_deleting(obj):
        return obj
    return await _set_finalizers(ctx, resource, obj, [*meta.finalizers(obj), finalizer])


async def drop_finalizer(ctx: Context, resource: str, obj: ROObj, finalizer: str) -> ROObj:
    """Let the object go. Nothing if it was not held; one that is gone is fine. Raises Conflict."""
    if finalizer not in meta.finalizers(obj):
        return obj
    remaining = [each for each in meta.finalizers(obj) if each != finalizer]
    try:
        return await _set_finalizers(ctx, resource, obj, remaining)
    except NotFound:
        return obj


async def _set_finalizers(ctx: Context, resource: str, obj: ROObj, finalizers: Sequence[str]) -> ROObj:
    exact = {"uid": meta.uid(obj), "resourceVersion": obj["metadata"]["resourceVersion"]}
    patch = {"metadata": {**exact, "finalizers": list(finalizers) or None}}
    return await ctx.client.patch(resource, meta.name(obj), meta.namespace(obj), patch)
