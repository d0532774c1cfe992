"""ClusterRole, rbac.authorization.k8s.io/v1: what may be done in all namespaces, or wherever a RoleBinding names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.rbac_v1 import rules
from minik.api.rbac_v1.role import CREATED_AT
from minik.api.selectors import SelectorError, from_label_selector
from minik.api.validation import label_selector
from minik.api.validation_names import path_segment


def aggregated(role: ROObj) -> Sequence[Mapping[str, Any]] | None:
    """The selectors of the roles that it is made of; None for one with rules of its own."""
    rule = role.get("aggregationRule")
    return None if rule is None else rule.get("clusterRoleSelectors") or ()


def validate(role: ROObj) -> Sequence[FieldError]:
    errors = rules.validate(role, namespaced=False)
    selectors = aggregated(role)
    if selectors is None:
        return errors
    path = Path("aggregationRule").child("clusterRoleSelectors")
    if not selectors:
        errors.append(required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for number, selector in enumerate(selectors):
        at = path.index(number)
        label_selector(errors, at, selector)
        try:
            from_label_selector(selector)
        except SelectorError:
            errors.append(invalid(at, dict(selector), "invalid label selector."))
    return errors


KIND = Kind(
    group=rules.GROUP,
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    singular="clusterrole",
    namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRole",
    validate=validate,
    validate_name=path_segment,
    columns=(CREATED_AT,),
    generation=False,
)
