"""Role, rbac.authorization.k8s.io/v1: what may be done in one namespace."""

from __future__ import annotations

from minik.api.columns import column
from minik.api.kind import Kind
from minik.api.rbac_v1 import rules
from minik.api.validation_names import path_segment

CREATED_AT = column("Created At", lambda role: role["metadata"].get("creationTimestamp") or "")

KIND = Kind(
    group=rules.GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    singular="role",
    namespaced=True,
    schema="io.k8s.api.rbac.v1.Role",
    validate=lambda role: rules.validate(role, namespaced=True),
    validate_name=path_segment,
    columns=(CREATED_AT,),
    generation=False,
)
