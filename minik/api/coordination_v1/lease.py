"""Lease, coordination.k8s.io/v1. Node heartbeats (namespace kube-node-lease) need not survive the process."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column
from minik.api.kind import Kind

NODE_LEASES = "kube-node-lease"

KIND = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    singular="lease",
    namespaced=True,
    schema="io.k8s.api.coordination.v1.Lease",
    columns=(column("Holder", lambda lease: (lease.get("spec") or {}).get("holderIdentity") or ""), columns.AGE),
    is_durable=lambda namespace: namespace != NODE_LEASES,
    generation=False,
)
