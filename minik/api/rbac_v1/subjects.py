"""What RoleBinding and ClusterRoleBinding share: subjects, the reference to a role, and how both are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, not_supported, required
from minik.api.kind import Column
from minik.api.meta import Obj, ROObj
from minik.api.rbac_v1.rules import GROUP
from minik.api.validation import Errors, check_name
from minik.api.validation_names import dns_subdomain, path_segment

Subject = Mapping[str, Any]
ACCOUNT = "ServiceAccount"
_KINDS = (ACCOUNT, "User", "Group")
_ROLE_KINDS = ("Role", "ClusterRole")


def account_user(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def keys(binding: ROObj, namespace: str = "") -> Iterator[str]:
    """Under what a binding is found: `User/jane`, `Group/ops`; a service account is its user. `namespace`: that of a RoleBinding."""
    for subject in binding.get("subjects") or ():
        if subject.get("kind") != ACCOUNT:
            yield f"{subject.get('kind')}/{subject.get('name')}"
        elif within := subject.get("namespace") or namespace:
            yield f"User/{account_user(within, subject.get('name') or '')}"


def default(binding: Obj) -> None:
    """`SetDefaults_RoleBinding`, `SetDefaults_Subject`."""
    role = binding.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def validate(binding: ROObj, *, namespaced: bool) -> Errors:
    errors: Errors = []
    ref, path = binding.get("roleRef") or {}, Path("roleRef")
    kinds = _ROLE_KINDS if namespaced else ("ClusterRole",)
    if ref.get("apiGroup") != GROUP:
        errors.append(not_supported(path.child("apiGroup"), ref.get("apiGroup") or "", (GROUP,)))
    if ref.get("kind") not in kinds:
        errors.append(not_supported(path.child("kind"), ref.get("kind") or "", kinds))
    if not ref.get("name"):
        errors.append(required(path.child("name")))
    else:
        check_name(errors, path.child("name"), ref["name"], path_segment)
    for number, subject in enumerate(binding.get("subjects") or ()):
        _subject(errors, Path("subjects").index(number), subject, namespaced)
    return errors


def _subject(errors: Errors, path: Path, subject: Subject, namespaced: bool) -> None:
    name, group = subject.get("name") or "", subject.get("apiGroup") or ""
    if not name:
        errors.append(required(path.child("name")))
    if subject.get("kind") not in _KINDS:
        errors.append(not_supported(path.child("kind"), subject.get("kind") or "", _KINDS))
    elif subject["kind"] != ACCOUNT:
        if group != GROUP:
            errors.append(not_supported(path.child("apiGroup"), group, (GROUP,)))
    else:
        if name:
            check_name(errors, path.child("name"), name, dns_subdomain)
        if group:
            errors.append(not_supported(path.child("apiGroup"), group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(path.child("namespace")))


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """A binding is to one role for good."""
    if new.get("roleRef") == old.get("roleRef"):
        return ()
    return [invalid(Path("roleRef"), dict(new.get("roleRef") or {}), "cannot change roleRef")]


def _role(binding: ROObj) -> str:
    ref = binding.get("roleRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _named(kind: str) -> Column:
    def names(binding: ROObj) -> str:
        found = [subject for subject in binding.get("subjects") or () if subject.get("kind") == kind]
        if kind == ACCOUNT:
            return ", ".join(f"{s.get('namespace', '')}/{s.get('name', '')}" for s in found)
        return ", ".join(s.get("name", "") for s in found)

    return column(f"{kind}s", names, wide=True)


COLUMNS = (column("Role", _role), columns.AGE, *(_named(kind) for kind in ("User", "Group", ACCOUNT)))
