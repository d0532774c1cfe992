from __future__ import annotations

import copy
from typing import Any

import pytest

from minik.api import tables
from minik.api.schema import SchemaError, schema_of

POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


def test_defaults_of_a_struct_apply_where_the_struct_is() -> None:
    decoded = schema_of(POD).decode(pod())
    assert decoded.unknown == ()
    assert decoded.obj["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }
    assert "livenessProbe" not in decoded.obj["spec"]["containers"][0]


def test_without_defaults_only_pruning() -> None:
    assert schema_of(POD).decode(pod(), default=False).obj == pod()


def test_defaulting_twice_changes_nothing() -> None:
    once = schema_of(POD).decode(pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}])).obj
    assert schema_of(POD).decode(copy.deepcopy(once)).obj == once
    assert once["spec"]["volumes"][0]["secret"]["defaultMode"] == 420


def test_the_source_is_left_alone_and_nothing_is_shared() -> None:
    source = pod(nodeSelector={"a": "b"}, tolerations=[{"key": "k"}])
    before = copy.deepcopy(source)
    obj = schema_of(POD).decode(source).obj
    obj["spec"]["nodeSelector"]["a"] = "changed"
    obj["spec"]["tolerations"][0]["key"] = "changed"
    obj["spec"]["containers"].append({})
    assert source == before


def test_nulls_and_zero_values_go_as_in_go() -> None:
    value = pod(
        nodeName="", hostNetwork=False, priority=0, volumes=[], nodeSelector={}, affinity=None, restartPolicy=""
    )
    value["metadata"].update(creationTimestamp=None, labels={}, finalizers=[])
    obj = schema_of(POD).decode(value).obj
    assert obj["metadata"] == {"name": "web"}
    spec = obj["spec"]
    assert not {"nodeName", "hostNetwork", "volumes", "nodeSelector", "affinity"} & set(spec)
    assert spec["priority"] == 0  # a pointer: set
    assert spec["restartPolicy"] == "Always"  # empty is absent, so defaulted


def test_gos_zero_time_is_no_time() -> None:
    metadata = {"name": "x", "creationTimestamp": "0001-01-01T00:00:00Z"}
    assert schema_of(POD).decode({"metadata": metadata}).obj["metadata"] == {"name": "x"}


def test_pointers_keep_their_zero() -> None:
    decoded = schema_of(DEPLOYMENT).decode({"spec": {"replicas": 0, "revisionHistoryLimit": 0}}).obj
    assert (decoded["spec"]["replicas"], decoded["spec"]["revisionHistoryLimit"]) == (0, 0)


def test_quantities_and_times_become_canonical() -> None:
    value = pod()
    value["spec"]["containers"][0]["resources"] = {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {"cpu": 2}}
    value["metadata"]["creationTimestamp"] = "2026-01-01T02:00:00.5+02:00"
    obj = schema_of(POD).decode(value).obj
    assert obj["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2"},
    }
    assert obj["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_unknown_fields_are_pruned_and_named() -> None:
    value = pod(foo=1)
    value["spec"]["containers"][0]["bar"] = {"x": 1}
    value["zzz"] = None
    decoded = schema_of(POD).decode(value)
    assert decoded.unknown == ("spec.containers[0].bar", "spec.foo", "zzz")
    assert "foo" not in decoded.obj["spec"] and "bar" not in decoded.obj["spec"]["containers"][0]


def test_names_are_matched_with_their_case() -> None:
    assert schema_of(POD).decode({"Spec": {}}).unknown == ("Spec",)


@pytest.mark.parametrize(
    ("value", "what", "where"),
    [
        ([], "array", "Go value of type v1.Deployment"),
        ({"spec": "x"}, "string", "Go struct field Deployment.spec of type v1.DeploymentSpec"),
        ({"spec": {"replicas": "3"}}, "string", "Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"spec": {"replicas": 1.0}}, "number 1.0", "Go struct field DeploymentSpec.spec.replicas of type int32"),
        (
            {"spec": {"replicas": 2**31}},
            "number 2147483648",
            "Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        ({"spec": {"replicas": True}}, "bool", "Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"spec": {"paused": "yes"}}, "string", "Go struct field DeploymentSpec.spec.paused of type bool"),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": 1}]}}}},
            "number",
            "Go struct field Container.spec.template.spec.containers.name of type string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": {}}}}},
            "object",
            "Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        ({"metadata": {"labels": {"a": 1}}}, "number", "Go struct field ObjectMeta.metadata.labels of type string"),
        ({"metadata": {"labels": []}}, "array", "Go struct field ObjectMeta.metadata.labels of type map[string]string"),
        (
            {"metadata": {"creationTimestamp": 1}},
            "number",
            "Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
    ],
)
def test_type_errors_read_as_gos(value: Any, what: str, where: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(DEPLOYMENT).decode(value)
    assert caught.value.message == f"json: cannot unmarshal {what} into {where}"


def test_a_time_must_be_one() -> None:
    with pytest.raises(
        SchemaError, match='parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'
    ):
        schema_of(DEPLOYMENT).decode({"metadata": {"creationTimestamp": "x"}})


def test_the_first_error_in_the_document_is_told() -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(DEPLOYMENT).decode({"spec": {"paused": 1, "replicas": "x"}})
    assert caught.value.path == "spec.paused"


def test_bytes_must_be_base64() -> None:
    secret = schema_of("io.k8s.api.core.v1.Secret")
    assert secret.decode({"data": {"a": "aGVs\nbG8=", "b": ""}}).obj["data"] == {"a": "aGVsbG8=", "b": ""}
    with pytest.raises(SchemaError, match="illegal base64 data at input byte 3"):
        secret.decode({"data": {"a": "aGV*bG8="}})


def test_int_or_string_is_either() -> None:
    port = schema_of("io.k8s.api.core.v1.ServicePort")
    assert port.decode({"port": 1, "targetPort": "http"}).obj["targetPort"] == "http"
    assert port.decode({"port": 1, "targetPort": 0}).obj["targetPort"] == 0
    with pytest.raises(SchemaError, match=r"number 1\.5 into Go struct field ServicePort\.targetPort of type int32"):
        port.decode({"port": 1, "targetPort": 1.5})


def test_nulls_in_lists_and_maps_are_zero_values() -> None:
    value = pod(nodeSelector={"a": None})
    value["spec"]["containers"] = [None]
    value["metadata"]["finalizers"] = [None, "x"]
    obj = schema_of(POD).decode(value, default=False).obj
    assert (obj["spec"]["containers"], obj["spec"]["nodeSelector"], obj["metadata"]["finalizers"]) == (
        [{}],
        {"a": ""},
        ["", "x"],
    )


def test_a_recursive_type_works() -> None:
    schema = schema_of("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    value = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "nope": 1}}}
    assert schema.decode(value).unknown == ("properties.a.nope",)


def test_fields_for_patches() -> None:
    spec = schema_of("io.k8s.api.core.v1.PodSpec")
    containers = spec.field("containers")
    assert containers is not None and containers.schema is schema_of("io.k8s.api.core.v1.Container")
    assert (containers.shape, containers.list_type, containers.list_map_keys) == ("list", "map", ("name",))
    assert (containers.merge_key, containers.patch_strategy) == ("name", "merge")
    volumes = spec.field("volumes")
    assert volumes is not None and volumes.patch_strategy == "merge,retainKeys"
    selector = schema_of("io.k8s.api.apps.v1.DeploymentSpec").field("selector")
    assert selector is not None and selector.map_type == "atomic"
    assert spec.field("nope") is None


def test_every_kind_decodes_an_empty_object() -> None:
    for stem in tables.stems():
        table = tables.table(stem)
        for kind in table.kinds():
            schema = schema_of(f"{table.package}.{kind}")
            once = schema.decode({}).obj
            assert schema.decode(once).obj == once
