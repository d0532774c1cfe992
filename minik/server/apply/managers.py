"""metadata.managedFields: who owns which fields of an object, and what an update or an apply makes of it.

An object is tracked from the first time that somebody applies it: until then nobody needs to know, and writes cost nothing
more. What it had before belongs to `before-first-apply` from then on (upstream tracks from the creation; its skipNonAppliedManager is
this).

Called by `resources.py` (`tracked`, on every update of an object that is tracked) and by `verbs/apply.py` (`applied`). Pure functions.
Source: apimachinery `pkg/util/managedfields/internal`, structured-merge-diff `merge/update.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from minik.api.errors import Conflict, show
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server.apply.fieldset import FieldSet, field_set, from_fields_v1, path_text, to_fields_v1
from minik.server.apply.types import Type, type_of_kind
from minik.server.apply.walk import Comparison, compared, fields_of, merged, with_parents, without

APPLY, UPDATE = "Apply", "Update"
_BEFORE = "before-first-apply"
_ANCIENT = "ancient-changes"
_MOST_UPDATERS = 10
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"

_NOBODYS = field_set(
    "apiVersion", "kind", "metadata", "metadata.name", "metadata.namespace", "metadata.creationTimestamp", "metadata.selfLink",
    "metadata.uid", "metadata.clusterName", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion",
)  # fmt: skip
"""Fields that nobody owns (stripMetaManager)."""
_STATUS = field_set("status")
_NOT_STATUS = field_set("spec")
_NOTHING = FieldSet()


class Who(NamedTuple):
    """One manager of an object's fields: what tells the entries apart."""

    manager: str
    operation: str
    api_version: str
    """"" of who applies: it is the same manager in whichever version."""
    subresource: str

    def __str__(self) -> str:
        """As a conflict names it."""
        text = show(self.manager)
        if self.subresource:
            text += f" with subresource {show(self.subresource)}"
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Owned:
    """One entry of managedFields."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managed = dict[Who, Owned]


def parse(entries: Iterable[Mapping[str, Any]] | None) -> Managed:
    """Raises ValueError for entries that make no sense."""
    found: Managed = {}
    for entry in entries or ():
        operation, version = entry.get("operation"), entry.get("apiVersion") or ""
        if operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        owner = Who(
            entry.get("manager") or "", operation, "" if operation == APPLY else version, entry.get("subresource") or ""
        )
        fields = from_fields_v1(entry.get("fieldsV1") or {})
        if fields:
            found[owner] = Owned(fields, version, entry.get("time") or "")
    return found


def entries_of(managed: Managed) -> list[Obj]:
    """The form that the object has them in."""
    made = []
    for owner, owned in sorted(managed.items(), key=lambda each: (each[0].operation, each[1].time, each[0])):
        entry: Obj = {"manager": owner.manager, "operation": owner.operation, "apiVersion": owned.api_version}
        if owned.time:
            entry["time"] = owned.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": to_fields_v1(owned.fields)}
        if owner.subresource:
            entry["subresource"] = owner.subresource
        made.append(entry)
    return made


def _ignored(kind: Kind, subresource: str) -> FieldSet:
    """What a write through this subresource does not change, whatever it says (GetResetFields)."""
    if subresource == "status":
        return _NOT_STATUS
    return _STATUS if not subresource and kind.has_status else _NOTHING


# --- updates ------------------------------------------------------------------------------------------------------


def tracked(draft: Obj, old: ROObj, kind: Kind, *, manager: str, subresource: str, now: str) -> None:
    """Bring the managedFields of an updated object up to date: what `manager` changed is its own now, and nobody else's.

    Entries that come with the draft replace the old ones, `[{}]` ends the tracking; those that make no sense do nothing.
    """
    given = draft["metadata"].pop("managedFields", None)
    before = old["metadata"].get("managedFields")
    if not before and not given:
        return
    managed = _started_from(None if subresource else given, before)
    if not managed:
        return
    type_ = type_of_kind(kind)
    owner = Who(manager, UPDATE, kind.api_version, subresource)
    _update(managed, owner, compared(_bare(old), draft, type_), _ignored(kind, subresource), now)
    _forget_oldest(managed)
    if managed:
        draft["metadata"]["managedFields"] = entries_of(managed)


def _started_from(given: Sequence[Mapping[str, Any]] | None, before: Sequence[Mapping[str, Any]] | None) -> Managed:
    if given is not None and len(given) == 1 and not given[0]:
        return {}
    for entries in (given, before):
        try:
            managed = parse(entries)
        except ValueError:
            continue
        if managed:
            return managed
    return {}


def _update(managed: Managed, owner: Who, changes: Comparison, ignored: FieldSet, now: str) -> None:
    changes = changes.outside(ignored)
    if not changes:
        return
    gone = changes.added | changes.modified | changes.removed
    for other, owned in list(managed.items()):
        _keep(managed, other, replace(owned, fields=owned.fields - gone))
    mine = (changes.added | changes.modified) - _NOBODYS
    if mine:
        before = managed.get(owner)
        managed[owner] = Owned(mine | before.fields if before else mine, owner.api_version, now)


def _keep(managed: Managed, owner: Who, owned: Owned) -> None:
    if owned.fields:
        managed[owner] = owned
    else:
        managed.pop(owner, None)


def _forget_oldest(managed: Managed) -> None:
    """Updaters beyond the tenth lose their names, the oldest first (capManagersManager)."""
    updaters = sorted((who for who in managed if who.operation == UPDATE), key=lambda who: (managed[who].time, who))
    many = len(updaters) - _MOST_UPDATERS
    if many <= 0:
        return
    for version in dict.fromkeys(who.api_version for who in updaters):
        group = [who for who in updaters if who.api_version == version][: many + 1]
        if len(group) < 2:
            continue
        bucket = Who(_ANCIENT, UPDATE, version, "")
        fields, time = _NOTHING, ""
        for who in group:
            owned = managed.pop(who)
            fields, time = fields | owned.fields, max(time, owned.time)
        if bucket in managed:
            fields |= managed[bucket].fields
        managed[bucket] = Owned(fields, version, time)
        many -= len(group) - 1
        if many <= 0:
            return


def _bare(obj: ROObj) -> ROObj:
    """Without its managedFields."""
    metadata = obj["metadata"]
    return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}


# --- applies ------------------------------------------------------------------------------------------------------


class Applied(NamedTuple):
    """What became of an object that something was applied to."""

    obj: Obj
    """As JSON, not decoded yet, without managedFields."""
    entries: list[Obj]


def applied(
    live: ROObj | None, config: Obj, kind: Kind, *, manager: str, subresource: str, force: bool, now: str
) -> Applied:
    """`live` (None: there is none) with the fields of `config`, which `walk.check` has nothing against.

    Fields that the manager applied before and does not any more go, unless somebody else owns them. Raises Conflict if others own
    fields that it would change, unless it is forced.
    """
    type_ = type_of_kind(kind)
    base: ROObj = {} if live is None else _bare(live)
    managed = _known(live, kind, type_, subresource, now)
    owner = Who(manager, APPLY, "", subresource)
    before = managed.get(owner)
    mine = (fields_of(config, type_) - _NOBODYS).outside(_ignored(kind, subresource))
    managed[owner] = Owned(mine, kind.api_version, before.time if before else "")
    made = _pruned(merged(base, config, type_), managed, before, type_)
    changes = compared(base, _normal(made, kind), type_).outside(_ignored(kind, subresource))
    _give_way(managed, owner, changes, force=force, allowed=_client_side(live, kind, type_, manager))
    if mine and (changes or before is None or before.fields != mine):
        managed[owner] = replace(managed[owner], time=now)
    elif not mine:
        managed.pop(owner, None)
    if manager == _KUBECTL:
        _note_config(made, config)
    return Applied(made, entries_of(managed))


def _known(live: ROObj | None, kind: Kind, type_: Type, subresource: str, now: str) -> Managed:
    """Who owns what of the object so far."""
    if live is None:
        return {}
    managed = _started_from(None, live["metadata"].get("managedFields"))
    if not managed:
        empty = {"apiVersion": kind.api_version, "kind": kind.kind}
        owner = Who(_BEFORE, UPDATE, kind.api_version, subresource)
        _update(managed, owner, compared(empty, _bare(live), type_), _ignored(kind, subresource), now)
    return managed


def _pruned(obj: Obj, managed: Managed, before: Owned | None, type_: Type) -> Obj:
    """Without what the manager had applied, applies no more, and nobody else owns."""
    if before is None:
        return obj
    last = with_parents(before.fields, type_)
    have = with_parents(fields_of(obj, type_), type_)
    left = with_parents(fields_of(without(obj, last, type_) or {}, type_), type_)
    owned = _NOTHING
    for each in managed.values():
        owned = owned | each.fields
    pruned = without(obj, have - (left | with_parents(owned, type_)), type_) or {}
    gone = have - with_parents(fields_of(pruned, type_), type_)
    return without(obj, gone & last, type_) or {}


def _normal(obj: Obj, kind: Kind) -> Obj:
    """With quantities and times as they are stored, so that nobody conflicts over how they are written."""
    from minik.api.schema import SchemaError
    from minik.server.decode import schema_for

    try:
        return schema_for(kind).decode(obj, default=False).obj
    except SchemaError:
        return obj  # the write will be refused for it


def _give_way(managed: Managed, owner: Who, changes: Comparison, *, force: bool, allowed: FieldSet) -> None:
    """Take from the others what is changed or gone. Raises Conflict for what somebody else owns and would lose by a change."""
    changed = changes.added | changes.modified
    others = [(who, owned) for who, owned in managed.items() if who != owner]
    if not force:
        found = [(who, path) for who, owned in others for path in owned.fields & changed if path not in allowed]
        if found:
            raise _conflict(found)
    for who, owned in others:
        _keep(managed, who, replace(owned, fields=owned.fields - changed - changes.removed))


def _conflict(found: Sequence[tuple[Who, tuple[str, ...]]]) -> Conflict:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path_text(path)} for who, path in found
    ]  # fmt: skip
    if len(found) == 1:
        text = f"conflict with {found[0][0]}: {path_text(found[0][1])}"
        return Conflict(f"Apply failed with 1 conflict: {text}", details={"causes": causes})
    lines = []
    for who in sorted({who for who, _ in found}):
        lines += [f"conflicts with {who}:", *(f"- {path_text(path)}" for each, path in found if each == who)]
    return Conflict(f"Apply failed with {len(found)} conflicts: " + "\n".join(lines), details={"causes": causes})


# --- from client-side apply ---------------------------------------------------------------------------------------


def _client_side(live: ROObj | None, kind: Kind, type_: Type, manager: str) -> FieldSet:
    """The fields that kubectl applied by itself and that still are as it applied them: when it goes over to applying by the server, it
    has no conflicts over them (lastAppliedManager)."""
    text = _last_applied(live) if manager == _KUBECTL and live is not None else ""
    if not text:
        return _NOTHING
    assert live is not None
    try:
        config = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _NOTHING
    if not isinstance(config, dict) or config.get("apiVersion") != kind.api_version:
        return _NOTHING
    changes = compared(config, live, type_)
    return fields_of(config, type_) - changes.added - changes.modified - changes.removed


def _last_applied(obj: ROObj) -> str:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return annotations.get(_LAST_APPLIED) or ""


def _note_config(made: Obj, config: Obj) -> None:
    """Where kubectl's own record of what it applied is, it stays true (lastAppliedUpdater)."""
    if not _last_applied(made):
        return
    metadata = dict(config.get("metadata") or {})
    if metadata.get("annotations"):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": metadata}).decode() + "\n"
    made["metadata"] = {**made["metadata"], "annotations": {**made["metadata"]["annotations"], _LAST_APPLIED: text}}
