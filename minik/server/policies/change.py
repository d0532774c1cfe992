"""What mutating policies make of an object, one after the other. Source: `policy/mutating/{dispatcher,patch}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minik.api.admissionregistration_v1.mutatingadmissionpolicy import PATCHES
from minik.api.cel import CelError
from minik.api.errors import Forbidden, StatusError
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server.apply.types import Type, type_of_kind
from minik.server.apply.walk import check, merged
from minik.server.core import Core
from minik.server.patch.json import apply_json_patch
from minik.server.policies.bound import Bound
from minik.server.policies.evaluate import Case, Failure, cases
from minik.server.webhooks.matching import Subject

_FAILURES = (Failure, CelError, StatusError)


def change(
    core: Core,
    kind: Kind,
    policies: tuple[Bound, ...],
    subject: Subject,
    request: Callable[[str, ROObj], Mapping[str, Any]],
    namespace: Callable[[], ROObj | None],
    obj: ROObj,
    old: ROObj | None,
) -> ROObj:
    """The object as the policies want it; the very same if they change nothing. `request(version, obj)`: of a review. Those that
    ask for it are asked again if others changed the object after them. Raises Forbidden for a policy that fails."""

    def asked(bound: Bound, current: ROObj) -> ROObj:
        version = bound.version(subject, namespace, current, old)
        if version is None:
            return current
        try:
            around = None if subject.is_namespace else namespace()
            for case in cases(core, bound, subject, request(version, current), around):
                if case.applies():
                    current = _mutated(case, kind, current)
        except _FAILURES as error:
            if not bound.is_ignored:
                why = f"policy '{bound.policy}' with binding '{bound.name}' denied request: {error}"
                refusal = Forbidden(why, details={})
                refusal.status_reason = "Invalid"
                raise refusal from error
        return current

    changed_last = -1
    for number, bound in enumerate(policies):
        made = asked(bound, obj)
        if made is not obj:
            obj, changed_last = made, number
    for number, bound in enumerate(policies):
        if bound.is_reinvoked and number < changed_last:
            obj = asked(bound, obj)
    return obj


def _mutated(case: Case, kind: Kind, obj: ROObj) -> ROObj:
    """The object with all mutations of the policy but those that fail and may be ignored. Raises CelError, Failure and StatusError."""
    made = obj
    for mutation in case.bound.spec.get("mutations") or ():
        try:
            made = _with(mutation, case.changed(made), kind, made)
        except _FAILURES:
            if not case.bound.is_ignored:
                raise
    return obj if made == obj else made


def _with(mutation: Mapping[str, Any], case: Case, kind: Kind, obj: ROObj) -> ROObj:
    value = case.value(mutation[PATCHES[mutation["patchType"]]]["expression"], "dyn")
    made: Any
    if mutation["patchType"] == "JSONPatch":
        if not isinstance(value, list):
            raise Failure("a JSONPatch expression must evaluate to a list of JSONPatch")
        made = apply_json_patch(obj, value)
    else:
        made = _applied(obj, value, type_of_kind(kind))
    if not isinstance(made, dict) or any(made.get(name) != obj.get(name) for name in ("apiVersion", "kind")):
        raise Failure("apiVersion and kind may not be changed")
    return made


def _applied(obj: ROObj, config: Any, type_: Type) -> Obj:
    if not isinstance(config, dict):
        raise Failure("an ApplyConfiguration expression must evaluate to an Object")
    if wrong := check(config, type_):
        raise Failure(f"invalid ApplyConfiguration: {'; '.join(wrong)}")
    if atomic := _atomic(config, type_, ""):
        raise Failure(f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(atomic)}")
    made: Obj = merged(obj, config, type_)
    return made


def _atomic(value: Any, type_: Type, at: str) -> list[str]:
    """The atomic lists, maps and structs that a configuration sets: it cannot know all of what they hold."""
    type_ = type_.of(value)
    if type_.shape in ("map", "list") and type_.atomic:
        return [at]
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            below = type_.below(name)
            found += [] if below is None else _atomic(item, below, f"{at}.{name}")
    elif isinstance(value, list) and type_.element is not None:
        for number, item in enumerate(value):
            found += _atomic(item, type_.element, f"{at}[{number}]")
    return found
