"""NetworkPolicy, networking.k8s.io/v1: which traffic chosen pods take and send. Kept and validated; minik's nodes do not enforce it.

Validation: kubernetes `pkg/apis/networking/validation` (ValidateNetworkPolicy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, selectors
from minik.api.columns import column
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name, label_selector
from minik.api.validation_names import is_cidr, port_name, port_number

INGRESS, EGRESS = "Ingress", "Egress"
NOT_ENFORCED = "minik does not enforce NetworkPolicies yet: all traffic stays allowed"
_SPEC = Path("spec")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


def default(policy: Obj) -> None:
    """Without `policyTypes`: Ingress, and Egress if there are rules for it."""
    spec = policy.get("spec")
    if spec is not None and not spec.get("policyTypes"):
        spec["policyTypes"] = [INGRESS, EGRESS] if spec.get("egress") else [INGRESS]


def validate(policy: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = policy.get("spec") or {}
    label_selector(errors, _SPEC.child("podSelector"), spec.get("podSelector"))
    for direction, peers in _DIRECTIONS:
        for number, rule in enumerate(spec.get(direction) or ()):
            at = _SPEC.child(direction).index(number)
            for index, port in enumerate(rule.get("ports") or ()):
                _port(errors, at.child("ports").index(index), port)
            for index, peer in enumerate(rule.get(peers) or ()):
                _peer(errors, at.child(peers).index(index), peer)
    types = spec.get("policyTypes") or ()
    at = _SPEC.child("policyTypes")
    if len(types) > 2:
        return [*errors, invalid(at, list(types), "may not specify more than two policyTypes")]
    known = (EGRESS, INGRESS)
    errors += (not_supported(at.index(number), t, known) for number, t in enumerate(types) if t not in known)
    return errors


def _port(errors: Errors, path: Path, row: Mapping[str, Any]) -> None:
    if row.get("protocol") is not None and row["protocol"] not in _PROTOCOLS:
        errors.append(not_supported(path.child("protocol"), row["protocol"], _PROTOCOLS))
    port, end = row.get("port"), row.get("endPort")
    at, at_end = path.child("port"), path.child("endPort")
    if isinstance(port, int):
        errors += (invalid(at, port, problem) for problem in port_number(port))
        if end is not None:
            if end < port:
                errors.append(invalid(at_end, end, "must be greater than or equal to `port`"))
            errors += (invalid(at_end, end, problem) for problem in port_number(end))
        return
    if end is not None:
        why = "is not specified" if port is None else "is non-numeric"
        errors.append(invalid(at_end, end, f"may not be specified when `port` {why}"))
    if port is not None:
        check_name(errors, at, port, port_name)


def _peer(errors: Errors, path: Path, peer: Mapping[str, Any]) -> None:
    given = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(field) is not None]
    for field in given:
        if field == "ipBlock":
            _ip_block(errors, path.child(field), peer[field])
        else:
            label_selector(errors, path.child(field), peer[field])
    if not given:
        errors.append(required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        errors.append(field_forbidden(path, "may not specify both ipBlock and another peer"))


def _ip_block(errors: Errors, path: Path, block: Mapping[str, Any]) -> None:
    cidr = block.get("cidr") or ""
    if not cidr:
        errors.append(required(path.child("cidr")))
        return
    if not _check_cidr(errors, path.child("cidr"), cidr):
        return
    whole = ipaddress.ip_network(cidr, strict=False)
    for number, text in enumerate(block.get("except") or ()):
        at = path.child("except").index(number)
        if not _check_cidr(errors, at, text):
            continue
        part = ipaddress.ip_network(text, strict=False)
        if part.version != whole.version or not part.subnet_of(whole) or part == whole:  # type: ignore[arg-type]  # one family, then
            errors.append(invalid(at, text, "must be a strict subset of `cidr`"))


def _check_cidr(errors: Errors, path: Path, text: str) -> bool:
    if is_cidr(text):
        return True
    errors.append(invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
    return False


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    singular="networkpolicy",
    namespaced=True,
    schema="io.k8s.api.networking.v1.NetworkPolicy",
    short_names=("netpol",),
    default=default,
    validate=validate,
    warnings=lambda _policy: (NOT_ENFORCED,),
    columns=(
        column("Pod-Selector", lambda obj: selectors.format_label_selector((obj.get("spec") or {}).get("podSelector"))),
        columns.AGE,
    ),
)
