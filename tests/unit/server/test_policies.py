"""Admission policies: what their expressions may say, which writes they concern, what they refuse and what they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from minik.api.admissionregistration_v1.expressions import as_maps
from minik.api.errors import Invalid, StatusError
from minik.api.meta import Obj
from minik.client.client import Client
from tests.support.apiserver import running

GROUP = "admissionregistration.k8s.io"
CONFIG_MAPS = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["configmaps"],
    "operations": ["CREATE", "UPDATE"],
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running() as run:
        yield Client(run.local(), run.server.registry)


async def policy(
    client: Client, *validations: Obj | str, name: str = "p", binding: Obj | None = None, actions: str = "Deny", **spec: Any
) -> None:  # fmt: skip
    """A validating policy and its binding."""
    held = [{"expression": each} if isinstance(each, str) else each for each in validations]
    spec = {"matchConstraints": {"resourceRules": [CONFIG_MAPS]}, "validations": held, **spec}
    await client.create(f"validatingadmissionpolicies.{GROUP}", {"metadata": {"name": name}, "spec": spec})
    bound = {"policyName": name, "validationActions": actions.split(","), **(binding or {})}
    await client.create(
        f"validatingadmissionpolicybindings.{GROUP}", {"metadata": {"name": f"{name}-b"}, "spec": bound}
    )


async def mutation(client: Client, *mutations: Obj | str, name: str = "m", **spec: Any) -> None:
    """A mutating policy and its binding."""
    held = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": each}} if isinstance(each, str) else each
        for each in mutations
    ]  # fmt: skip
    spec = {
        "matchConstraints": {"resourceRules": [CONFIG_MAPS]}, "mutations": held, "reinvocationPolicy": "Never", **spec,
    }  # fmt: skip
    await client.create(f"mutatingadmissionpolicies.{GROUP}", {"metadata": {"name": name}, "spec": spec})
    await client.create(
        f"mutatingadmissionpolicybindings.{GROUP}", {"metadata": {"name": f"{name}-b"}, "spec": {"policyName": name}}
    )


def json_patch(expression: str) -> Obj:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def config_map(client: Client, name: str = "a", data: Obj | None = None, **metadata: Any) -> Any:
    meta = {"name": name, "namespace": "default", **metadata}
    return await client.create("configmaps", {"metadata": meta, "data": data or {}})


async def refused(client: Client, name: str = "a", data: Obj | None = None, **metadata: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await config_map(client, name, data, **metadata)
    return caught.value


# --- expressions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "maps"),
    [
        ("object.spec.replicas > 1", "object.spec.replicas > 1"),
        ("Object{spec: Object.spec{replicas: 1}}", '{ "spec": { "replicas": 1 } }'),
        (
            'Object{ metadata: Object.metadata{ labels: {"a: b{": x} } }',
            '{ "metadata": { "labels": { "a: b{" : x } } }',
        ),
        ("Object{spec: Object.spec{?x: object.?y, a: has(object.z) ? [1, 2] : []}}",
         '{ "spec": { ?"x": object.?y , "a": has ( object.z ) ? [ 1 , 2 ] : [ ] } }'),
        ("""[JSONPatch{op: 'add', path: "/a", value: Object.b{__namespace__: 1, a__dash__b: 2}}]""",
         """[ { "op": 'add' , "path": "/a" , "value": { "namespace": 1 , "a-b": 2 } } ]"""),
        ("myObject{a: 1}", "myObject { a: 1 }"),
    ],
)  # fmt: skip
def test_objects_are_written_as_maps(text: str, maps: str) -> None:
    assert as_maps(text).split() == maps.split()


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"validations": [{"expression": "object.x =="}]}, "spec.validations[0].expression: Invalid value"),
        ({"validations": [{"expression": "'text'"}]}, "must evaluate to bool"),
        ({"validations": [{"expression": "params.x == 1"}]}, "undeclared reference to 'params.x'"),
        ({"validations": [{"expression": "variables.x == 1"}]}, "undefined field 'x'"),
        ({"validations": []}, "spec.validations: Required value: validations or auditAnnotations must contain at least one item"),
        ({"validations": [{"expression": "true", "reason": "Other"}]}, 'spec.validations[0].reason: Unsupported value: "Other"'),
        ({"variables": [{"name": "a b", "expression": "1"}]}, "spec.variables[0].name: Invalid value: \"a b\": name is not"),
        ({"matchConstraints": {}}, "spec.matchConstraints.resourceRules: Required value"),
        ({"matchConditions": [{"name": "x", "expression": "1 +"}]}, "spec.matchConditions[0].expression: Invalid value"),
        ({"paramKind": {"apiVersion": "v1"}}, "spec.paramKind.kind: Required value"),
    ],
)  # fmt: skip
async def test_policies_that_make_no_sense(client: Client, spec: Obj, where: str) -> None:
    with pytest.raises(Invalid) as caught:
        await policy(client, "true", **spec)
    assert where in caught.value.message


async def test_bindings_that_make_no_sense(client: Client) -> None:
    for binding, where in (
        ({"validationActions": ["Deny", "Warn"]}, "must not contain both Deny and Warn"),
        ({"validationActions": []}, "spec.validationActions: Required value: at least one validation action is required"),
        ({"paramRef": {}}, "spec.paramRef: Required value: one of name or selector must be specified"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=where):
            await policy(client, "true", binding=binding, name=f"p{len(where)}")


# --- validating ---------------------------------------------------------------------------------------------------


async def test_a_policy_refuses_at_once_and_only_where_it_is_bound(client: Client) -> None:
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}
    await client.create("namespaces", {"metadata": {"name": "other"}})
    await policy(client, "size(object.data) < 2", binding={"matchResources": selector})
    await config_map(client, "fits", {"a": "1"})
    error = await refused(client, "big", {"a": "1", "b": "2"})
    assert (error.status_code, error.status_reason) == (422, "Invalid")
    assert error.message == (
        "configmaps \"big\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: "
        "failed expression: size(object.data) < 2"
    )
    await client.create("configmaps", {"metadata": {"name": "big", "namespace": "other"}, "data": {"a": "1", "b": "2"}})
    with pytest.raises(StatusError):
        await client.patch("configmaps", "fits", "default", {"data": {"b": "2"}})
    await client.delete(f"validatingadmissionpolicybindings.{GROUP}", "p-b")
    await config_map(client, "big", {"a": "1", "b": "2"})


async def test_messages_and_reasons(client: Client) -> None:
    await policy(
        client,
        {"expression": "!('a' in object.data)", "message": "no a", "reason": "Forbidden"},
        {"expression": "!('b' in object.data)", "messageExpression": "'b is ' + object.data.b"},
        {"expression": "!('c' in object.data)", "messageExpression": "object.data.missing", "message": "fallback"},
        {"expression": "object.data.d != 'x'", "message": "never said"},
    )
    assert ((error := await refused(client, data={"a": "", "d": ""})).status_code, error.message[-5:]) == (403, " no a")
    assert (await refused(client, data={"b": "bad", "d": ""})).message.endswith("b is bad")
    assert (await refused(client, data={"c": "", "d": ""})).message.endswith("fallback")
    why = "expression 'object.data.d != 'x'' resulted in error: "
    said = (await refused(client, data={"e": ""})).message
    assert said.endswith(f"{why}no such key: d"), "what has no answer is a no"


async def test_what_cannot_be_answered_may_be_ignored(client: Client) -> None:
    await policy(client, "object.data.d == 'x'", "object.data.e == 'y'", failurePolicy="Ignore")
    await config_map(client)
    await refused(client, "b", {"d": "other", "e": "y"})


async def test_variables_are_evaluated_when_they_are_used(client: Client) -> None:
    variables = [
        {"name": "count", "expression": "size(object.data)"},
        {"name": "even", "expression": "variables.count % 2 == 0"},
        {"name": "broken", "expression": "object.data.missing"},
    ]
    await policy(client, "variables.even || variables.broken == 'x'", variables=variables)
    await config_map(client, data={"a": "1", "b": "2"})
    assert "missing" in (await refused(client, "odd", {"a": "1"})).message


async def test_conditions_names_operations_and_exceptions(client: Client) -> None:
    rules = [{**CONFIG_MAPS, "operations": ["CREATE", "DELETE"]}]
    await policy(
        client, "request.operation == 'CREATE' ? object.metadata.name != 'no' : oldObject.metadata.name != 'kept'",
        matchConstraints={
            "resourceRules": rules, "excludeResourceRules": [{**CONFIG_MAPS, "resourceNames": ["excepted"]}],
        },
        matchConditions=[{"name": "not-mine", "expression": "request.userInfo.username != 'nobody'"},
                         {"name": "not-free", "expression": "request.name != 'free'"}],
        variables=[], auditAnnotations=[{"key": "seen", "valueExpression": "'x'"}],
    )  # fmt: skip
    await refused(client, "no")
    await config_map(client, "kept")
    with pytest.raises(Invalid):
        await client.delete("configmaps", "kept", "default")
    await config_map(client, "free")
    await client.delete("configmaps", "free", "default")


async def test_parameters_come_from_objects(client: Client) -> None:
    ref = {"name": "limits", "parameterNotFoundAction": "Deny"}
    await policy(
        client, "size(object.data) <= int(params.data.most)", paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": ref}, matchConditions=[{"name": "others", "expression": "object.metadata.name != 'limits'"}],
    )  # fmt: skip
    assert "no params found for policy binding with `Deny` parameterNotFoundAction" in (await refused(client)).message
    await client.delete(f"validatingadmissionpolicybindings.{GROUP}", "p-b")
    await config_map(client, "limits", {"most": "1"}, labels={"limits": "yes"})
    spec = {
        "policyName": "p",
        "validationActions": ["Deny"],
        "paramRef": {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Allow"},
    }
    await client.create(f"validatingadmissionpolicybindings.{GROUP}", {"metadata": {"name": "by-label"}, "spec": spec})
    await config_map(client, "fits", {"a": ""})
    await refused(client, "big", {"a": "", "b": ""})
    await client.patch("configmaps", "limits", "default", {"data": {"most": "2"}})
    await config_map(client, "big", {"a": "", "b": ""})


async def test_texts_and_fields_called_variables_are_none(client: Client) -> None:
    await policy(client, "true || 'see variables.foo' == '' // variables.bar", name="text")
    await policy(client, "!has(object.spec) || object.spec. variables.foo == 1", name="field")
    await config_map(client)


async def test_conditions_and_annotations_without_a_value_refuse(client: Client) -> None:
    await policy(client, "true", matchConditions=[{"name": "c", "expression": "object.data.zz == 'y'"}])
    message = (await refused(client, data={"a": ""})).message
    assert message.endswith("denied request: match condition 'c' resulted in error: no such key: zz")
    await client.delete(f"validatingadmissionpolicies.{GROUP}", "p")
    annotations = [{"key": "k", "valueExpression": "object.data.zz"}]
    await policy(client, "true", name="q", actions="Audit", auditAnnotations=annotations)
    assert "valueExpression 'object.data.zz' resulted in error" in (await refused(client, data={"a": ""})).message
    await config_map(client, data={"zz": "x"})


async def test_a_namespace_is_in_none(client: Client) -> None:
    rule = {**CONFIG_MAPS, "resources": ["namespaces", "configmaps"]}
    expression = "has(object.data) ? namespaceObject.metadata.name == 'default' : namespaceObject == null"
    await policy(client, expression, matchConstraints={"resourceRules": [rule]})
    await client.create("namespaces", {"metadata": {"name": "n"}})
    await config_map(client, data={"a": ""})


async def test_one_failing_mutation_is_passed_over_alone(client: Client) -> None:
    expressions = ("Object{data: {'a': '1'}}", "Object{data: {'b': object.data.zz}}", "Object{data: {'c': '3'}}")
    await mutation(client, *expressions, failurePolicy="Ignore")
    assert (await config_map(client, data={"q": ""}))["data"] == {"q": "", "a": "1", "c": "3"}


async def test_a_policy_without_its_parameters_refuses_whatever_the_actions(client: Client) -> None:
    ref = {"name": "none", "parameterNotFoundAction": "Deny"}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    await policy(client, "true", paramKind=kind, actions="Warn", binding={"paramRef": ref})
    assert "failed to configure binding: no params found" in (await refused(client)).message


async def test_a_parameter_without_an_answer_does_not_hide_the_others(client: Client) -> None:
    await config_map(client, "first", {"other": ""}, labels={"limits": "yes"})
    await config_map(client, "second", {"on": "yes"}, labels={"limits": "yes"})
    ref = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
    await policy(
        client, "false", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, failurePolicy="Ignore",
        matchConditions=[{"name": "on", "expression": "params.data.on == 'yes'"}], binding={"paramRef": ref},
    )  # fmt: skip
    await refused(client)


async def test_policies_do_not_keep_themselves_from_being_mended(client: Client) -> None:
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    await policy(client, "false", matchConstraints={"resourceRules": [every]})
    await refused(client)
    await client.patch(f"validatingadmissionpolicies.{GROUP}", "p", "", {"spec": {"failurePolicy": "Ignore"}})
    await client.delete(f"validatingadmissionpolicies.{GROUP}", "p")
    await config_map(client)


# --- mutating -----------------------------------------------------------------------------------------------------


async def test_objects_are_changed_before_they_are_checked(client: Client) -> None:
    await mutation(
        client,
        "Object{metadata: Object.metadata{labels: {'team': object.metadata.namespace}}, data: {'b': object.data.a + '!'}}",
        json_patch(
            """[JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("c.d"), value: object.data.b + "?"}]"""
        ),
    )
    await policy(client, "object.metadata.labels.team == 'default'")
    made = await config_map(client, data={"a": "1"}, labels={"mine": "yes"})
    assert made["data"] == {"a": "1", "b": "1!", "c.d": "1!?"}
    assert made["metadata"]["labels"] == {"mine": "yes", "team": "default"}


async def test_lists_merge_by_key_and_defaults_come_after(client: Client) -> None:
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    sidecar = "Object.spec.containers{name: 'side', image: 'registry.test/side'}"
    await mutation(
        client, f"Object{{spec: Object.spec{{containers: [{sidecar}]}}}}", matchConstraints={"resourceRules": [pods]},
    )  # fmt: skip
    spec = {"containers": [{"name": "main", "image": "registry.test/main"}]}
    made = await client.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    assert [(c["name"], c["imagePullPolicy"]) for c in made["spec"]["containers"]] == [
        ("main", "Always"),
        ("side", "Always"),
    ]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("Object{spec: Object.spec{x: 1}}", "invalid ApplyConfiguration: .spec: field not declared in schema"),
        ("Object{metadata: Object.metadata{ownerReferences: [1]}}", "invalid ApplyConfiguration"),
        ("[1]", "must evaluate to an Object"),
        ("object.nothing", "nothing"),
    ],
)
async def test_changes_that_cannot_be_made(client: Client, expression: str, why: str) -> None:
    await mutation(client, expression)
    with pytest.raises(StatusError) as caught:
        await config_map(client)
    assert (
        caught.value.message.startswith("policy 'm' with binding 'm-b' denied request: ")
        and why in caught.value.message
    )
    assert (caught.value.status_code, caught.value.status_reason) == (403, "Invalid")
    await client.patch(f"mutatingadmissionpolicies.{GROUP}", "m", "", {"spec": {"failurePolicy": "Ignore"}})
    assert (await config_map(client))["metadata"]["name"] == "a"


async def test_a_policy_is_asked_again_if_others_changed_the_object_after_it(client: Client) -> None:
    count = "Object{data: {'seen': string(size(object.data))}}"
    await mutation(client, count, name="m1", reinvocationPolicy="IfNeeded")
    await mutation(client, "Object{data: {'x': 'y'}}", name="m2")
    assert (await config_map(client, data={"a": ""}))["data"] == {"a": "", "seen": "3", "x": "y"}
