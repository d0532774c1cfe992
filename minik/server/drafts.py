"""A draft on its way to being written: what an update carries over, managedFields, admission, webhooks, validation.

Called by `resources.py`, which reads, races and commits. The order of steps is kube-apiserver's (`registry/generic/registry/store.go`).
"""

from __future__ import annotations

from minik.api import errors, times, validation
from minik.api.errors import FieldError, Path
from minik.api.meta import Obj, ROObj
from minik.api.schema import SchemaError
from minik.server import lifecycle
from minik.server.admission import AFTER_VALIDATION, BEFORE_VALIDATION
from minik.server.apply import managers
from minik.server.author import parse_author
from minik.server.core import Attributes, Core
from minik.server.decode import schema_for

_UNCHECKED = frozenset({"binding", "finalize"})
"""Subresources that check what they change themselves."""
_NOT_FOR_WEBHOOKS = (
    "name", "namespace", "generateName", "uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp",
    "deletionGracePeriodSeconds", "managedFields",
)  # fmt: skip
"""Fields of the metadata."""


async def prepare_update(core: Core, draft: Obj, old: ROObj, attributes: Attributes) -> Obj:
    """The object to write: carried-over fields, hooks, admission, validation."""
    kind = attributes.kind
    lifecycle.carry_metadata(draft, old)
    if attributes.subresource == "status":
        draft = lifecycle.with_status(draft, old, kind)
        kind.default_status(draft)
    elif not attributes.subresource:
        if kind.has_status:
            lifecycle.keep_status(draft, old)
        kind.default(draft)
        kind.prepare_update(draft, old)
    if attributes.subresource != "binding":  # a pod's generation tells of changes by its users (KEP-5067)
        lifecycle.count_generation(draft, old, kind)
    draft["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if not attributes.applied:
        _track(core, draft, old, attributes)
    if draft != old:
        draft = await admit(core, draft, attributes, old)
    return draft


def _track(core: Core, draft: Obj, old: ROObj, attributes: Attributes) -> None:
    """Keep the managedFields of an object that has some. Others cost two looks."""
    if "managedFields" in old["metadata"] or "managedFields" in draft["metadata"]:
        subresource = attributes.shown.subresource if attributes.shown else attributes.subresource
        managers.tracked(
            draft, old, attributes.kind, manager=parse_author(attributes.author).manager, subresource=subresource,
            now=times.format_time(core.clock.now()),
        )  # fmt: skip


async def admit(core: Core, draft: Obj, attributes: Attributes, old: ROObj | None) -> Obj:
    """The draft as it may be written. Without webhooks nothing comes in between."""
    for each in BEFORE_VALIDATION:
        each(core, draft, attributes)
    if core.webhooks.mutating and attributes.hooked:
        wanted = await core.webhooks.mutate(core, attributes, draft, old)
        if wanted is not draft:
            draft = _mutated(core, draft, wanted, attributes, old)
    found = validate(draft, attributes, old)
    if found:
        kind = attributes.kind
        name = draft["metadata"].get("name") or ""
        raise errors.invalid_object(group=kind.group, kind=kind.kind, name=name, errors=found)
    if core.webhooks.validating and attributes.hooked:
        await core.webhooks.validate(core, attributes, draft, old)
    if old is None and core.cache.get(attributes.kind.key(attributes.namespace, attributes.name)) is not None:
        # before anything is reserved: a Service with a fixed address would be refused for having its own
        raise errors.already_exists(attributes.kind.plural, attributes.kind.group, attributes.name)
    for each in AFTER_VALIDATION:
        each(core, draft, attributes)
    attributes.warnings += attributes.kind.warnings(draft)
    return draft


def _mutated(core: Core, draft: Obj, wanted: Obj, attributes: Attributes, old: ROObj | None) -> Obj:
    """The draft as webhooks want it: pruned, with defaults, and admitted again. What they may not change stays as it was."""
    kind = attributes.kind
    try:
        made = schema_for(kind).decode(wanted).obj
    except SchemaError as error:
        raise errors.InternalError(
            f"Internal error occurred: what webhooks made of it is no {kind.kind}: {error.message}"
        ) from error
    made["apiVersion"], made["kind"] = kind.api_version, kind.kind
    metadata, before = made.setdefault("metadata", {}), draft["metadata"]
    for field in _NOT_FOR_WEBHOOKS:
        metadata.pop(field, None)
        if field in before:
            metadata[field] = before[field]
    if attributes.subresource == "status":
        assert old is not None
        made = lifecycle.with_status(made, old, kind)
        kind.default_status(made)
    else:
        kind.default(made)
        if old is None:
            kind.prepare_create(made)
        else:
            if kind.has_status:
                lifecycle.keep_status(made, old)
            kind.prepare_update(made, old)
    if old is not None:
        lifecycle.count_generation(made, old, kind)
    for each in BEFORE_VALIDATION:
        each(core, made, attributes)
    return made


def validate(draft: Obj, attributes: Attributes, old: ROObj | None) -> list[FieldError]:
    """Everything wrong with a new object, or with an update of `old`."""
    kind = attributes.kind
    path = Path("metadata")
    found = list(validation.object_meta(draft, path, kind))
    if old is not None:
        found += validation.object_meta_update(draft, old, path)
    if kind.custom is not None:
        return found + list(kind.custom.validate(draft, old))
    if attributes.subresource == "status":
        assert old is not None
        return found + list(kind.validate_status(draft, old))
    if attributes.subresource in _UNCHECKED:
        return found
    found += kind.validate(draft)
    if old is not None and not attributes.subresource:
        found += kind.validate_update(draft, old)
    return found
