"""Impersonation: an administrator asks as somebody else (`kubectl --as`). Called by `chain.py` after authentication.

Source: apiserver `pkg/endpoints/filters/impersonation.go`. Who may is decided by the fixed rules: members of system:masters, nobody
else. The request then goes on as the impersonated user, who is what authorization sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.errors import BadRequest, Forbidden
from minik.server.request import Request, User

_USER, _UID, _GROUP, _EXTRA = "Impersonate-User", "Impersonate-Uid", "Impersonate-Group", "impersonate-extra-"
_MASTERS = "system:masters"
_ACCOUNT = "system:serviceaccount:"


def impersonated(request: Request) -> User:
    """The user to go on as: the one who asks, or the one they ask as. Raises Forbidden and BadRequest."""
    headers = request.headers
    name, groups = headers.get(_USER, ""), _all(request, _GROUP)
    extra = {k[len(_EXTRA) :].lower(): _all(request, k) for k in headers if k.lower().startswith(_EXTRA)}
    if not (name or groups or extra or headers.get(_UID)):
        return request.user
    if not name:
        raise BadRequest("requested impersonation of groups, uid or extra fields without impersonating a user")
    if _MASTERS not in request.user.groups:
        raise Forbidden(
            f'users "{name}" is forbidden: User "{request.user.name}" cannot impersonate resource "users" '
            'in API group "" at the cluster scope',
            details={"name": name, "kind": "users"},
        )
    if not groups and name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace = name.split(":")[2]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    known = "system:unauthenticated" if name == "system:anonymous" else "system:authenticated"
    return User(name, frozenset({*groups, known}), headers.get(_UID, ""), extra)


def _all(request: Request, name: str) -> Sequence[str]:
    """Every value of a header that may be repeated."""
    headers = request.headers
    getall = getattr(headers, "getall", None)
    if getall is not None:
        return list(getall(name, ()))
    return [headers[name]] if name in headers else []
