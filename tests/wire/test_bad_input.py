"""Bad input over HTTPS gets the code, reason, causes and field paths that Kubernetes gives, and nothing is stored (issue 2, point 6).

The exact texts are pinned in tests/unit/server/test_bad_input.py; here is what a client sees on the wire, headers included, and what
kubectl says of it.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import Answer, Server, until

LIMIT = 3 * 1024 * 1024


def pod(name: str = "bad", **spec: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "registry.test/c"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def deployment(name: str = "bad", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "registry.test/c"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@dataclass
class Case:
    """A request that is refused. `causes`: (reason, field) of each; `message`: a part of it."""

    name: str
    resource: str
    body: Any
    code: int
    reason: str
    message: str
    causes: list[tuple[str, str]] = field(default_factory=list)
    query: str = ""

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("malformed JSON", "pods", b'{"kind": "Pod", }', 400, "BadRequest", "json parse error: invalid character '}'"),
    Case("cut-off JSON", "pods", b'{"kind": "Pod", "metadata"', 400, "BadRequest", "unexpected end of JSON input"),
    Case("empty body", "pods", b"", 400, "BadRequest", "couldn't get version/kind"),
    Case("unknown kind", "pods", {"apiVersion": "v1", "kind": "Pot", "metadata": {"name": "bad"}}, 400, "BadRequest",
         'no kind "Pot" is registered for version "v1"'),
    Case("another kind", "pods", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}}, 400, "BadRequest", "Pod"),
    Case("another version", "pods", pod() | {"apiVersion": "v9"}, 400, "BadRequest", "v9"),
    Case("unknown field, strict", "pods", pod(foo=1), 400, "BadRequest", 'unknown field "spec.foo"', query="?fieldValidation=Strict"),
    Case("wrong type", "deployments", deployment(replicas="three"), 400, "BadRequest", "cannot unmarshal string into Go struct field"),
    Case("invalid name", "pods", pod("Bad_Name"), 422, "Invalid", "a lowercase RFC 1123 subdomain must consist of",
         [("FieldValueInvalid", "metadata.name")]),
    Case("no name", "pods", {**pod(), "metadata": {}}, 422, "Invalid", "name or generateName is required",
         [("FieldValueRequired", "metadata.name")]),
    Case("missing required field", "pods", pod(containers=[]), 422, "Invalid", "Required value",
         [("FieldValueRequired", "spec.containers")]),
    Case("several at once", "pods",
         pod(containers=[{"name": "C", "image": ""}], restartPolicy="Sometimes"), 422, "Invalid", "",
         [("FieldValueInvalid", "spec.containers[0].name"), ("FieldValueRequired", "spec.containers[0].image"),
          ("FieldValueNotSupported", "spec.restartPolicy")]),
    Case("duplicate container", "pods", pod(containers=[{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]), 422, "Invalid",
         "Duplicate value", [("FieldValueDuplicate", "spec.containers[1].name")]),
    Case("mount without volume", "pods", pod(containers=[{"name": "c", "image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]),
         422, "Invalid", "Not found", [("FieldValueNotFound", "spec.containers[0].volumeMounts[0].name")]),
    Case("bad quantity", "pods", pod(containers=[{"name": "c", "image": "a", "resources": {"limits": {"cpu": "many"}}}]), 400, "BadRequest",
         "quantities must match the regular expression"),
    Case("request over limit", "pods",
         pod(containers=[{"name": "c", "image": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}]), 422, "Invalid",
         "must be less than or equal to cpu limit of 1", [("FieldValueInvalid", "spec.containers[0].resources.requests")]),
    Case("selector without its template", "deployments", deployment(selector={"matchLabels": {"app": "other"}}), 422, "Invalid",
         "`selector` does not match template `labels`", [("FieldValueInvalid", "spec.template.metadata.labels")]),
    Case("negative replicas", "deployments", deployment(replicas=-1), 422, "Invalid", "must be greater than or equal to 0",
         [("FieldValueInvalid", "spec.replicas")]),
    Case("service without ports", "services", {"metadata": {"name": "bad"}, "spec": {"selector": {"a": "b"}}}, 422, "Invalid",
         "Required value", [("FieldValueRequired", "spec.ports")]),
    Case("service port out of range", "services", {"metadata": {"name": "bad"}, "spec": {"ports": [{"port": 70000}]}}, 422, "Invalid",
         "must be between 1 and 65535", [("FieldValueInvalid", "spec.ports[0].port"), ("FieldValueInvalid", "spec.ports[0].targetPort")]),
    Case("secret that is no base64", "secrets", {"metadata": {"name": "bad"}, "data": {"a": "%%%"}}, 400, "BadRequest",
         "illegal base64 data"),
    Case("configmap key", "configmaps", {"metadata": {"name": "bad"}, "data": {"a b": ""}}, 422, "Invalid",
         "a valid config key must consist of alphanumeric characters", [("FieldValueInvalid", "data[a b]")]),
    Case("label value", "configmaps", {"metadata": {"name": "bad", "labels": {"a": "no spaces"}}}, 422, "Invalid",
         "a valid label must be an empty string or consist of", [("FieldValueInvalid", "metadata.labels")]),
    Case("resource version on create", "configmaps", {"metadata": {"name": "bad", "resourceVersion": "1"}}, 400, "BadRequest",
         "resourceVersion should not be set on objects to be created"),
    Case("namespace of another", "configmaps", {"metadata": {"name": "bad", "namespace": "other"}}, 400, "BadRequest",
         "the namespace of the provided object does not match the namespace sent on the request"),
]  # fmt: skip


def path(resource: str, namespace: str, name: str = "") -> str:
    group = "/apis/apps/v1" if resource == "deployments" else "/api/v1"
    return f"{group}/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def check_status(answer: Answer, code: int, reason: str) -> dict[str, Any]:
    """Every refusal is a Status that agrees with the response's own code."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.headers
    status: dict[str, Any] = answer.obj
    assert (answer.status, status["code"], status["reason"]) == (code, code, reason), status
    assert (status["kind"], status["apiVersion"], status["status"], status["metadata"]) == (
        "Status",
        "v1",
        "Failure",
        {},
    )
    return status


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused_create(server: Server, namespace: str, case: Case) -> None:
    before = stored(server, namespace)
    status = check_status(
        server.request("POST", path(case.resource, namespace) + case.query, case.body), case.code, case.reason
    )
    assert case.message in status["message"]
    causes = [(cause["reason"], cause["field"]) for cause in status.get("details", {}).get("causes", [])]
    assert sorted(causes) == sorted(case.causes)
    for cause in status.get("details", {}).get("causes", []):
        assert cause["message"]
        assert f"{cause['field']}: {cause['message']}" in status["message"]
    assert stored(server, namespace) == before


def stored(server: Server, namespace: str) -> dict[str, Any]:
    """What is in the namespace, apart from what every namespace gets by itself."""
    found = {}
    for resource in ("pods", "services", "configmaps", "secrets", "deployments"):
        for item in server.request("GET", path(resource, namespace)).obj["items"]:
            if item["metadata"]["name"] != "kube-root-ca.crt":
                found[resource, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
    return found


@pytest.mark.parametrize(("how", "warned"), [("", True), ("Warn", True), ("Ignore", False)])
def test_unknown_field_is_dropped(server: Server, namespace: str, how: str, warned: bool) -> None:
    body = {"metadata": {"name": "c"}, "data": {"a": "1"}, "dataa": {}}
    made = server.request("POST", path("configmaps", namespace) + f"?fieldValidation={how}", body)
    assert made.status == 201
    assert "dataa" not in made.obj
    assert made.headers.get("Warning") == ('299 - "unknown field \\"dataa\\""' if warned else None)
    assert "dataa" not in server.request("GET", path("configmaps", namespace, "c")).obj


class TestChanges:
    """To objects that exist: they stay as they were."""

    @pytest.fixture(autouse=True)
    def objects(self, server: Server, namespace: str) -> Iterator[None]:
        assert server.request("POST", path("deployments", namespace), deployment("web")).status == 201
        assert (
            server.request(
                "POST", path("configmaps", namespace), {"metadata": {"name": "c"}, "data": {"a": "1"}}
            ).status
            == 201
        )
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
        assert server.request("POST", path("services", namespace), service).status == 201

        def settled() -> bool:  # the deployment controller has written its status
            got = server.request("GET", path("deployments", namespace, "web")).obj
            return bool(got["status"].get("observedGeneration") == 1 and got["status"].get("conditions"))

        until(settled, "the deployment controller to have seen it")
        names = {("deployments", "web"), ("configmaps", "c"), ("services", "s")}
        before = {key: server.request("GET", path(key[0], namespace, key[1])).obj for key in names}
        yield
        for key in names:
            assert (
                server.request("GET", path(key[0], namespace, key[1])).obj["spec" if key[0] != "configmaps" else "data"]
                == (before[key]["spec" if key[0] != "configmaps" else "data"])
            )

    def patch(self, server: Server, url: str, body: Any, kind: str = "strategic-merge-patch") -> Answer:
        return server.request("PATCH", url, body, headers={"Content-Type": f"application/{kind}+json"})

    def test_conflict(self, server: Server, namespace: str) -> None:
        stale = {"metadata": {"name": "c", "resourceVersion": "1"}, "data": {"a": "2"}}
        status = check_status(server.request("PUT", path("configmaps", namespace, "c"), stale), 409, "Conflict")
        assert status["message"].startswith(
            'Operation cannot be fulfilled on configmaps "c": the object has been modified'
        )
        assert status["details"] == {"name": "c", "kind": "configmaps"}

    def test_exists_already(self, server: Server, namespace: str) -> None:
        again = server.request("POST", path("configmaps", namespace), {"metadata": {"name": "c"}})
        assert check_status(again, 409, "AlreadyExists")["details"] == {"name": "c", "kind": "configmaps"}

    def test_immutable_fields(self, server: Server, namespace: str) -> None:
        url = path("deployments", namespace, "web")
        change = {
            "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}
        }
        status = check_status(self.patch(server, url, change, "merge-patch"), 422, "Invalid")
        assert "field is immutable" in status["message"]
        assert [cause["field"] for cause in status["details"]["causes"]] == ["spec.selector"]
        address = self.patch(server, path("services", namespace, "s"), {"spec": {"clusterIP": "10.96.7.7"}})
        causes = check_status(address, 422, "Invalid")["details"]["causes"]
        assert {cause["field"] for cause in causes} == {"spec.clusterIPs[0]"}
        uid = self.patch(server, path("configmaps", namespace, "c"), {"metadata": {"uid": "another"}})
        check_status(uid, 409, "Conflict")

    def test_patches_that_do_not_apply(self, server: Server, namespace: str) -> None:
        url = path("deployments", namespace, "web")
        check_status(self.patch(server, url, b"[", "json-patch"), 400, "BadRequest")
        failed_test = [{"op": "test", "path": "/spec/replicas", "value": 7}]
        check_status(self.patch(server, url, failed_test, "json-patch"), 422, "Invalid")
        missing = [{"op": "remove", "path": "/spec/nothing"}]
        check_status(self.patch(server, url, missing, "json-patch"), 422, "Invalid")
        check_status(self.patch(server, url, {}, "no-such-patch"), 415, "UnsupportedMediaType")

    def test_what_is_not_there(self, server: Server, namespace: str) -> None:
        for method, name in (("GET", "nothing"), ("DELETE", "nothing")):
            status = check_status(server.request(method, path("pods", namespace, name)), 404, "NotFound")
            assert status["message"] == 'pods "nothing" not found'
            assert status["details"] == {"name": "nothing", "kind": "pods"}
        check_status(server.request("GET", "/apis/no.such.group/v1/things"), 404, "NotFound")
        check_status(
            server.request("POST", path("configmaps", "no-such-namespace"), {"metadata": {"name": "a"}}),
            404,
            "NotFound",
        )
        check_status(server.request("PUT", path("services", namespace), {}), 405, "MethodNotAllowed")


def test_body_over_the_limit(server: Server, namespace: str) -> None:
    body = json.dumps({"metadata": {"name": "big"}, "data": {"a": "x" * LIMIT}}).encode()
    status = check_status(server.request("POST", path("configmaps", namespace), body), 413, "RequestEntityTooLarge")
    assert status["message"] == "Request entity too large: limit is 3145728"
    check_status(server.request("GET", path("configmaps", namespace, "big")), 404, "NotFound")


def test_selectors_limits_and_versions(server: Server, namespace: str) -> None:
    pods = path("pods", namespace)
    for query in (
        "labelSelector=a%20b%20c",
        "fieldSelector=spec.nothing%3Da",
        "limit=many",
        "continue=nonsense",
        "watch=1&resourceVersion=x",
    ):
        assert server.request("GET", f"{pods}?{query}").status in (400, 422), query
    gone = server.request("GET", f"{pods}?watch=1&resourceVersion=1&timeoutSeconds=1")
    if gone.status == 200:  # a watch may also tell it as its first event
        event = json.loads(gone.body.splitlines()[0]) if gone.body else {"type": "NONE"}
        assert event["type"] in ("ERROR", "NONE", "BOOKMARK", "ADDED")
    else:
        check_status(gone, 410, "Expired")


def test_strangers_are_turned_away(server: Server) -> None:
    check_status(server.request("GET", "/api/v1/pods", admin=False), 401, "Unauthorized")
    bad_token = {"Authorization": "Bearer nonsense"}
    check_status(server.request("GET", "/api/v1/secrets", headers=bad_token, admin=False), 401, "Unauthorized")
    for open_path in ("/readyz", "/livez", "/healthz", "/version"):
        assert server.request("GET", open_path, admin=False).status == 200
    assert server.request("GET", "/metrics", admin=False).status in (401, 403)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_nonsense_on_the_wire(server: Server, nonsense: bytes) -> None:
    with (
        socket.create_connection((server.address, server.port), 30) as plain,
        server.context().wrap_socket(plain, server_hostname=server.address) as connection,
    ):
        connection.sendall(nonsense)
        with contextlib.suppress(OSError):  # refused with an answer, or by closing
            assert connection.recv(12) in (b"", b"HTTP/1.1 400", b"HTTP/1.0 400")
    assert server.request("GET", "/readyz").status == 200


@pytest.mark.kubectl
def test_what_kubectl_says(kubectl: Kubectl, tmp_path: Path) -> None:
    wrong = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: three, selectr: {}}\n"
    said = kubectl.fails("apply", "-f", "-", stdin=wrong)
    assert "strict decoding error" in said or "cannot unmarshal" in said or "unknown field" in said
    assert 'no matches for kind "Pot" in version "v1"' in kubectl.fails(
        "apply", "-f", "-", stdin="apiVersion: v1\nkind: Pot\nmetadata: {name: a}\n"
    )
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(pod("Bad_Name")))
    assert 'The Pod "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name"' in said
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(deployment(selector={"matchLabels": {"app": "x"}})))
    assert "`selector` does not match template `labels`" in said
    unknown = json.dumps(pod("p", foo=1))
    assert 'unknown field "spec.foo"' in kubectl.fails("create", "-f", "-", stdin=unknown)
    warned = kubectl.run("create", "--validate=warn", "-f", "-", stdin=unknown)
    assert warned.returncode == 0
    assert 'Warning: unknown field "spec.foo"' in warned.stderr
