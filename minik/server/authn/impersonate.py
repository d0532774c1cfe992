"""Impersonation: an administrator asks as somebody else (`kubectl --as`). Called by `chain.py` after authentication.

Source: apiserver `pkg/endpoints/filters/impersonation.go`. Each part takes the right to `impersonate` it: users, service accounts,
groups, uids and extra fields. The request then goes on as the impersonated user, who is what authorization sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minik.api.errors import BadRequest
from minik.server.authz.rules import Authorize, refusal
from minik.server.request import Request, RequestInfo, User

_USER, _UID, _GROUP, _EXTRA = "Impersonate-User", "Impersonate-Uid", "Impersonate-Group", "impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"


def impersonated(request: Request, authorize: Authorize) -> User:
    """The user to go on as: the one who asks, or the one they ask as. Raises Forbidden and BadRequest."""
    headers = request.headers
    name, groups = headers.get(_USER, ""), _all(request, _GROUP)
    extra = {k[len(_EXTRA) :].lower(): _all(request, k) for k in headers if k.lower().startswith(_EXTRA)}
    if not (name or groups or extra or headers.get(_UID)):
        return request.user
    if not name:
        raise BadRequest("requested impersonation of groups, uid or extra fields without impersonating a user")
    uid = headers.get(_UID, "")
    for info in _needed(name, groups, uid, extra):
        if not authorize(request.user, info, ""):
            raise refusal(request.user, info)
    if not groups and name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace = name.split(":")[2]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    known = "system:unauthenticated" if name == "system:anonymous" else "system:authenticated"
    return User(name, frozenset({*groups, known}), uid, extra)


def _needed(name: str, groups: Sequence[str], uid: str, extra: dict[str, Sequence[str]]) -> Iterator[RequestInfo]:
    """What has to be allowed."""
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        yield _right("", "serviceaccounts", account, namespace)
    else:
        yield _right("", "users", name)
    for group in groups:
        yield _right("", "groups", group)
    if uid:
        yield _right("authentication.k8s.io", "uids", uid)
    for key, values in extra.items():
        for value in values:
            yield _right("authentication.k8s.io", "userextras", value, subresource=key)


def _right(group: str, plural: str, name: str, namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo(
        "impersonate",
        "",
        is_resource=True,
        group=group,
        plural=plural,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def _all(request: Request, name: str) -> Sequence[str]:
    """Every value of a header that may be repeated."""
    headers = request.headers
    getall = getattr(headers, "getall", None)
    if getall is not None:
        return list(getall(name, ()))
    return [headers[name]] if name in headers else []
