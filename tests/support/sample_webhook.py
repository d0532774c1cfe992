"""The webhook of upstream's conformance tests (agnhost `webhook`) over TLS on this host, for hooks that are called by URL.

Its paths answer as agnhost's do; `/never` holds every request until the server is closed, `/late` answers after `LATE` seconds.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from minik import pki
from minik.clock import SystemClock

Obj = dict[str, Any]
LATE = 1.5
KEY = "webhook-e2e-test"
DISALLOW = "webhook-disallow"


class SampleWebhook:
    """Where it is, and whom a client has to believe."""

    def __init__(self, url: str, authority: bytes) -> None:
        self.url, self.bundle = url, base64.b64encode(authority).decode()

    def client(self, path: str) -> Obj:
        """A `clientConfig`."""
        return {"url": self.url + path, "caBundle": self.bundle}


def deny(why: str) -> Obj:
    return {"allowed": False, "status": {"message": why, "reason": why}}


def patched(*operations: Obj) -> Obj:
    if not operations:
        return {"allowed": True}
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def _add_label(request: Obj) -> Obj:
    labels = request["object"]["metadata"].get("labels") or {}
    return patched({"op": "add", "path": "/metadata/labels", "value": {**labels, "added-label": "yes"}})


def _pods(request: Obj) -> Obj:
    pod = request["object"]
    name = any(DISALLOW in each["name"] for each in pod["spec"]["containers"])
    label = (pod["metadata"].get("labels") or {}).get(KEY)
    why = "the pod contains unwanted container name; " * name + "the pod contains unwanted label; " * (
        label == DISALLOW
    )
    return deny(why) if why else {"allowed": True}


def _attach(request: Obj) -> Obj:
    is_it = request["name"] == "to-be-attached-pod" and request["object"].get("container") == "container1"
    return deny("attaching to pod 'to-be-attached-pod' is not allowed") if is_it else {"allowed": True}


def _config_maps(request: Obj) -> Obj:
    unwanted = (request["object"].get("data") or {}).get(KEY) == DISALLOW
    return deny("the configmap contains unwanted key and value") if unwanted else {"allowed": True}


def _custom(request: Obj) -> Obj:
    deletion = request["operation"] == "DELETE"
    value = (request["oldObject" if deletion else "object"].get("data") or {}).get(KEY)
    if value == DISALLOW and not deletion:
        return deny("the custom resource contains unwanted data")
    if value == "webhook-nondeletable" and deletion:
        return deny("the custom resource cannot be deleted because it contains unwanted key and value")
    return {"allowed": True}


def _definitions(request: Obj) -> Obj:
    unwanted = (request["object"]["metadata"].get("labels") or {}).get(KEY) == DISALLOW
    return deny("the crd contains unwanted label") if unwanted else {"allowed": True}


def _stages(request: Obj) -> Obj:
    data = request["object"].get("data") or {}
    steps = (("mutation-start", "mutation-stage-1"), ("mutation-stage-1", "mutation-stage-2"))
    return patched(
        *({"op": "add", "path": f"/data/{new}", "value": "yes"} for old, new in steps if data.get(old) == "yes")
    )


def _init_container(request: Obj) -> Obj:
    if request["object"]["metadata"]["name"] != "webhook-to-be-mutated":
        return {"allowed": True}
    container = {"name": "webhook-added-init-container", "image": "registry.test/init:1", "resources": {}}
    return patched({"op": "add", "path": "/spec/initContainers", "value": [container]})


ANSWERS: dict[str, Callable[[Obj], Obj]] = {
    "/always-deny": lambda _: deny("this webhook denies all requests"), "/late": lambda _: {"allowed": True},
    "/never": lambda _: {"allowed": True}, "/add-label": _add_label, "/pods": _pods, "/pods/attach": _attach,
    "/configmaps": _config_maps, "/custom-resource": _custom, "/crd": _definitions, "/mutating-configmaps": _stages,
    "/mutating-custom-resource": _stages, "/mutating-pods": _init_container,
}  # fmt: skip


@contextlib.contextmanager
def sample_webhook(directory: Path, more: Mapping[str, Callable[[Obj], Obj]] | None = None) -> Iterator[SampleWebhook]:
    """A webhook that is served for as long as the block lasts. `more`: answers of a test's own, by path."""
    answers, ending = {**ANSWERS, **(more or {})}, threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = self.path.partition("?")[0]
            if path in ("/never", "/late"):
                ending.wait(LATE if path == "/late" else None)
            response = {"uid": review["request"]["uid"], **answers[path](review["request"])}
            whole = {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
            body = json.dumps(whole).encode()
            with contextlib.suppress(OSError):  # who asked may have given up
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            pass

    now = SystemClock().now()
    authority = pki.new_ca(now=now, common_name="hooks")
    own = pki.new_server_certificate(authority, now=now, names=["127.0.0.1"])
    (directory / "crt").write_bytes(own.certificate)
    (directory / "key").write_bytes(own.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "crt", directory / "key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield SampleWebhook(f"https://127.0.0.1:{server.server_port}", authority.certificate)
    finally:
        ending.set()
        server.shutdown()
        server.server_close()
