"""What the kinds of dynamic resource allocation share: requests for devices, constraints, configuration, names.

Rules, limits and texts: kubernetes `pkg/apis/resource/validation` and `pkg/apis/resource/types.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from minik.api import cel
from minik.api.codec import encode
from minik.api.errors import (
    Path,
    duplicate,
    field_forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from minik.api.validation import Errors, check_name
from minik.api.validation_names import dns_label, dns_subdomain, label_value, qualified_name

MAX_REQUESTS = MAX_CONSTRAINTS = MAX_CONFIGS = MAX_SELECTORS = MAX_RESULTS = 32
MAX_ALTERNATIVES = 8
MAX_TOLERATIONS = 16
MAX_EXPRESSION = 10 * 1024
MAX_PARAMETERS = 10 * 1024
MODES = ("All", "ExactCount")
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "None")
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

Names = Mapping[str, Collection[str]]
"""request → its subrequests."""


def limited(errors: Errors, path: Path, values: Sequence[Any], limit: int) -> bool:
    """Whether there are not too many."""
    if len(values) > limit:
        errors.append(too_many(path, len(values), limit))
        return False
    return True


def each_named(
    errors: Errors, path: Path, values: Sequence[Mapping[str, Any]], check: Callable[[Path, Mapping[str, Any]], None]
) -> None:
    """`check` for every one of a set by name."""
    seen: set[str] = set()
    for number, value in enumerate(values):
        at, name = path.index(number), value.get("name") or ""
        if name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)
        check(at, value)


def driver_name(errors: Errors, path: Path, name: str) -> None:
    """Of a DRA driver: as that of a CSI driver."""
    if not name:
        errors.append(required(path))
        return
    if len(name) > 63:
        errors.append(too_long(path, name, 63))
    check_name(errors, path, name.lower(), dns_subdomain)


def pool_name(errors: Errors, path: Path, name: str) -> None:
    if not name:
        errors.append(required(path))
        return
    if len(name) > 253:
        errors.append(too_long(path, name, 253))
    for part in name.split("/"):
        check_name(errors, path, part, dns_subdomain)


def label_name(errors: Errors, path: Path, name: str) -> None:
    """A device, request or counter."""
    check_name(errors, path, name, dns_label)


# --- claims ------------------------------------------------------------------------------------------------------------------


def device_claim(errors: Errors, path: Path, claim: Mapping[str, Any]) -> None:
    """`spec.devices` of a claim or a template."""
    requests, names = claim.get("requests") or (), request_names(claim)
    at = path.child("requests")
    if limited(errors, at, requests, MAX_REQUESTS):
        each_named(errors, at, requests, lambda where, request: _request(errors, where, request))
    constraints = claim.get("constraints") or ()
    if limited(errors, path.child("constraints"), constraints, MAX_CONSTRAINTS):
        for number, constraint in enumerate(constraints):
            _constraint(errors, path.child("constraints").index(number), constraint, names)
    configs = claim.get("config") or ()
    if limited(errors, path.child("config"), configs, MAX_CONFIGS):
        for number, config in enumerate(configs):
            where = path.child("config").index(number)
            references(errors, where.child("requests"), config.get("requests") or (), names)
            configuration(errors, where, config)


def request_names(claim: Mapping[str, Any]) -> Names:
    return {
        request.get("name") or "": {each.get("name") or "" for each in request.get("firstAvailable") or ()}
        for request in claim.get("requests") or ()
    }


def _request(errors: Errors, at: Path, request: Mapping[str, Any]) -> None:
    label_name(errors, at.child("name"), request.get("name") or "")
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or ()
    if exactly is None and not alternatives:
        errors.append(required(at, "exactly one of `exactly` or `firstAvailable` is required"))
    elif exactly is not None and alternatives:
        why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        errors.append(invalid(at, None, why))
    elif exactly is not None:
        _wanted(errors, at.child("exactly"), exactly)
    elif limited(errors, at.child("firstAvailable"), alternatives, MAX_ALTERNATIVES):

        def alternative(where: Path, each: Mapping[str, Any]) -> None:
            label_name(errors, where.child("name"), each.get("name") or "")
            _wanted(errors, where, each)

        each_named(errors, at.child("firstAvailable"), alternatives, alternative)


def _wanted(errors: Errors, at: Path, wanted: Mapping[str, Any]) -> None:
    """What `exactly` and each alternative say."""
    name = wanted.get("deviceClassName") or ""
    if not name:
        errors.append(required(at.child("deviceClassName")))
    else:
        check_name(errors, at.child("deviceClassName"), name, dns_subdomain)
    selectors(errors, at.child("selectors"), wanted.get("selectors") or ())
    mode, count = wanted.get("allocationMode") or "", wanted.get("count") or 0
    if mode not in MODES:
        errors.append(not_supported(at.child("allocationMode"), mode, MODES))
    elif mode == "All" and count:
        errors.append(invalid(at.child("count"), count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(at.child("count"), count, "must be greater than zero"))
    tolerations = wanted.get("tolerations") or ()
    if limited(errors, at.child("tolerations"), tolerations, MAX_TOLERATIONS):
        for number, toleration in enumerate(tolerations):
            _toleration(errors, at.child("tolerations").index(number), toleration)


def selectors(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """CEL conditions on a device."""
    if not limited(errors, path, values, MAX_SELECTORS):
        return
    for number, selector in enumerate(values):
        at = path.index(number).child("cel")
        if selector.get("cel") is None:
            errors.append(required(at))
            continue
        expression = selector["cel"].get("expression") or ""
        if len(expression) > MAX_EXPRESSION:
            errors.append(too_long(at.child("expression"), "", MAX_EXPRESSION))
        elif why := cel.what_is_wrong(expression, cel.DEVICE):
            errors.append(invalid(at.child("expression"), expression, why))


def _constraint(errors: Errors, at: Path, constraint: Mapping[str, Any], names: Names) -> None:
    references(errors, at.child("requests"), constraint.get("requests") or (), names)
    match, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if match is None and distinct is None:
        errors.append(required(at, "exactly one of `matchAttribute` or `distinctAttribute` is required"))
    elif match is not None and distinct is not None:
        why = "exactly one of `matchAttribute` or `distinctAttribute` is required, but multiple fields are set"
        errors.append(invalid(at, None, why))
    field, value = ("matchAttribute", match) if match is not None else ("distinctAttribute", distinct)
    if value is not None:
        if "/" not in value:
            errors.append(invalid(at.child(field), value, "must include a domain"))
        check_name(errors, at.child(field), value, qualified_name)


def references(errors: Errors, path: Path, values: Sequence[str], names: Names) -> None:
    """Names of requests, each once."""
    if not limited(errors, path, values, MAX_REQUESTS):
        return
    for number, value in enumerate(values):
        if value in values[:number]:
            errors.append(duplicate(path.index(number), value))
        reference(errors, path.index(number), value, names)


def reference(errors: Errors, path: Path, value: str, names: Names) -> None:
    request, slash, alternative = value.partition("/")
    if request not in names or (slash and alternative not in names[request]):
        errors.append(invalid(path, value, _REFERENCE))


def configuration(errors: Errors, path: Path, config: Mapping[str, Any]) -> None:
    """`opaque`: parameters for a driver."""
    opaque = config.get("opaque")
    if opaque is None:
        errors.append(required(path.child("opaque")))
        return
    at = path.child("opaque")
    driver_name(errors, at.child("driver"), opaque.get("driver") or "")
    parameters = opaque.get("parameters")
    if parameters is None:
        errors.append(required(at.child("parameters")))
    elif not isinstance(parameters, dict):
        errors.append(invalid(at.child("parameters"), "<value omitted>", "must be a valid JSON object"))
    elif len(encode(parameters)) > MAX_PARAMETERS:
        errors.append(too_long(at.child("parameters"), "", MAX_PARAMETERS))


def _toleration(errors: Errors, at: Path, toleration: Mapping[str, Any]) -> None:
    key, operator, value = (toleration.get(field) or "" for field in ("key", "operator", "value"))
    if key:
        check_name(errors, at.child("key"), key, qualified_name)
    elif operator != "Exists":
        errors.append(invalid(at.child("operator"), operator, "operator must be Exists when `key` is empty"))
    if operator == "Exists":
        if value:
            errors.append(invalid(at.child("value"), value, "must be empty when operator is `Exists`"))
    elif operator == "Equal":
        check_name(errors, at.child("value"), value, label_value)
    elif operator:
        errors.append(not_supported(at.child("operator"), operator, ("Equal", "Exists")))
    else:
        errors.append(required(at.child("operator")))
    effect = toleration.get("effect") or ""
    if effect and effect not in TAINT_EFFECTS:
        errors.append(not_supported(at.child("effect"), effect, TAINT_EFFECTS))
    if toleration.get("tolerationSeconds") is not None and effect and effect != "NoExecute":
        why = "must be NoExecute when tolerationSeconds is set"
        errors.append(field_forbidden(at.child("effect"), why))
