"""Errors of the Kubernetes API, and field errors of validation.

    StatusError
    ├── BadRequest 400            ├── Conflict 409 Conflict        ├── TooManyRequests 429
    ├── Unauthorized 401          ├── Expired 410 Expired          ├── InternalError 500
    ├── Forbidden 403             ├── RequestTooLarge 413          ├── ServiceUnavailable 503
    ├── NotFound 404              ├── UnsupportedMediaType 415     └── Timeout 504
    ├── MethodNotAllowed 405      └── Invalid 422
    ├── NotAcceptable 406
    ├── AlreadyExists 409 AlreadyExists

Codes and reasons: apimachinery `pkg/api/errors` and `metav1.StatusReason`. The server turns a `StatusError` into the answer in
one middleware; clients turn the answer back with `from_status`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import orjson


class StatusError(Exception):
    """A failure that has a Kubernetes `Status`.

    `details` is the wire's `status.details` (name, group, kind, uid, causes, retryAfterSeconds) or None.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details else None
        self.status_code = self.code
        self.status_reason = self.reason

    def to_status(self) -> dict[str, Any]:
        """The `Status` object (meta/v1) to send."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.status_reason:
            status["reason"] = self.status_reason
        if self.details:
            status["details"] = self.details
        status["code"] = self.status_code
        return status


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    code, reason = 409, "Conflict"


class Expired(StatusError):
    code, reason = 410, "Expired"


class RequestTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason = 504, "Timeout"


_BY_REASON: dict[str, type[StatusError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict, Expired,
        RequestTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[StatusError]] = {
    cls.code: cls for cls in reversed(_BY_REASON.values()) if cls is not AlreadyExists
}


def from_status(status: Mapping[str, Any], *, code: int = 500) -> StatusError:
    """The error that a received `Status` (or any failed answer with HTTP status `code`) stands for."""
    code = status.get("code") or code
    reason = status.get("reason") or ""
    cls = _BY_REASON.get(reason) or _BY_CODE.get(code, StatusError)
    error = cls(status.get("message") or f"the server answered {code}", details=status.get("details"))
    error.status_code = code
    error.status_reason = reason or cls.reason
    return error


def resource_details(*, group: str, kind: str, name: str, uid: str = "") -> dict[str, Any]:
    """`status.details` naming one object. `kind` is by Kubernetes' habit the plural resource name (`pods`) except in
    `Invalid`, where it is the kind (`Pod`)."""
    details = {"name": name, "group": group, "kind": kind, "uid": uid}
    return {k: v for k, v in details.items() if v}


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> NotFound:
    return NotFound(
        f'{qualified(plural, group)} "{name}" not found', details=resource_details(group=group, kind=plural, name=name)
    )


def already_exists(plural: str, group: str, name: str) -> AlreadyExists:
    return AlreadyExists(
        f'{qualified(plural, group)} "{name}" already exists',
        details=resource_details(group=group, kind=plural, name=name),
    )


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(plural: str, group: str, name: str, why: str = MODIFIED) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}',
        details=resource_details(group=group, kind=plural, name=name),
    )


def forbidden(plural: str, group: str, name: str, why: str) -> Forbidden:
    of = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return Forbidden(f"{of} is forbidden: {why}", details=resource_details(group=group, kind=plural, name=name))


def is_namespace_terminating(error: Exception) -> bool:
    """Whether something could not be created because its namespace is being deleted (NamespaceTerminatingCause)."""
    causes = (error.details or {}).get("causes") or () if isinstance(error, Forbidden) else ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


# --- field errors -------------------------------------------------------------------------------------------------


class Path(str):
    """A field path: `Path("spec").child("containers").index(0).child("name")` is `spec.containers[0].name`."""

    __slots__ = ()

    def child(self, name: str, *names: str) -> Path:
        path = _child(self, name)
        for each in names:
            path = _child(path, each)
        return path

    def index(self, number: int) -> Path:  # type: ignore[override]  # a list index, never str's search
        return _index(self, number)

    def key(self, key: str) -> Path:
        return Path(f"{self}[{key}]")


@lru_cache(maxsize=8192)
def _child(path: Path, name: str) -> Path:
    """Remembered: checking a pod names a hundred fields, the same ones every time, and nearly always finds nothing to say."""
    return Path(f"{path}.{name}" if path else name)


@lru_cache(maxsize=8192)
def _index(path: Path, number: int) -> Path:
    return Path(f"{path}[{number}]")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field, as apimachinery's `field.Error`. Make it with the functions below."""

    reason: str
    """The wire's cause reason: FieldValueInvalid, FieldValueRequired, …"""
    field: str
    body: str
    """What follows the field path: `Required value: name is required`."""

    def __str__(self) -> str:
        return f"{self.field}: {self.body}" if self.field else self.body

    def cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.body, "field": self.field}


def show(value: Any) -> str:
    """A value as Go's field errors print it: strings quoted, others as JSON."""
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    if value is None:
        return "null"
    return orjson.dumps(value, default=str).decode()


def _with(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text


def required(path: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", path, _with("Required value", detail))


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, f"Invalid value: {show(value)}: {detail}")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    allowed = ", ".join(show(v) for v in sorted(supported))
    return FieldError("FieldValueNotSupported", path, f"Unsupported value: {show(value)}: supported values: {allowed}")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {show(value)}")


def field_forbidden(path: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", path, _with("Forbidden", detail))


def field_not_found(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", path, f"Not found: {show(value)}")


def too_long(path: str, value: Any, limit: int) -> FieldError:
    unit = "byte" if limit == 1 else "bytes"
    return FieldError("FieldValueTooLong", path, f"Too long: may not be more than {limit} {unit}")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    unit = "item" if limit == 1 else "items"
    return FieldError("FieldValueTooMany", path, f"Too many: {actual}: must have at most {limit} {unit}")


def invalid_object(*, group: str, kind: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """The 422 that Kubernetes answers for failed validation: one message, and one cause an error."""
    texts = list(dict.fromkeys(str(e) for e in errors))
    summary = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    shown = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = resource_details(group=group, kind=kind, name=name)
    details["causes"] = [e.cause() for e in dict.fromkeys(errors)]
    return Invalid(f'{shown} "{name}" is invalid: {summary}', details=details)
