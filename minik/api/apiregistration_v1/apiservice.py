"""APIService, apiregistration.k8s.io/v1: a group and version of the API, and the Service that serves it if minik does not itself.

Source: kube-aggregator `pkg/apis/apiregistration/validation` and `pkg/registry/apiservice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, meta
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, not_supported, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name
from minik.api.validation_names import dns_1035_label, dns_subdomain, path_segment

RESOURCE = "apiservices.apiregistration.k8s.io"
AVAILABLE = "Available"
LOCAL: Mapping[str, Any] = {
    "type": AVAILABLE, "status": "True", "reason": "Local", "message": "Local APIServices are always available",
}  # fmt: skip
"""The condition of what the API server serves itself."""
_SPEC = Path("spec")
_MAX_GROUP_PRIORITY, _MAX_VERSION_PRIORITY = 20_000, 1_000
_STATUSES = ("False", "True", "Unknown")


def service_of(apiservice: ROObj) -> Mapping[str, Any] | None:
    """`{"namespace", "name", "port"}` of who serves it; None: the API server itself."""
    return (apiservice.get("spec") or {}).get("service")


def group_version(apiservice: ROObj) -> tuple[str, str]:
    spec = apiservice.get("spec") or {}
    return spec.get("group") or "", spec.get("version") or ""


def prepare_create(apiservice: Obj) -> None:
    apiservice["status"] = {}


def identify(apiservice: Obj) -> None:
    """A local one is available from the first."""
    if service_of(apiservice) is None:
        moment = apiservice["metadata"]["creationTimestamp"]
        apiservice["status"] = {"conditions": [{**LOCAL, "lastTransitionTime": moment}]}


def validate(apiservice: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    group, version = group_version(apiservice)
    spec = apiservice.get("spec") or {}
    name = apiservice["metadata"].get("name") or ""
    if name != f"{version}.{group}":
        errors.append(
            invalid(Path("metadata").child("name"), name, f'must be `spec.version+"."+spec.group`: "{version}.{group}"')
        )
    if group:
        check_name(errors, _SPEC.child("group"), group, dns_subdomain)
    elif version != "v1":
        errors.append(required(_SPEC.child("group"), "only v1 may have an empty group and it better be legacy kube"))
    check_name(errors, _SPEC.child("version"), version, dns_1035_label)
    for field, most in (("groupPriorityMinimum", _MAX_GROUP_PRIORITY), ("versionPriority", _MAX_VERSION_PRIORITY)):
        value = spec.get(field) or 0
        if not 0 < value <= most:
            errors.append(invalid(_SPEC.child(field), value, f"must be positive and less than {most}"))
    _service(errors, spec)
    for number, condition in enumerate((apiservice.get("status") or {}).get("conditions") or ()):
        if condition.get("status") not in _STATUSES:
            at = Path("status").child("conditions").index(number).child("status")
            errors.append(not_supported(at, condition.get("status") or "", _STATUSES))
    return errors


def _service(errors: Errors, spec: Mapping[str, Any]) -> None:
    service, is_blind, bundle = spec.get("service"), spec.get("insecureSkipTLSVerify"), spec.get("caBundle")
    blindness = _SPEC.child("insecureSkipTLSVerify")
    if service is None:
        if bundle:
            errors.append(
                invalid(_SPEC.child("caBundle"), f"{len(bundle)} bytes", "local APIServices may not have a caBundle")
            )
        if is_blind:
            errors.append(invalid(blindness, True, "local APIServices may not skip TLS verification"))
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            errors.append(required(_SPEC.child("service").child(field)))
    port = service.get("port")
    if port is not None and not 0 < port < 65536:
        errors.append(
            invalid(
                _SPEC.child("service").child("port"), port, "port is not valid: must be between 1 and 65535, inclusive"
            )
        )
    if is_blind and bundle:
        errors.append(invalid(blindness, True, "may not be true if caBundle is present"))


def _shown_service(apiservice: ROObj) -> str:
    service = service_of(apiservice)
    return "Local" if service is None else f"{service.get('namespace', '')}/{service.get('name', '')}"


def _shown_available(apiservice: ROObj) -> str:
    condition = meta.condition(apiservice, AVAILABLE) or {}
    status = str(condition.get("status") or "Unknown")
    return status if status == "True" or not condition.get("reason") else f"{status} ({condition['reason']})"


KIND = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    singular="apiservice",
    namespaced=False,
    schema="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    categories=("api-extensions",),
    generation=False,
    subresources=(status_of("APIService"),),
    validate_name=path_segment,
    prepare_create=prepare_create,
    identify=identify,
    validate=validate,
    columns=(
        column("Service", _shown_service),
        column("Available", _shown_available),
        columns.AGE,
    ),
)
