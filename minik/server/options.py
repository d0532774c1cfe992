"""Query parameters and option bodies: what a request asks for besides its object (meta/v1 ListOptions, DeleteOptions, …).

Pure readers of a `Request`; the texts of refusals are upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from minik.api.errors import (
    BadRequest,
    Invalid,
    field_forbidden,
    invalid,
    invalid_object,
    not_supported,
    required,
    too_long,
)
from minik.api.meta import Obj
from minik.server.request import Request

FieldValidation = Literal["Ignore", "Warn", "Strict"]
_MANAGER_LIMIT = 128
"""Bytes of a field manager's name."""
PROPAGATION_POLICIES = ("Background", "Foreground", "Orphan")


def is_true(text: str) -> bool:
    """A boolean query parameter, as apimachinery's conversion reads it: anything but `false` and `0` once it is there."""
    return bool(text) and text.lower() not in ("false", "0")


def whole_number(request: Request, parameter: str) -> int | None:
    """A whole number or None; raises BadRequest."""
    text = request.one(parameter)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def is_dry_run(request: Request, *, options: str = "CreateOptions", body: Mapping[str, Any] | None = None) -> bool:
    """Whether `dryRun=All` was asked for; raises Invalid for any other value."""
    values = [v for v in request.query.get("dryRun", ()) if v] + list((body or {}).get("dryRun") or ())
    wrong = [v for v in values if v != "All"]
    if wrong:
        raise _bad_options(options, [not_supported("dryRun", wrong, ["All"])])
    return bool(values)


def field_validation(request: Request, *, options: str = "CreateOptions") -> FieldValidation:
    """How to treat unknown and duplicate fields; without the parameter the server warns."""
    value = request.one("fieldValidation")
    if not value or value == "Warn":
        return "Warn"
    if value == "Strict":
        return "Strict"
    if value == "Ignore":
        return "Ignore"
    raise _bad_options(options, [not_supported("fieldValidation", value, ["", "Ignore", "Strict", "Warn"])])


def patch_options(request: Request, *, apply: bool = False) -> None:
    """Raises Invalid if `fieldManager` and `force` do not fit the kind of patch (meta/v1 ValidatePatchOptions)."""
    manager = request.one("fieldManager")
    wrong = []
    if apply and not manager:
        wrong.append(required("fieldManager", "is required for apply patch"))
    elif len(manager.encode()) > _MANAGER_LIMIT:
        wrong.append(too_long("fieldManager", "", _MANAGER_LIMIT))
    elif not manager.isprintable():
        wrong.append(invalid("fieldManager", manager, "should only contain printable characters"))
    if not apply and request.one("force"):
        wrong.append(field_forbidden("force", "may not be specified for non-apply patch"))
    if wrong:
        raise _bad_options("PatchOptions", wrong)


def _bad_options(kind: str, errors: list[Any]) -> Invalid:
    return invalid_object(group="meta.k8s.io", kind=kind, name="", errors=errors)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta/v1 DeleteOptions. `orphan_dependents` is the deprecated form of a propagation policy."""

    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    orphan_dependents: bool | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


def delete_options(request: Request, body: Obj | None) -> DeleteOptions:
    """From the body if there is one, else from the query. Raises BadRequest and Invalid."""
    if not body:
        grace = whole_number(request, "gracePeriodSeconds")
        policy = request.one("propagationPolicy")
        orphan_text = request.one("orphanDependents")
        orphan = is_true(orphan_text) if orphan_text else None
        preconditions: Mapping[str, Any] = {}
    else:
        grace = body.get("gracePeriodSeconds")
        policy = body.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents")
        preconditions = body.get("preconditions") or {}
    errors = []
    if orphan is not None and policy:
        errors.append(
            invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")
        )
    if policy and policy not in PROPAGATION_POLICIES:
        errors.append(not_supported("propagationPolicy", policy, [*PROPAGATION_POLICIES, "nil"]))
    if errors:
        raise _bad_options("DeleteOptions", errors)
    return DeleteOptions(
        grace_period_seconds=grace,
        propagation_policy=policy,
        orphan_dependents=orphan,
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=is_dry_run(request, options="DeleteOptions", body=body),
    )


def resource_version(text: str) -> int:
    """A list's or watch's resourceVersion as a number; "" and "0" are 0. Raises Invalid."""
    if not text:
        return 0
    try:
        number = int(text)
        if number < 0:
            raise ValueError
    except ValueError:
        raise invalid_object(
            group="meta.k8s.io", kind="ListOptions", name="",
            errors=[invalid("resourceVersion", text, "strconv.ParseUint: parsing " + f'"{text}": invalid syntax')],
        ) from None  # fmt: skip
    return number
