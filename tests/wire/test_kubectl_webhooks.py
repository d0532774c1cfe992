"""Admission webhooks by stock kubectl: what a user sees when one says no, warns, changes something or is away."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minik import pki
from minik.clock import SystemClock
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.kubectl


class Hook(BaseHTTPRequestHandler):
    """`/validate` refuses objects labelled `forbidden`, and warns of all; `/mutate` labels them."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if self.path.startswith("/mutate"):
            patch = [{"op": "add", "path": "/metadata/labels", "value": {"touched": "yes"}}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        elif "forbidden" in request["object"].get("data", {}):
            response |= {"allowed": False, "status": {"message": "nobody may write this"}}
        else:
            response["warnings"] = ["somebody is watching"]
        body = json.dumps(
            {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(its URL, its authority in base64)."""
    directory, now = Path(tmp_path_factory.mktemp("hook")), SystemClock().now()
    authority = pki.new_ca(now=now, common_name="hooks")
    own = pki.new_server_certificate(authority, now=now, names=["127.0.0.1"])
    (directory / "crt").write_bytes(own.certificate)
    (directory / "key").write_bytes(own.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "crt", directory / "key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", base64.b64encode(authority.certificate).decode()
    server.shutdown()
    server.server_close()


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
