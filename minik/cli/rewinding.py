"""What has to be written so that an object is again as it was at a revision. Pure; `rewind.py` does it.

History is never rewritten: the old state is written as a new one, by an ordinary request. What a person declares is taken from the old
state (everything beside metadata and status, labels, annotations); who the object is (uid, creation time, owners, finalizers), and
what controllers found out about it, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Obj = dict[str, Any]

_TAKEN = ("labels", "annotations")
_OF_CONTROLLERS = ("deployment.kubernetes.io/", "deprecated.daemonset.template.generation")
"""Annotations in which controllers keep count of what they did; kept as they are, as `kubectl rollout undo` does."""
_JOB_UID = ("controller-uid", "batch.kubernetes.io/controller-uid")


class CannotRewind(Exception):
    """And why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`update` and `create` write `obj`, `delete` deletes with the options `obj`. `notes`: what else there is to know."""

    action: Literal["nothing", "update", "create", "delete"]
    obj: Obj | None = None
    notes: Sequence[str] = ()


def state_at(history: Mapping[str, Any], revision: int) -> Obj | None:
    """The object as it was at `revision`, None if it was not there then. `history` as the server tells it, whole or `at` the revision.

    Raises CannotRewind if that is not known.
    """
    if revision > history["revision"]:
        raise CannotRewind(f"revision {revision} is yet to come: the last one is {history['revision']}")
    before = [version for version in history["versions"] if version["revision"] <= revision]
    if not before:
        if revision < history["oldest"]:
            raise CannotRewind(f"revision {revision} is not retained: the oldest that is known is {history['oldest']}")
        return None
    last = before[-1]
    if last["type"] == "DELETE":
        return None
    if last["object"] is None:
        raise CannotRewind(f"what revision {last['revision']} wrote is not retained")
    found: Obj = last["object"]
    return found


def current_state(history: Mapping[str, Any]) -> Obj | None:
    """The object as it is now."""
    versions = history["versions"]
    return versions[-1]["object"] if versions else None


def declared(obj: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """An object without its status and what goes with every write: what must be the same for a plan to hold."""
    if obj is None:
        return None
    counted = ("resourceVersion", "generation", "managedFields", "annotations")
    metadata = {name: value for name, value in obj["metadata"].items() if name not in counted}
    metadata["annotations"] = _declared_annotations(obj["metadata"])
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": metadata}


def _declared_annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith(_OF_CONTROLLERS)}


def plan_rewind(current: Obj | None, then: Obj | None) -> Plan:
    """How to get from the current state to what it was."""
    if then is None:
        if current is None:
            return Plan("nothing")
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": current["metadata"]["uid"]}}
        return Plan("delete", options)
    if current is None:
        return _plan_anew(then)
    obj: Obj = {name: then[name] for name in then if name not in ("metadata", "status")}
    obj["metadata"] = _metadata(current["metadata"], then["metadata"])
    if "status" in current:
        obj["status"] = current["status"]
    notes = []
    if current["metadata"].get("uid") != then["metadata"].get("uid"):
        notes.append("It was deleted and created anew since; the one that is there now is changed.")
    if current["metadata"].get("deletionTimestamp"):
        notes.append("It is being deleted, and will be whatever is written.")
    return Plan("nothing" if obj == current else "update", obj, notes)


def _metadata(current: Mapping[str, Any], then: Mapping[str, Any]) -> Obj:
    metadata = {name: value for name, value in current.items() if name not in _TAKEN}
    if then.get("labels"):
        metadata["labels"] = then["labels"]
    annotations = _declared_annotations(then)
    annotations |= {k: v for k, v in (current.get("annotations") or {}).items() if k.startswith(_OF_CONTROLLERS)}
    if annotations:
        metadata["annotations"] = annotations
    return metadata


def _plan_anew(then: Obj) -> Plan:
    """The object made again, without what was only its own while it lived."""
    notes = ["It is created anew: with a new uid, and without a status."]
    old = then["metadata"]
    metadata = {name: old[name] for name in ("name", "namespace", "labels") if old.get(name)}
    if annotations := _declared_annotations(old):
        metadata["annotations"] = annotations
    if old.get("ownerReferences"):
        owners = ", ".join(f"{owner['kind']} {owner['name']}" for owner in old["ownerReferences"])
        notes.append(f"It belonged to {owners}; the new one belongs to nobody, unless it is adopted.")
    obj: Obj = {name: value for name, value in then.items() if name not in ("metadata", "status")}
    obj["metadata"] = metadata
    kind = then.get("kind")
    if kind == "Pod":
        obj["spec"] = {name: value for name, value in obj["spec"].items() if name != "nodeName"}
        notes.append("It is scheduled anew.")
    elif kind == "Job" and not obj["spec"].get("manualSelector"):
        obj = _without_job_uid(obj)
    elif kind == "Namespace":
        notes.append("What was in the namespace does not come back with it.")
    return Plan("create", obj, notes)


def _without_job_uid(job: Obj) -> Obj:
    """A Job without the selector and the labels that were made from its uid; the server makes them from the new one."""
    spec = {name: value for name, value in job["spec"].items() if name != "selector"}
    template = dict(spec["template"])
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = _without(metadata.get("labels"))
    template["metadata"] = metadata
    spec["template"] = template
    return {**job, "metadata": {**job["metadata"], "labels": _without(job["metadata"].get("labels"))}, "spec": spec}


def _without(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (labels or {}).items() if name not in _JOB_UID}
