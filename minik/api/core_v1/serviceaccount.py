"""ServiceAccount, core/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column
from minik.api.kind import Kind, Subresource

KIND = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    singular="serviceaccount",
    namespaced=True,
    schema="io.k8s.api.core.v1.ServiceAccount",
    short_names=("sa",),
    subresources=(
        Subresource(name="token", kind="TokenRequest", group="authentication.k8s.io", version="v1", verbs=("create",)),
    ),
    columns=(column("Secrets", lambda account: len(account.get("secrets") or ())), columns.AGE),
    generation=False,
)
