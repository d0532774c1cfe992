"""Admission: what may change or refuse a write by looking at other objects. The order below is meaning.

Each step is `Admission`: (core, draft, attributes); it changes the draft or raises. `BEFORE_VALIDATION` steps fill in;
`AFTER_VALIDATION` steps reserve things that a refused object must not take.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.server.admission.certificates import admit_certificate_decisions, admit_certificate_requests
from minik.server.admission.custom_kinds import admit_custom_kinds
from minik.server.admission.extended_resources import admit_extended_resources
from minik.server.admission.ingress_class import admit_ingress_class
from minik.server.admission.limit_ranger import admit_limit_defaults, admit_limits
from minik.server.admission.namespace_lifecycle import admit_namespace_lifecycle
from minik.server.admission.node_restriction import admit_node_restriction
from minik.server.admission.node_taints import admit_node_taints
from minik.server.admission.pod_priority import admit_pod_priority, admit_priority_class
from minik.server.admission.quota import admit_quota
from minik.server.admission.role_escalation import admit_role_escalation
from minik.server.admission.runtime_class import admit_runtime_class
from minik.server.admission.service_account import admit_service_account
from minik.server.admission.service_addresses import admit_service_addresses, admit_service_fields
from minik.server.admission.storage import admit_storage
from minik.server.admission.tolerations import admit_default_tolerations
from minik.server.core import Admission

BEFORE_VALIDATION: Sequence[Admission] = (
    admit_namespace_lifecycle,
    admit_custom_kinds,
    admit_limit_defaults,
    admit_service_account,
    admit_node_restriction,
    admit_node_taints,
    admit_extended_resources,
    admit_pod_priority,
    admit_default_tolerations,
    admit_runtime_class,
    admit_service_fields,
    admit_ingress_class,
    admit_storage,
    admit_certificate_requests,
)
AFTER_VALIDATION: Sequence[Admission] = (
    admit_role_escalation,
    admit_certificate_decisions,
    admit_priority_class,
    admit_service_addresses,
    admit_limits,
    admit_quota,
)
