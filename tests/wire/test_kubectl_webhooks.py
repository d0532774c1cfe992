"""Admission webhooks by stock kubectl: what a user sees when one says no, warns, changes something or is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.sample_webhook import patched, sample_webhook

pytestmark = pytest.mark.kubectl


def validate(request: dict[str, Any]) -> dict[str, Any]:
    """Refuses objects with `forbidden` in their data, and warns of all others."""
    if "forbidden" in request["object"].get("data", {}):
        return {"allowed": False, "status": {"message": "nobody may write this"}}
    return {"allowed": True, "warnings": ["somebody is watching"]}


def mutate(_request: dict[str, Any]) -> dict[str, Any]:
    return patched({"op": "add", "path": "/metadata/labels", "value": {"touched": "yes"}})


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(its URL, its authority in base64)."""
    with sample_webhook(tmp_path_factory.mktemp("hook"), {"/validate": validate, "/mutate": mutate}) as served:
        yield served.url, served.bundle


def configuration(kind: str, namespace: str, url: str, bundle: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": f"{namespace}-{kind.lower()}"},
        "webhooks": [{
            "name": f"{kind.lower()}.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url, "caBundle": bundle}, "timeoutSeconds": 5,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        }],
    }  # fmt: skip


def test_what_a_user_sees(kubectl: Kubectl, namespace: str, hook: tuple[str, str]) -> None:
    url, bundle = hook
    kinds = ("Validating", "Mutating")
    try:
        kubectl.apply(configuration("Validating", namespace, f"{url}/validate", bundle))
        kubectl.apply(configuration("Mutating", namespace, f"{url}/mutate", bundle))
        refused = kubectl.fails("create", "configmap", "a", "--from-literal=forbidden=1")
        assert 'admission webhook "validating.example.com" denied the request: nobody may write this' in refused
        made = kubectl.run("create", "configmap", "b", "--from-literal=x=1")
        assert (made.returncode, "Warning: somebody is watching" in made.stderr) == (0, True)
        assert kubectl.get("configmap", "b")["metadata"]["labels"] == {"touched": "yes"}
        listed = kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations")
        assert f"{namespace}-mutating" in listed and "WEBHOOKS" in listed
        gone = configuration("Validating", namespace, "https://127.0.0.1:9/validate", bundle)
        kubectl.apply(gone)
        assert 'failed calling webhook "validating.example.com"' in kubectl.fails("create", "configmap", "c")
        gone["webhooks"][0]["failurePolicy"] = "Ignore"
        kubectl.apply(gone)
        kubectl("create", "configmap", "c")
    finally:
        for kind in kinds:
            kubectl.run("delete", f"{kind.lower()}webhookconfiguration", f"{namespace}-{kind.lower()}")
