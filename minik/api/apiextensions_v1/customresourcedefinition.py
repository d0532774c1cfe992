"""CustomResourceDefinition, apiextensions.k8s.io/v1: a kind that somebody defines while the server runs.

What it defines is served by `minik/server/crd/`; names and conditions are in `names.py`, what makes a definition valid in
`validation.py` and `validation_schema.py`, the `Kind`s that it makes in `kinds.py`. These are imported when the first definition comes.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.columns import column
from minik.api.errors import FieldError
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj

RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"


def default(crd: Obj) -> None:
    """apiextensions `pkg/apis/apiextensions/v1/defaults.go`."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if kind and not names.get("singular"):
        names["singular"] = kind.lower()
    if kind and not names.get("listKind"):
        names["listKind"] = f"{kind}List"
    spec.setdefault("conversion", {"strategy": "None"})
    webhook = spec["conversion"].get("webhook") or {}
    service = (webhook.get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def _status(storage: str) -> Obj:
    return {
        "acceptedNames": {"plural": "", "kind": ""}, "conditions": [], "storedVersions": [storage] if storage else [],
    }  # fmt: skip


def _storage(crd: ROObj) -> str:
    versions = (crd.get("spec") or {}).get("versions") or ()
    return next((each.get("name", "") for each in versions if each.get("storage")), "")


def prepare_create(crd: Obj) -> None:
    crd["status"] = _status(_storage(crd))


def prepare_update(draft: Obj, _old: ROObj) -> None:
    """The version that is stored from now on is one of those that have been."""
    status = draft.get("status") or _status("")
    stored, current = list(status.get("storedVersions") or ()), _storage(draft)
    if current and current not in stored:
        stored.append(current)
    draft["status"] = {**status, "storedVersions": stored}


def validate(crd: ROObj) -> Sequence[FieldError]:
    from minik.api.apiextensions_v1.validation import validate as check

    return check(crd)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    from minik.api.apiextensions_v1.validation import validate_update as check

    return check(new, old)


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    from minik.api.apiextensions_v1.validation import validate_status as check

    return check(new)


def warnings(crd: ROObj) -> Sequence[str]:
    from minik.api.apiextensions_v1.validation import warnings as say

    return say(crd)


KIND = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    subresources=(status_of("CustomResourceDefinition"),),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
    cleanup_finalizer="customresourcecleanup.apiextensions.k8s.io",
    columns=(column("Created At", lambda crd: crd["metadata"].get("creationTimestamp", ""), type="date"),),
)
