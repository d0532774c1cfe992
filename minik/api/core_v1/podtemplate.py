"""PodTemplate, core/v1: a pod template under a name. No controller of minik or Kubernetes reads it. Validation: ValidatePodTemplate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, Path
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors
from minik.api.validation_pod import pod_template


def _template(obj: ROObj) -> Mapping[str, Any]:
    return obj.get("template") or {}


def default(obj: Obj) -> None:
    default_template(obj.get("template"))


def validate(obj: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    pod_template(errors, Path("template"), _template(obj))
    return errors


KIND = Kind(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    singular="podtemplate",
    namespaced=True,
    schema="io.k8s.api.core.v1.PodTemplate",
    default=default,
    validate=validate,
    columns=(
        *(dataclasses.replace(each, priority=0) for each in columns.containers_columns(_template)),
        column("Pod Labels", lambda obj: columns.format_labels((_template(obj).get("metadata") or {}).get("labels"))),
    ),
)
