"""Create, update and delete of one object of any kind: defaults, admission, validation, optimistic concurrency, commit.

Called by the verbs and subresources, which know the request; everything here works on drafts and answers with `Written`.
The order of steps is kube-apiserver's (`registry/generic/registry/store.go`), the metadata rules are in `lifecycle.py`.

Reads come from the cache. A write waits until the cache shows it, so a client always reads its own writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minik.api import errors
from minik.api.codec import encode
from minik.api.errors import StatusError
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server import lifecycle
from minik.server.authz.rules import refusal
from minik.server.companions import companions
from minik.server.core import Attributes, Core
from minik.server.crd.reading import is_plain, is_stale, stored_form, view
from minik.server.drafts import admit, prepare_update
from minik.server.options import DeleteOptions
from minik.server.request import RequestInfo
from minik.storage.base import ABSENT, ConflictError, Op, Revision, StoreError
from minik.storage.cache import Entry

_GENERATED_NAME_TRIES = 8
_CONFLICT_TRIES = 30

_NEEDS_REVISION = frozenset(
    {"leases.coordination.k8s.io", "endpointslices.discovery.k8s.io", "customresourcedefinitions.apiextensions.k8s.io"}
)
"""Kinds whose PUT must carry a resourceVersion (no AllowUnconditionalUpdate), besides all custom ones."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: `entry` if the cache holds exactly this state, else `obj`."""

    entry: Entry | None = None
    obj: ROObj | None = None
    removed: bool = False
    created: bool = False

    @property
    def value(self) -> ROObj:
        if self.entry is not None:
            return self.entry.obj
        assert self.obj is not None
        return self.obj


def get(core: Core, kind: Kind, namespace: str, name: str) -> Entry:
    """The object as the cache has it, and as it is stored; raises NotFound."""
    entry = core.cache.get(kind.key(namespace, name))
    if entry is None:
        raise errors.not_found(kind.plural, kind.group, name)
    return entry


async def get_shown(core: Core, kind: Kind, namespace: str, name: str) -> Entry:
    """The same in the kind's own version."""
    entry, show = get(core, kind, namespace, name), view(core, kind)
    return entry if show is None else await show.one(entry)


async def create(core: Core, draft: Obj, attributes: Attributes) -> Written:
    """Write a new object. `draft` is decoded and has the kind's table defaults. Raises StatusError."""
    kind = attributes.kind
    metadata = draft["metadata"]
    if kind.namespaced:
        metadata["namespace"] = attributes.namespace
    else:
        metadata.pop("namespace", None)
    base = metadata.get("generateName") if not metadata.get("name") else None
    kind.default(draft)
    kind.prepare_create(draft)
    lifecycle.system_fields(draft, kind, now=core.clock.now(), uid=core.entropy.uid())
    try:
        for tries_left in range(_GENERATED_NAME_TRIES, 0, -1):
            if base:
                metadata["name"] = lifecycle.generated_name(base, core.entropy.suffix())
                kind.default(draft)  # a namespace's label is made from its name
            attributes.name = metadata.get("name") or ""
            if base and tries_left > 1 and core.cache.get(kind.key(attributes.namespace, attributes.name)) is not None:
                continue
            kind.identify(draft)
            draft = await admit(core, draft, attributes, None)
            try:
                return await _commit_new(core, draft, attributes)
            except errors.AlreadyExists:
                if not base or tries_left == 1:
                    raise
            attributes.finish()
    finally:
        attributes.finish()
    raise AssertionError("the last try returns or raises")


async def _commit_new(core: Core, draft: Obj, attributes: Attributes) -> Written:
    kind = attributes.kind
    key = kind.key(attributes.namespace, attributes.name)
    if attributes.dry_run:
        if core.cache.get(key) is not None:
            raise errors.already_exists(kind.plural, kind.group, attributes.name)
        return Written(obj=draft, created=True)
    try:
        ops = [
            _op(attributes, key, await _encoded(core, draft, kind), ABSENT),
            *companions(core, attributes, None, draft),
        ]
        revision = await _commit(core, attributes, ops)
    except ConflictError as error:
        if error.key != key:
            raise errors.conflict(kind.plural, kind.group, attributes.name) from error
        raise errors.already_exists(kind.plural, kind.group, attributes.name) from error
    return await _written(core, kind, key, draft, revision, created=True)


async def _commit(core: Core, attributes: Attributes, ops: Sequence[Op]) -> Revision:
    """The revision of the first of `ops`. Who is cut off meanwhile (a client that went away) does not undo the write: what was
    reserved for it is held until the store has come to it, which it does in order."""
    try:
        return (await core.store.commit(ops))[0]
    except asyncio.CancelledError:
        if attributes.done:
            with contextlib.suppress(StoreError):
                await core.store.commit([])
        raise


async def _encoded(core: Core, draft: Obj, kind: Kind) -> bytes:
    return encode(draft if is_plain(kind) else await stored_form(core, draft, kind))


def _op(attributes: Attributes, key: str, value: bytes | None, expected: Revision) -> Op:
    durable = attributes.kind.is_durable(attributes.namespace)
    return Op(key, value, expected, durable=durable, author=attributes.author)


async def _written(
    core: Core, kind: Kind, key: str, draft: Obj, revision: Revision, *, created: bool = False
) -> Written:
    await core.cache.wait_for(revision)
    entry = core.cache.get(key)
    if entry is not None and entry.revision == revision:
        show = view(core, kind)
        return Written(entry if show is None else await show.one(entry, draft), created=created)
    draft["metadata"]["resourceVersion"] = str(revision)
    return Written(obj=draft, created=created)


Change = Callable[[ROObj], Obj]
"""From the current object to a decoded draft of the new one. Called again after a lost race. The draft shares with the current
object only what nobody changes; its metadata is always its own."""


async def update(
    core: Core,
    attributes: Attributes,
    change: Change,
    *,
    put: bool = False,
    create_if_absent: Callable[[], Obj] | None = None,
) -> Written:
    """Read, change, check and write an object, again and again while others win the race.

    A draft that carries a resourceVersion other than the current one is a Conflict. A draft equal to what is stored is not written.
    `attributes.subresource`: "" for the main resource, "status", or another one whose `change` answers for what it changes.
    """
    kind = attributes.kind
    key = kind.key(attributes.namespace, attributes.name)
    show = view(core, kind)
    for _ in range(_CONFLICT_TRIES):
        stored = core.cache.get(key)
        if stored is None:
            if create_if_absent is not None:
                made = await _create_by_update(core, create_if_absent(), attributes)
                if made is not None:
                    return made
                continue
            raise errors.not_found(kind.plural, kind.group, attributes.name)
        entry = await show.one(stored) if show is not None else stored
        old = entry.obj
        attributes.old = old
        draft = change(old)
        conditional = check_revision(draft, old, kind, put=put)
        try:
            draft = await prepare_update(core, draft, old, attributes)
            if draft == old and not is_stale(stored, kind):
                return Written(entry)
            if attributes.dry_run:
                return Written(obj=draft)
            if lifecycle.is_finished(draft):
                return await _remove(core, attributes, entry, draft)
            op = _op(attributes, key, await _encoded(core, draft, kind), entry.revision)
            revision = await _commit(core, attributes, [op, *companions(core, attributes, old, draft)])
            return await _written(core, kind, key, draft, revision)
        except ConflictError as error:
            # What was deleted meanwhile is looked for once more: NotFound, or made anew.
            if conditional and error.actual != ABSENT:
                raise errors.conflict(kind.plural, kind.group, attributes.name) from error
            await catch_up(core, error)
        finally:
            attributes.finish()
    raise errors.conflict(kind.plural, kind.group, attributes.name)


async def _create_by_update(core: Core, draft: Obj, attributes: Attributes) -> Written | None:
    """The object made by a PUT or an apply; None if somebody else made it first, which the cache shows then."""
    kind = attributes.kind
    asked = RequestInfo(
        "create", "", is_resource=True, group=kind.group, version=kind.version, plural=kind.plural,
        namespace=attributes.namespace, name=attributes.name,
    )  # fmt: skip
    if not core.access(attributes.user, asked, ""):
        raise refusal(attributes.user, asked)
    verb, attributes.verb = attributes.verb, "create"
    try:
        return await create(core, draft, attributes)
    except errors.AlreadyExists as error:
        if not isinstance(error.__cause__, ConflictError):
            raise
        attributes.verb = verb
        await catch_up(core, error.__cause__)
        return None


async def catch_up(core: Core, error: ConflictError) -> None:
    """Wait until the cache shows what won the race."""
    await core.cache.wait_for(error.actual or await core.store.current_revision())


def check_revision(draft: Obj, old: ROObj, kind: Kind, *, put: bool) -> bool:
    """Whether the draft is bound to one revision; raises Conflict if that is not the current one.

    `put`: some kinds insist on a revision.
    """
    metadata = draft["metadata"]
    name = old["metadata"]["name"]
    uid = metadata.get("uid")
    if uid and uid != old["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise errors.conflict(kind.plural, kind.group, name, why)
    asked = metadata.get("resourceVersion")
    if not asked or asked == "0":
        if put and (kind.resource in _NEEDS_REVISION or kind.custom is not None):
            missing = errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid_object(group=kind.group, kind=kind.kind, name=name, errors=[missing])
        return False
    if asked != old["metadata"]["resourceVersion"]:
        raise errors.conflict(kind.plural, kind.group, name)
    return True


async def delete(core: Core, attributes: Attributes, options: DeleteOptions) -> Written:
    """One delete request: removes the object, or starts (or shortens) its graceful deletion. Raises StatusError."""
    kind = attributes.kind
    key = kind.key(attributes.namespace, attributes.name)
    show = view(core, kind)
    for _ in range(_CONFLICT_TRIES):
        entry = core.cache.get(key)
        if entry is None:
            raise errors.not_found(kind.plural, kind.group, attributes.name)
        if show is not None:
            entry = await show.one(entry)
        old = entry.obj
        lifecycle.check_preconditions(old, kind, uid=options.uid, resource_version=options.resource_version)
        attributes.old = old
        plan = lifecycle.plan_delete(kind, old, options, now=core.clock.now())
        if plan.action == "nothing":
            return Written(entry)
        if attributes.hooked and (core.webhooks.mutating or core.webhooks.validating):
            await core.webhooks.remove(core, attributes, old, options)
        if options.dry_run:
            return Written(obj=plan.draft or old, removed=plan.action == "remove")
        try:
            if plan.action == "remove":
                return await _remove(core, attributes, entry, None)
            assert plan.draft is not None
            value = await _encoded(core, plan.draft, kind)
            revision = (await core.store.commit([_op(attributes, key, value, entry.revision)]))[0]
            return await _written(core, kind, key, plan.draft, revision)
        except ConflictError as error:
            await catch_up(core, error)
    raise errors.conflict(kind.plural, kind.group, attributes.name)


async def _remove(core: Core, attributes: Attributes, entry: Entry, last: Obj | None) -> Written:
    """Delete the key. `last`: its state by the very update that finished it; answered with the deletion's revision, so that whoever sent
    it can wait to see it."""
    op = _op(attributes, entry.key, None, entry.revision)
    revision = (await core.store.commit([op, *companions(core, attributes, entry.obj, None)]))[0]
    await core.cache.wait_for(revision)
    if last is None:
        return Written(entry, removed=True)
    last["metadata"]["resourceVersion"] = str(revision)
    return Written(obj=last, removed=True)


__all__ = ["Change", "StatusError", "Written", "create", "delete", "get", "update"]
