"""Names and conditions of a CustomResourceDefinition: which names it gets, whether it is established, what it stored under.

Pure. Upstream these are two controllers, naming and establishing (`pkg/controller/status`, `establish`); here the server decides
when a definition is written, so that it is served by the time its creation is answered, and the controller decides once more for
those that had to wait for a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.meta import Obj, ROObj

NAMES_ACCEPTED, ESTABLISHED, TERMINATING = "NamesAccepted", "Established", "Terminating"
APPROVED = "KubernetesAPIApprovalPolicyConformant"
APPROVAL = "api-approved.kubernetes.io"
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")


def group_of(crd: ROObj) -> str:
    return (crd.get("spec") or {}).get("group") or ""


def wanted_names(crd: ROObj) -> Obj:
    """`spec.names` with its defaults."""
    names = dict((crd.get("spec") or {}).get("names") or {})
    names["singular"] = names.get("singular") or (names.get("kind") or "").lower()
    names["listKind"] = names.get("listKind") or f"{names.get('kind', '')}List"
    return names


def is_true(crd: ROObj, condition: str) -> bool:
    found = meta.condition(crd, condition)
    return found is not None and found.get("status") == "True"


def storage_version(crd: ROObj) -> str:
    versions = (crd.get("spec") or {}).get("versions") or ()
    return next((version["name"] for version in versions if version.get("storage")), "")


def is_protected(group: str) -> bool:
    """Whether names of this group are Kubernetes' own to give (`apihelpers.IsProtectedCommunityGroup`)."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith(_PROTECTED)


def approval(crd: ROObj) -> tuple[str, str]:
    """(what the approval annotation amounts to: approved, bypassed, missing or invalid, why)."""
    annotation = meta.annotations(crd).get(APPROVAL, "")
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not annotation:
        return "missing", f'protected groups must have approval annotation "{APPROVAL}", {see}'
    if annotation.startswith("unapproved"):
        return "bypassed", f"not approved: {annotation!r}".replace("'", '"')
    if annotation.startswith(("http://", "https://")) and "." in annotation:
        return "approved", f"approved in {annotation}"
    why = (
        f'protected groups must have approval annotation "{APPROVAL}" with either a URL or a reason starting with '
        f'"unapproved", {see}'
    )
    return "invalid", why


def _taken(others: Iterable[ROObj], group: str, name: str) -> tuple[set[str], set[str]]:
    """(resource names, kinds) that other definitions of the group have been given."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if group_of(other) != group or meta.name(other) == name:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update(n for n in (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())) if n)
        kinds.update(n for n in (names.get("kind"), names.get("listKind")) if n)
    return resources, kinds


def plan_names(crd: ROObj, others: Iterable[ROObj]) -> tuple[Obj, Obj]:
    """(acceptedNames, the condition NamesAccepted without its times): what is free is given, what is taken stays as it was."""
    resources, kinds = _taken(others, group_of(crd), meta.name(crd))
    wanted = wanted_names(crd)
    accepted = dict((crd.get("status") or {}).get("acceptedNames") or {})
    problems: list[tuple[str, str]] = []
    for field, reason, taken in (
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("shortNames", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("listKind", "ListKindConflict", kinds),
    ):
        value = wanted.get(field) or ([] if field == "shortNames" else "")
        clashes = [name for name in (value if isinstance(value, list) else [value]) if name in taken]
        if clashes:
            shown = ", ".join(f'"{name}" is already in use' for name in clashes)
            problems.append((reason, f"[{shown}]" if len(clashes) > 1 else shown))
        elif value:
            accepted[field] = value
        else:
            accepted.pop(field, None)
    if wanted.get("categories"):
        accepted["categories"] = list(wanted["categories"])
    else:
        accepted.pop("categories", None)
    if problems:
        condition = {"status": "False", "reason": problems[-1][0], "message": problems[-1][1]}
    else:
        condition = {"status": "True", "reason": "NoConflicts", "message": "no conflicts found"}
    order = ("plural", "singular", "shortNames", "kind", "listKind", "categories")
    return {name: accepted[name] for name in order if name in accepted}, {"type": NAMES_ACCEPTED, **condition}


def plan_status(crd: ROObj, others: Iterable[ROObj], *, now: str) -> Obj:
    """The status that a definition should have: accepted names, conditions, stored versions. Equal to what it has if nothing is new."""
    status = dict(crd.get("status") or {})
    accepted, named = plan_names(crd, others)
    conditions = with_condition(status.get("conditions") or (), named, now=now)
    was_established = is_true(crd, ESTABLISHED)
    if named["status"] == "True" or was_established:
        established = {"status": "True", "reason": "InitialNamesAccepted",
                       "message": "the initial names have been accepted"}  # fmt: skip
    else:
        established = {"status": "False", "reason": "NotAccepted", "message": "not all names are accepted"}
    conditions = with_condition(conditions, {"type": ESTABLISHED, **established}, now=now)
    if is_protected(group_of(crd)):
        conditions = with_condition(conditions, _approval_condition(crd), now=now)
    status["acceptedNames"] = accepted
    status["conditions"] = conditions
    stored = list(status.get("storedVersions") or ())
    current = storage_version(crd)
    status["storedVersions"] = stored if current in stored else [*stored, current]
    return status


def _approval_condition(crd: ROObj) -> Obj:
    state, why = approval(crd)
    reasons = {
        "approved": ("True", "ApprovedAnnotation"), "bypassed": ("False", "UnapprovedAnnotation"),
        "missing": ("False", "MissingAnnotation"), "invalid": ("False", "InvalidAnnotation"),
    }  # fmt: skip
    status, reason = reasons[state]
    return {"type": APPROVED, "status": status, "reason": reason, "message": why}


def with_condition(conditions: Sequence[Mapping[str, Any]], new: Mapping[str, Any], *, now: str) -> list[Obj]:
    """`conditions` with `new` set; its time changes with its status only (`apihelpers.SetCRDCondition`)."""
    found = [dict(each) for each in conditions]
    for index, old in enumerate(found):
        if old.get("type") == new["type"]:
            since = old.get("lastTransitionTime") if old.get("status") == new["status"] else None
            found[index] = {**old, **new, "lastTransitionTime": since or now}
            return found
    return [*found, {**new, "lastTransitionTime": now}]
