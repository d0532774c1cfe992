"""CertificateSigningRequest, certificates.k8s.io/v1: somebody asks for a certificate, somebody approves, a signer signs.

Who asks is filled in by admission (`server/admission/certificates.py`), which also knows who may approve and sign. Source of the rules:
kubernetes `pkg/apis/certificates/validation`, `pkg/registry/certificates/certificates/strategy.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from minik.api import columns, times
from minik.api.columns import NONE, column
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, not_supported, required
from minik.api.kind import Kind, Subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name
from minik.api.validation_names import dns_subdomain

GROUP = "certificates.k8s.io"
RESOURCE = f"certificatesigningrequests.{GROUP}"
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
SHORTEST = 600
"""Seconds that a certificate is valid at least."""
_USAGES = frozenset({
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
})  # fmt: skip
_SPEC = Path("spec")
_CONDITIONS = Path("status").child("conditions")
_CERTIFICATE = Path("status").child("certificate")
_LEGACY = "kubernetes.io/legacy-unknown"
_ALWAYS_TRUE = frozenset({APPROVED, DENIED, FAILED})


def request_pem(csr: ROObj) -> bytes:
    """The request, PEM; empty if it is not even base64."""
    try:
        return base64.b64decode((csr.get("spec") or {}).get("request") or "")
    except binascii.Error:
        return b""


def signer(csr: ROObj) -> str:
    return (csr.get("spec") or {}).get("signerName") or ""


def certificate(csr: ROObj) -> str:
    """The issued certificate, base64 of PEM; "" while there is none."""
    return (csr.get("status") or {}).get("certificate") or ""


def conditions(csr: ROObj) -> Sequence[Mapping[str, Any]]:
    return (csr.get("status") or {}).get("conditions") or ()


def has(csr: ROObj, type_: str) -> bool:
    """Whether it was approved, denied, or has failed."""
    return any(condition.get("type") == type_ for condition in conditions(csr))


# --- validation ----------------------------------------------------------------------------------------------------------


def validate(csr: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = csr.get("spec") or {}
    _request(errors, csr)
    usages = spec.get("usages") or ()
    if not usages:
        errors.append(required(_SPEC.child("usages")))
    for number, usage in enumerate(usages):
        at = _SPEC.child("usages").index(number)
        if usage not in _USAGES:
            errors.append(not_supported(at, usage, sorted(_USAGES)))
        if usage in usages[:number]:
            errors.append(duplicate(at, usage))
    _signer(errors, _SPEC.child("signerName"), spec.get("signerName") or "")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SHORTEST:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid(_SPEC.child("expirationSeconds"), seconds, why))
    _check_conditions(errors, conditions(csr))
    return errors


def _request(errors: Errors, csr: ROObj) -> None:
    from minik import pki  # on first use: cryptography takes 85 ms to import

    try:
        pki.request_facts(request_pem(csr))
    except pki.BadCertificateRequest as error:
        errors.append(invalid(_SPEC.child("request"), (csr.get("spec") or {}).get("request") or "", str(error)))


def _signer(errors: Errors, path: Path, name: str) -> None:
    """validation.ValidateSignerName."""
    if not name:
        errors.append(required(path))
        return
    if name == _LEGACY:
        errors.append(invalid(path, name, "the legacy signerName is not allowed via this API version"))
        return
    segments = name.split("/")
    if len(segments) != 2:
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        errors.append(invalid(path, name, why))
        return
    for segment in segments:
        check_name(errors, path, segment, dns_subdomain)
    if "." not in segments[0]:
        errors.append(invalid(path, segments[0], "should be a domain with at least two segments separated by dots"))


def _check_conditions(errors: Errors, given: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for number, condition in enumerate(given):
        path, type_, status = _CONDITIONS.index(number), condition.get("type") or "", condition.get("status") or ""
        allowed = ("True",) if type_ in _ALWAYS_TRUE else ("False", "True", "Unknown")
        if not type_:
            errors.append(required(path.child("type")))
        if not status:
            errors.append(required(path.child("status")))
        elif status not in allowed:
            errors.append(not_supported(path.child("status"), status, allowed))
        other = {APPROVED: DENIED, DENIED: APPROVED}.get(type_)
        if other in seen:
            why = "Approved and Denied conditions are mutually exclusive"
            errors.append(invalid(path.child("type"), type_, why))
        if type_ in seen:
            errors.append(duplicate(path.child("type"), type_))
        seen.add(type_)


def _of(csr: ROObj, type_: str) -> list[Mapping[str, Any]]:
    return [condition for condition in conditions(csr) if condition.get("type") == type_]


def validate_change(new: ROObj, old: ROObj, *, approves: bool) -> list[FieldError]:
    """What an update through `status` (or, if it `approves`, through `approval`) may not change."""
    errors: Errors = []
    for type_ in (APPROVED, DENIED, FAILED):
        before, after = _of(old, type_), _of(new, type_)
        if len(after) < len(before):
            errors.append(field_forbidden(_CONDITIONS, f'updates may not remove a condition of type "{type_}"'))
        elif not approves and type_ != FAILED and len(after) > len(before):
            errors.append(field_forbidden(_CONDITIONS, f'updates may not add a condition of type "{type_}"'))
        elif not approves and type_ != FAILED and after != before:
            errors.append(field_forbidden(_CONDITIONS, f'updates may not modify a condition of type "{type_}"'))
    if certificate(new) != certificate(old):
        if approves:
            errors.append(field_forbidden(_CERTIFICATE, "updates may not set certificate content"))
        elif certificate(old):
            errors.append(field_forbidden(_CERTIFICATE, "updates may not modify existing certificate content"))
        else:
            _certificate(errors, certificate(new))
    return errors


def _certificate(errors: Errors, encoded: str) -> None:
    from minik import pki  # on first use: cryptography takes 85 ms to import

    try:
        pki.check_certificates(base64.b64decode(encoded))
    except (ValueError, binascii.Error) as error:
        errors.append(invalid(_CERTIFICATE, "<certificate data>", str(error)))


def validate_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors = validate_change(new, old, approves=False)
    _check_conditions(errors, conditions(new))
    return errors


def prepare_create(csr: Obj) -> None:
    csr["status"] = {}


def prepare_update(csr: Obj, old: ROObj) -> None:
    """What was asked for does not change."""
    csr["spec"] = old.get("spec") or {}


# --- columns -------------------------------------------------------------------------------------------------------------


def shown_condition(csr: ROObj) -> str:
    """`Approved,Issued` (printers' extractCSRStatus)."""
    shown = DENIED if has(csr, DENIED) else APPROVED if has(csr, APPROVED) else "Pending"
    return shown + ",Failed" * has(csr, FAILED) + ",Issued" * bool(certificate(csr))


def _duration(csr: ROObj) -> str:
    seconds = (csr.get("spec") or {}).get("expirationSeconds")
    return NONE if seconds is None else times.human_duration(timedelta(seconds=seconds))


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    singular="certificatesigningrequest",
    namespaced=False,
    schema="io.k8s.api.certificates.v1.CertificateSigningRequest",
    short_names=("csr",),
    subresources=(
        Subresource(name="approval", kind="CertificateSigningRequest"),
        status_of("CertificateSigningRequest"),
    ),
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
    columns=(
        columns.AGE,
        column("SignerName", lambda csr: signer(csr) or NONE),
        column("Requestor", lambda csr: (csr.get("spec") or {}).get("username") or ""),
        column("RequestedDuration", _duration),
        column("Condition", shown_condition),
    ),
    fields={"spec.signerName": signer},
    generation=False,
)
