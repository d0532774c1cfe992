"""Ingress, networking.k8s.io/v1. Validation: kubernetes `pkg/apis/networking/validation` (ValidateIngress)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, meta
from minik.api.columns import NONE, column
from minik.api.errors import FieldError, Path, invalid, not_supported, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name
from minik.api.validation_names import (
    dns_label,
    dns_subdomain,
    ip,
    is_ip,
    path_segment,
    port_name,
    port_number,
    wildcard_subdomain,
)

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
SPEC = Path("spec")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_NOT_AN_IP = "must be a DNS name, not an IP address"


def validate(ingress: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = ingress.get("spec") or {}
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        errors.append(invalid(SPEC, list(rules), "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        _backend(errors, SPEC.child("defaultBackend"), backend)
    for number, rule in enumerate(rules):
        at = SPEC.child("rules").index(number)
        _host(errors, at.child("host"), rule.get("host") or "", is_rule=True)
        if rule.get("http") is not None:
            _paths(errors, at.child("http").child("paths"), rule["http"].get("paths") or ())
    for number, tls in enumerate(spec.get("tls") or ()):
        at = SPEC.child("tls").index(number)
        for index, host in enumerate(tls.get("hosts") or ()):
            _host(errors, at.child("hosts").index(index), host, is_rule=False)
        if tls.get("secretName"):
            check_name(errors, at.child("secretName"), tls["secretName"], dns_subdomain)
    if spec.get("ingressClassName") is not None:
        check_name(errors, SPEC.child("ingressClassName"), spec["ingressClassName"], dns_subdomain)
    if not ingress["metadata"].get("resourceVersion"):
        _class_annotation(errors, ingress)
    return errors


def _class_annotation(errors: Errors, ingress: ROObj) -> None:
    """In a new object the old annotation may not contradict the field that replaced it."""
    asked, named = meta.annotations(ingress).get(CLASS_ANNOTATION), (ingress.get("spec") or {}).get("ingressClassName")
    if asked is not None and named is not None and asked != named:
        path = Path("annotations").child(CLASS_ANNOTATION)
        errors.append(invalid(path, asked, "must match `ingressClassName` when both are specified"))


def _host(errors: Errors, path: Path, host: str, *, is_rule: bool) -> None:
    if is_rule:
        if not host:
            return
        if is_ip(host):
            errors.append(invalid(path, host, _NOT_AN_IP))
    check_name(errors, path, host, wildcard_subdomain if "*" in host else dns_subdomain)


def _paths(errors: Errors, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        errors.append(required(path))
    for number, row in enumerate(rows):
        _path(errors, path.index(number), row)


def _path(errors: Errors, at: Path, row: Mapping[str, Any]) -> None:
    kind, text = row.get("pathType"), row.get("path") or ""
    if kind is None:
        errors.append(required(at.child("pathType"), "pathType must be specified"))
        return
    if kind not in _PATH_TYPES:
        errors.append(not_supported(at.child("pathType"), kind, _PATH_TYPES))
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        errors.append(invalid(at.child("path"), text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        for bad in _BAD_SEQUENCES:
            if bad in text:
                errors.append(invalid(at.child("path"), text, f"must not contain '{bad}'"))
        for bad in _BAD_ENDS:
            if text.endswith(bad):
                errors.append(invalid(at.child("path"), text, f"cannot end with '{bad}'"))
    _backend(errors, at.child("backend"), row.get("backend") or {})


def _backend(errors: Errors, path: Path, backend: Mapping[str, Any]) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.append(invalid(path, "", "cannot set both resource and service backends"))
    elif resource is not None:
        object_reference(errors, path.child("resource"), resource)
    elif service is not None:
        _service(errors, path, service)
    else:
        errors.append(invalid(path, "", "resource or service backend is required"))


def _service(errors: Errors, path: Path, service: Mapping[str, Any]) -> None:
    at, name = path.child("service"), service.get("name") or ""
    if not name:
        errors.append(required(at.child("name")))
    else:
        check_name(errors, at.child("name"), name, dns_label)
    port = service.get("port") or {}
    named, number = port.get("name") or "", port.get("number") or 0
    if named and number:
        errors.append(invalid(path, "", "cannot set both port name & port number"))
    elif named:
        check_name(errors, at.child("port").child("name"), named, port_name)
    elif number:
        errors += (invalid(at.child("port").child("number"), number, problem) for problem in port_number(number))
    else:
        errors.append(required(path, "port name or number is required"))


def object_reference(errors: Errors, path: Path, reference: Mapping[str, Any]) -> None:
    """A reference to an object by group, kind and name."""
    if reference.get("apiGroup") is not None:
        check_name(errors, path.child("apiGroup"), reference["apiGroup"], dns_subdomain)
    for field in ("kind", "name"):
        if not reference.get(field):
            errors.append(required(path.child(field)))
        else:
            check_name(errors, path.child(field), reference[field], path_segment)


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    balancer = (new.get("status") or {}).get("loadBalancer") or {}
    for number, row in enumerate(balancer.get("ingress") or ()):
        at = Path("status").child("loadBalancer").child("ingress").index(number)
        if row.get("ip"):
            check_name(errors, at.child("ip"), row["ip"], ip)
        if row.get("hostname"):
            check_name(errors, at.child("hostname"), row["hostname"], dns_subdomain)
            if is_ip(row["hostname"]):
                errors.append(invalid(at.child("hostname"), row["hostname"], _NOT_AN_IP))
    return errors


def prepare_create(ingress: Obj) -> None:
    ingress["status"] = {"loadBalancer": {}}


def _class(ingress: ROObj) -> str:
    named = (ingress.get("spec") or {}).get("ingressClassName")
    return named or meta.annotations(ingress).get(CLASS_ANNOTATION) or NONE


def _hosts(ingress: ROObj) -> str:
    hosts = [rule["host"] for rule in (ingress.get("spec") or {}).get("rules") or () if rule.get("host")]
    return columns.join_some(hosts, 3) if hosts else "*"


def _address(ingress: ROObj) -> str:
    rows = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(sorted({row.get("ip") or row.get("hostname") or "" for row in rows} - {""}))


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    singular="ingress",
    namespaced=True,
    schema="io.k8s.api.networking.v1.Ingress",
    short_names=("ing",),
    subresources=(status_of("Ingress"),),
    prepare_create=prepare_create,
    validate=validate,
    validate_status=validate_status,
    columns=(
        column("Class", _class),
        column("Hosts", _hosts),
        column("Address", _address),
        column("Ports", lambda ingress: "80, 443" if (ingress.get("spec") or {}).get("tls") else "80"),
        columns.AGE,
    ),
)
