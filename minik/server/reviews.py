"""Kinds that are only ever created, never stored: reviews of access and identity, answered on the spot.

`kubectl auth can-i` and `auth whoami`, and in-cluster clients that check a token, use them. `KINDS` joins the registry so that discovery
lists them; `HANDLERS` are their create verbs.
"""

from __future__ import annotations

from collections.abc import Mapping

from minik.api import errors
from minik.api.errors import BadRequest, Path, Unauthorized
from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.api.rbac_v1.rules import Rule
from minik.server.authz.access import Access
from minik.server.core import Core, Verb
from minik.server.decode import decode_kind
from minik.server.options import field_validation
from minik.server.request import Request, RequestInfo, Response, User
from minik.server.verbs.common import kind_of


def _kind(group: str, kind: str, *, namespaced: bool = False) -> Kind:
    return Kind(
        group=f"{group}.k8s.io", version="v1", kind=kind, plural=kind.lower() + "s", singular=kind.lower(), namespaced=namespaced,
        schema=f"io.k8s.api.{group}.v1.{kind}", verbs=("create",), generation=False,
    )  # fmt: skip


KINDS = (
    _kind("authentication", "SelfSubjectReview"),
    _kind("authentication", "TokenReview"),
    _kind("authorization", "LocalSubjectAccessReview", namespaced=True),
    _kind("authorization", "SelfSubjectAccessReview"),
    _kind("authorization", "SelfSubjectRulesReview"),
    _kind("authorization", "SubjectAccessReview"),
)


def handlers(may: Access) -> Mapping[str, Verb]:
    """Resource name → its create."""

    async def self_subject_review(_core: Core, request: Request) -> Response:
        draft = _decoded(request)
        draft["status"] = {"userInfo": user_info(request.user)}
        return Response(201, obj=draft)

    async def token_review(core: Core, request: Request) -> Response:
        draft = _decoded(request)
        spec = draft.get("spec") or {}
        audiences = spec.get("audiences") or [core.tokens.issuer]
        try:
            user = core.tokens.verify(spec.get("token") or "", audiences)
            draft["status"] = {"authenticated": True, "user": user_info(user), "audiences": audiences}
        except Unauthorized:
            draft["status"] = {"authenticated": False, "user": {}, "error": "invalid bearer token"}
        return Response(201, obj=draft)

    async def self_access(_core: Core, request: Request) -> Response:
        draft = _decoded(request)
        spec = draft.get("spec") or {}
        _check(request, spec)
        draft["status"] = _verdict(may, request.user, spec)
        return Response(201, obj=draft)

    async def access(_core: Core, request: Request) -> Response:
        draft = _decoded(request)
        spec = draft.get("spec") or {}
        _check(request, spec, subject=True)
        if (
            kind_of(request).namespaced
            and (spec.get("resourceAttributes") or {}).get("namespace") != request.info.namespace
        ):
            raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {request.info.namespace}")
        user = User(spec.get("user") or "", frozenset(spec.get("groups") or ()), spec.get("uid") or "")
        draft["status"] = _verdict(may, user, spec)
        return Response(201, obj=draft)

    async def self_rules(_core: Core, request: Request) -> Response:
        draft = _decoded(request)
        namespace = (draft.get("spec") or {}).get("namespace") or ""
        if not namespace:
            raise BadRequest("no namespace on request")
        rules, incomplete = may.rules_for(request.user, namespace)
        draft["status"] = {
            "resourceRules": [_shown(rule, "verbs", "apiGroups", "resources", "resourceNames")
                              for rule in rules if rule.get("resources")],
            "nonResourceRules": [_shown(rule, "verbs", "nonResourceURLs") for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": incomplete,
        }  # fmt: skip
        return Response(201, obj=draft)

    return {
        "selfsubjectreviews.authentication.k8s.io": self_subject_review,
        "tokenreviews.authentication.k8s.io": token_review,
        "selfsubjectaccessreviews.authorization.k8s.io": self_access,
        "selfsubjectrulesreviews.authorization.k8s.io": self_rules,
        "subjectaccessreviews.authorization.k8s.io": access,
        "localsubjectaccessreviews.authorization.k8s.io": access,
    }


def _decoded(request: Request) -> Obj:
    return decode_kind(request, kind_of(request), validation=field_validation(request))


def user_info(user: User) -> Obj:
    """authentication.k8s.io/v1 UserInfo."""
    info: Obj = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = sorted(user.groups)
    if user.extra:
        info["extra"] = {k: list(v) for k, v in user.extra.items()}
    return info


def _shown(rule: Rule, *fields: str) -> Obj:
    return {field: list(rule[field]) for field in fields if rule.get(field)}


def _check(request: Request, spec: Obj, *, subject: bool = False) -> None:
    """What a review must say (`pkg/apis/authorization/validation`). Raises Invalid."""
    found, path = [], Path("spec")
    if spec.get("resourceAttributes") is not None and spec.get("nonResourceAttributes") is not None:
        why = "cannot be specified in combination with resourceAttributes"
        found.append(errors.invalid(path.child("nonResourceAttributes"), spec["nonResourceAttributes"], why))
    if spec.get("resourceAttributes") is None and spec.get("nonResourceAttributes") is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        found.append(errors.invalid(path.child("resourceAttributes"), None, why))
    if subject and not spec.get("user") and not spec.get("groups"):
        found.append(errors.invalid(path.child("user"), "", "at least one of user or group must be specified"))
    if kind_of(request).namespaced and spec.get("nonResourceAttributes") is not None:
        why = "disallowed on this kind of request"
        found.append(errors.invalid(path.child("nonResourceAttributes"), spec["nonResourceAttributes"], why))
    if found:
        raise errors.invalid_object(group="authorization.k8s.io", kind=kind_of(request).kind, name="", errors=found)


def _verdict(may: Access, user: User, spec: Obj) -> Obj:
    wanted = spec.get("resourceAttributes")
    if wanted is not None:
        info = RequestInfo(
            wanted.get("verb") or "", "", is_resource=True, group=wanted.get("group") or "", version=wanted.get("version") or "",
            plural=wanted.get("resource") or "", subresource=wanted.get("subresource") or "",
            namespace=wanted.get("namespace") or "", name=wanted.get("name") or "",
        )  # fmt: skip
    else:
        path = spec.get("nonResourceAttributes") or {}
        info = RequestInfo(path.get("verb") or "", path.get("path") or "")
    allowed, why = may.verdict(user, info)
    return {"allowed": allowed, "reason": why} if why else {"allowed": allowed}
