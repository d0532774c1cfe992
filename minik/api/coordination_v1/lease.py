"""Lease, coordination.k8s.io/v1. Node heartbeats (namespace kube-node-lease) need not survive the process."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, non_negative

NODE_LEASES = "kube-node-lease"


def validate(lease: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec, path = lease.get("spec") or {}, Path("spec")
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0"))
    non_negative(errors, path.child("leaseTransitions"), spec.get("leaseTransitions"))
    return errors


KIND = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    singular="lease",
    namespaced=True,
    schema="io.k8s.api.coordination.v1.Lease",
    validate=validate,
    columns=(column("Holder", lambda lease: (lease.get("spec") or {}).get("holderIdentity") or ""), columns.AGE),
    is_durable=lambda namespace: namespace != NODE_LEASES,
    generation=False,
)
