"""RoleBinding, rbac.authorization.k8s.io/v1: gives a role to users, groups and service accounts in one namespace."""

from __future__ import annotations

from minik.api.kind import Kind
from minik.api.rbac_v1 import subjects
from minik.api.rbac_v1.rules import GROUP
from minik.api.validation_names import path_segment

KIND = Kind(
    group=GROUP,
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    singular="rolebinding",
    namespaced=True,
    schema="io.k8s.api.rbac.v1.RoleBinding",
    default=subjects.default,
    validate=lambda binding: subjects.validate(binding, namespaced=True),
    validate_update=subjects.validate_update,
    validate_name=path_segment,
    columns=subjects.COLUMNS,
    generation=False,
)
