"""What bad input gets: code, reason, message, causes as Kubernetes answers them; and nothing is stored (issue 2, point 6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apiserver import Running
from tests.unit.server.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    MERGE,
    PODS,
    STRATEGIC,
    configmap,
    deployment,
    pod,
    send,
    status,
)


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    expected: dict[str, Any] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
    }  # fmt: skip
    if details:
        expected["details"] = details
    return {**expected, "code": code}


@pytest.fixture(autouse=True)
async def nothing_is_stored(run: Running) -> Any:
    before = await run.store.current_revision()
    yield
    assert await run.store.current_revision() == before


async def test_malformed_json(run: Running) -> None:
    got = await status(run, "POST", PODS, b'{"kind": "Pod", }')
    assert got == failure(
        400,
        "BadRequest",
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
        'invalid character \'}\' looking for beginning of object key string ({"kind": "Pod", })',
    )


async def test_unknown_kind(run: Running) -> None:
    got = await status(run, "POST", PODS, {"apiVersion": "v1", "kind": "Foo", "metadata": {"name": "a"}})
    assert got == failure(
        400,
        "BadRequest",
        'Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" in scheme '
        '"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"',
    )


async def test_unknown_resource(run: Running) -> None:
    got = await status(run, "GET", "/apis/apps/v1/namespaces/default/foos")
    assert got == failure(404, "NotFound", "the server could not find the requested resource")


async def test_unknown_field_strict(run: Running) -> None:
    body = pod()
    body["spec"]["foo"] = 1
    body["spec"]["containers"][0]["bar"] = 2
    got = await status(run, "POST", PODS + "?fieldValidation=Strict", body)
    assert (got["code"], got["reason"]) == (400, "BadRequest")
    prefix, _, rest = got["message"].partition("strict decoding error: ")
    assert prefix == 'Pod in version "v1" cannot be handled as a Pod: '
    assert set(rest.split(", ")) == {'unknown field "spec.containers[0].bar"', 'unknown field "spec.foo"'}


async def test_duplicate_field_strict(run: Running) -> None:
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"a":"1"},"data":{"a":"2"}}'
    got = await status(run, "POST", CONFIGMAPS + "?fieldValidation=Strict", body)
    assert got["message"] == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data"'
    )


async def test_strict_complaints_are_in_the_order_of_the_text(run: Running) -> None:
    head = b'{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"},"spec":'
    unknown, duplicate = 'unknown field "spec.odd"', 'duplicate field "spec.replicas"'
    for spec, complaints in (
        (b'{"odd":1,"replicas":2,"replicas":3}}', [unknown, duplicate]),
        (b'{"replicas":2,"replicas":3,"odd":1}}', [duplicate, unknown]),
        (b'{"replicas":2,"odd":1,"replicas":3}}', [unknown, duplicate]),
    ):
        got = await status(run, "POST", DEPLOYMENTS + "?fieldValidation=Strict", head + spec)
        assert got["message"].endswith(f"strict decoding error: {', '.join(complaints)}")
    text = b"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {odd: 1, replicas: 2, replicas: 3}\n"
    path = DEPLOYMENTS + "?fieldValidation=Strict"
    got = await status(run, "POST", path, text, content_type="application/yaml")
    assert (got["code"], "strict decoding error: " in got["message"], unknown in got["message"]) == (400, True, True)


@pytest.mark.parametrize("how", ["", "Warn", "Ignore"])
async def test_unknown_field_warn_and_ignore(run: Running, how: str) -> None:
    body = {**configmap("a"), "datas": {}}
    response, request = await send(run, "POST", f"{CONFIGMAPS}?dryRun=All&fieldValidation={how}", body)
    assert response.status == 201
    assert request.warnings == ([] if how == "Ignore" else ['unknown field "datas"'])
    assert response.obj is not None
    assert "datas" not in response.obj


async def test_wrong_field_validation_directive(run: Running) -> None:
    got = await status(run, "POST", CONFIGMAPS + "?fieldValidation=Foo", configmap("a"))
    assert (got["code"], got["reason"]) == (422, "Invalid")


async def test_wrong_type(run: Running) -> None:
    got = await status(run, "POST", DEPLOYMENTS, deployment(replicas="three"))
    assert got == failure(
        400,
        "BadRequest",
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field '
        "DeploymentSpec.spec.replicas of type int32",
    )


async def test_invalid_name(run: Running) -> None:
    got = await status(run, "POST", PODS, pod("Web_1"))
    why = (
        'Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '
        "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
    assert got == failure(
        422,
        "Invalid",
        f'Pod "Web_1" is invalid: metadata.name: {why}',
        {
            "name": "Web_1",
            "kind": "Pod",
            "causes": [{"reason": "FieldValueInvalid", "message": why, "field": "metadata.name"}],
        },
    )


async def test_missing_required_field(run: Running) -> None:
    got = await status(run, "POST", PODS, pod(containers=[]))
    assert got == failure(
        422,
        "Invalid",
        'Pod "web" is invalid: spec.containers: Required value',
        {
            "name": "web",
            "kind": "Pod",
            "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}],
        },
    )


async def test_selector_does_not_match_template(run: Running) -> None:
    got = await status(run, "POST", DEPLOYMENTS, deployment(selector={"matchLabels": {"app": "other"}}))
    assert (got["code"], got["reason"]) == (422, "Invalid")
    assert got["message"] == (
        'Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not '
        "match template `labels`"
    )
    assert got["details"]["causes"][0]["field"] == "spec.template.metadata.labels"
    assert got["details"]["group"] == "apps"


async def test_body_must_agree_with_url(run: Running) -> None:
    got = await status(run, "POST", PODS, {**pod(), "metadata": {"name": "a", "namespace": "other"}})
    assert got["message"] == "the namespace of the provided object does not match the namespace sent on the request"
    got = await status(run, "PUT", PODS + "/b", pod("a"))
    assert got["message"] == "the name of the object (a) does not match the name on the URL (b)"


async def test_no_such_namespace(run: Running) -> None:
    got = await status(run, "POST", "/api/v1/namespaces/nope/configmaps", configmap("a"))
    assert got == failure(404, "NotFound", 'namespaces "nope" not found', {"name": "nope", "kind": "namespaces"})


async def test_media_types(run: Running) -> None:
    got = await status(run, "POST", PODS, b"x", content_type="text/plain")
    assert (got["code"], got["reason"]) == (415, "UnsupportedMediaType")
    assert got["message"].startswith(
        "the body of the request was in an unknown format - accepted media types include: "
    )
    got = await status(run, "GET", PODS, headers={"Accept": "text/html"})
    assert got == failure(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf",
    )


async def test_a_review_is_no_table(run: Running) -> None:
    """The row "API metadata HTTP return"."""
    review = {"spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    got = await status(run, "POST", path, review, headers={"Accept": table})
    assert (got["code"], got["reason"]) == (406, "NotAcceptable")


async def test_unsupported_field_selector(run: Running) -> None:
    got = await status(run, "GET", PODS + "?fieldSelector=spec.foo=a")
    assert got == failure(400, "BadRequest", "field label not supported: spec.foo")


class TestUpdates:
    @pytest.fixture(autouse=True)
    async def nothing_is_stored(self, run: Running) -> Any:
        await run.local().request("POST", DEPLOYMENTS, body=deployment())
        await run.local().request("POST", CONFIGMAPS, body=configmap(a="1"))
        before = await run.store.current_revision()
        yield
        assert await run.store.current_revision() == before

    async def test_immutable_field(self, run: Running) -> None:
        patch = {
            "spec": {
                "selector": {"matchLabels": {"app": "x"}},
                "template": {"metadata": {"labels": {"app": "x"}}},
            }
        }
        got = await status(run, "PATCH", DEPLOYMENTS + "/web", patch, content_type=MERGE)
        assert (got["code"], got["reason"]) == (422, "Invalid")
        assert got["message"] == (
            'Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'
        )

    async def test_conflict(self, run: Running) -> None:
        stale = {**configmap(a="2"), "metadata": {"name": "c", "resourceVersion": "1"}}
        got = await status(run, "PUT", CONFIGMAPS + "/c", stale)
        assert got == failure(
            409,
            "Conflict",
            'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the '
            "latest version and try again",
            {"name": "c", "kind": "configmaps"},
        )

    async def test_already_exists(self, run: Running) -> None:
        got = await status(run, "POST", CONFIGMAPS, configmap())
        details = {"name": "c", "kind": "configmaps"}
        assert got == failure(409, "AlreadyExists", 'configmaps "c" already exists', details)

    async def test_patch_to_nonsense(self, run: Running) -> None:
        got = await status(run, "PATCH", CONFIGMAPS + "/c", {"data": {"a": 1}}, content_type=STRATEGIC)
        assert (got["code"], got["reason"]) == (422, "Invalid")
        assert got["details"]["causes"][0]["field"] == "patch"

    async def test_patch_of_another_type(self, run: Running) -> None:
        got = await status(run, "PATCH", CONFIGMAPS + "/c", {}, content_type="application/json")
        assert (got["code"], got["reason"]) == (415, "UnsupportedMediaType")

    async def test_unknown_field_in_a_strict_patch(self, run: Running) -> None:
        url = CONFIGMAPS + "/c?fieldValidation=Strict"
        got = await status(run, "PATCH", url, {"foo": 1}, content_type=MERGE)
        assert got["code"] == 422
        assert 'unknown field "foo"' in got["message"]

    async def test_no_change_is_no_write(self, run: Running) -> None:
        api = run.local()
        before = await api.request("GET", CONFIGMAPS + "/c")
        after = await api.request("PATCH", CONFIGMAPS + "/c", body={"data": {"a": "1"}}, content_type=MERGE)
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    async def test_dry_run(self, run: Running) -> None:
        api = run.local()
        got = await api.request("DELETE", CONFIGMAPS + "/c", query={"dryRun": "All"})
        assert got["status"] == "Success"
        patched = await api.request(
            "PATCH", CONFIGMAPS + "/c", body={"data": {"b": "2"}}, content_type=MERGE, query={"dryRun": "All"}
        )
        assert patched["data"] == {"a": "1", "b": "2"}
