"""The AdmissionReview that a hook gets, and what its answer says. Pure.

Source: `admission.k8s.io/v1` (v1beta1 has the same shape), apiserver `pkg/admission/plugin/webhook/{request,errors}`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from minik.api.errors import StatusError, from_status
from minik.api.meta import Obj, ROObj
from minik.server.webhooks.hooks import Hook
from minik.server.webhooks.matching import Subject


class BadAnswer(ValueError):
    """What came back is no answer to the review."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`patch`: the operations of a JSON patch; None for none."""

    allowed: bool
    status: Mapping[str, Any]
    patch: Any
    warnings: tuple[str, ...]


def request_of(subject: Subject, version: str, uid: str, obj: ROObj | None, old: ROObj | None) -> Obj:
    """`request` of the review. `version`: that of the resource which the hook wants; the objects are named accordingly."""
    group, _, asked = subject.api_version.rpartition("/")
    is_own = subject.api_version == (f"{subject.group}/{subject.version}" if subject.group else subject.version)
    shown = version if is_own else asked  # a Scale is the same in every version of what is scaled
    kind = {"group": group, "version": shown, "kind": subject.kind}
    resource = {"group": subject.group, "version": version, "resource": subject.resource}
    user: Obj = {"username": subject.user.name, "groups": sorted(subject.user.groups)}
    if subject.user.uid:
        user["uid"] = subject.user.uid
    if subject.user.extra:
        user["extra"] = {key: list(values) for key, values in subject.user.extra.items()}
    request: Obj = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": {**kind, "version": asked},
        "requestResource": {**resource, "version": subject.version},
        "operation": subject.operation,
        "userInfo": user,
        "object": in_version(obj, group, shown),
        "oldObject": in_version(old, group, shown),
        "dryRun": subject.dry_run,
        "options": subject.options or None,
    }
    if subject.subresource:
        request["subResource"] = request["requestSubResource"] = subject.subresource
    if subject.name:
        request["name"] = subject.name
    if subject.namespace:
        request["namespace"] = subject.namespace
    return request


def in_version(obj: ROObj | None, group: str, version: str) -> ROObj | None:
    api_version = f"{group}/{version}" if group else version
    if obj is None or obj.get("apiVersion") == api_version:
        return obj
    return {**obj, "apiVersion": api_version}


def review(hook: Hook, request: Mapping[str, Any]) -> bytes:
    """The body to send."""
    return orjson.dumps(
        {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{hook.review_version}", "request": request}
    )


def read(hook: Hook, request: Mapping[str, Any], body: bytes) -> Answer:
    """Raises BadAnswer."""
    try:
        answered = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"the answer is not JSON: {error}") from error
    response = answered.get("response") if isinstance(answered, dict) else None
    if not isinstance(response, dict):
        raise BadAnswer("Webhook response was absent")
    if hook.review_version == "v1":
        wanted = ("admission.k8s.io/v1", "AdmissionReview")
        if (answered.get("apiVersion"), answered.get("kind")) != wanted:
            given = f"{answered.get('apiVersion', '')}, Kind={answered.get('kind', '')}"
            raise BadAnswer(f"expected webhook response of {wanted[0]}, Kind={wanted[1]}, got {given}")
        if response.get("uid") != request["uid"]:
            raise BadAnswer(f'expected response.uid="{request["uid"]}", got "{response.get("uid") or ""}"')
    allowed, status = bool(response.get("allowed")), response.get("status") or {}
    if not isinstance(status, dict):
        raise BadAnswer("response.status is not a Status")
    warnings = tuple(text for text in response.get("warnings") or () if isinstance(text, str))
    return Answer(allowed, status, _patch(response), warnings)


def _patch(response: Mapping[str, Any]) -> Any:
    patch = response.get("patch")
    if not patch:
        return None
    if response.get("patchType") not in ("JSONPatch", None):
        raise BadAnswer(
            f'invalid response.patchType "{response.get("patchType")}", "JSONPatch" is the only supported type'
        )
    try:
        return orjson.loads(base64.b64decode(patch, validate=True))
    except (binascii.Error, TypeError, orjson.JSONDecodeError) as error:
        raise BadAnswer(f"response.patch cannot be read: {error}") from error


def denial(hook: Hook, status: Mapping[str, Any]) -> StatusError:
    """What the client is told when the hook says no: in its words, and never with a code below 400."""
    denied = f'admission webhook "{hook.name}" denied the request'
    why = status.get("message") or status.get("reason")
    message = f"{denied}: {why}" if why else f"{denied} without explanation"
    code = status.get("code")
    code = code if isinstance(code, int) and code >= 400 else 400
    error = from_status({"message": message, "code": code, "details": status.get("details")}, code=code)
    error.status_code, error.status_reason = code, str(status.get("reason") or "")
    return error
