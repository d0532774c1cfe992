"""MutatingWebhookConfiguration, admissionregistration.k8s.io/v1. What its webhooks do is in `server/webhooks/`."""

from __future__ import annotations

from minik.api import columns
from minik.api.admissionregistration_v1.webhooks import GROUP, validate_webhooks
from minik.api.columns import column
from minik.api.kind import Kind

KIND = Kind(
    group=GROUP,
    version="v1",
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    singular="mutatingwebhookconfiguration",
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    categories=("api-extensions",),
    validate=validate_webhooks,
    columns=(column("Webhooks", lambda obj: len(obj.get("webhooks") or ()), type="integer"), columns.AGE),
)
