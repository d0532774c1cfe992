"""Conditional defaults: what kubectl created comes back as Kubernetes would give it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik.api.core_v1.pod_defaults import pull_policy
from tests.unit.api.objects import REGISTRY, admitted, container, deployment, pod, service, stored


def test_a_deployment_as_kubectl_creates_it() -> None:
    spec = admitted("deployments.apps", deployment())["spec"]
    assert spec == {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "web:1",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "imagePullPolicy": "IfNotPresent",
                    }
                ],
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        },
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }


def test_recreate_has_no_rolling_update() -> None:
    assert admitted("deployments.apps", deployment(strategy={"type": "Recreate"}))["spec"]["strategy"] == {
        "type": "Recreate"
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent"), ("host:5000/web", "Always"),
        ("host:5000/web:1", "IfNotPresent"), ("web@sha256:" + "0" * 64, "IfNotPresent"),
        ("web:latest@sha256:" + "0" * 64, "Always"), ("", "IfNotPresent"),
    ],
)  # fmt: skip
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_requests_come_from_limits_in_pods_alone() -> None:
    resources = {"limits": {"cpu": "500m", "memory": "1024Mi"}, "requests": {"cpu": "0.1"}}
    found = admitted("pods", pod(containers=[container(resources=resources)]))["spec"]["containers"][0]["resources"]
    assert found == {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}}
    limits = {"limits": {"cpu": "1"}}
    template = deployment()["spec"]["template"] | {"spec": {"containers": [container(resources=limits)]}}
    spec = admitted("deployments.apps", deployment(template=template))["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"] == limits


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"example.com/gpu": "1"}}, "BestEffort"),
    ],
)
def test_a_new_pod_is_pending_and_its_quality_is_settled(resources: dict[str, Any], quality: str) -> None:
    manifest = pod(containers=[container(resources=resources)]) | {"status": {"phase": "Running"}}
    assert admitted("pods", manifest)["status"] == {"phase": "Pending", "qosClass": quality}


def test_host_network_takes_its_ports_from_the_host() -> None:
    ports = [{"containerPort": 80}]
    found = admitted("pods", pod(hostNetwork=True, containers=[container(ports=ports)]))
    assert found["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_small_things_in_a_pod() -> None:
    env = [{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    manifest = pod(serviceAccountName="robot", volumes=[{"name": "v"}], containers=[container(env=env)])
    spec = admitted("pods", manifest)["spec"]
    assert spec["serviceAccount"] == "robot"
    assert spec["enableServiceLinks"] is True
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert spec["containers"][0]["env"][0]["valueFrom"]["resourceFieldRef"]["divisor"] == "0"


def test_a_gated_pod_says_so() -> None:
    status = admitted("pods", pod(schedulingGates=[{"name": "example.com/wait"}]))["status"]
    assert status["conditions"][0]["reason"] == "SchedulingGated"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}),
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"allocateLoadBalancerNodePorts": True, "externalTrafficPolicy": "Cluster"}),
        ({"clusterIP": "None"}, {"clusterIPs": ["None"]}),
        ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
        ({}, {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}),
    ],
)
def test_services(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    found = admitted("services", service(**spec))
    assert {field: found["spec"].get(field) for field in expected} == expected
    assert found["status"] == {"loadBalancer": {}}


def test_an_external_name_gets_no_traffic_policy() -> None:
    found = admitted("services", service(type="ExternalName", externalName="example.com"))["spec"]
    assert "internalTrafficPolicy" not in found and "clusterIP" not in found


def test_a_put_of_the_manifest_keeps_what_was_allocated() -> None:
    old = stored("services", service(type="NodePort"))
    old["spec"] |= {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"]}
    old["spec"]["ports"][0]["nodePort"] = 30080
    new = stored("services", service(type="NodePort"))
    REGISTRY["services"].prepare_update(new, old)
    assert new["spec"] == old["spec"]


def test_a_change_of_type_gives_node_ports_back() -> None:
    old = stored("services", service(type="NodePort"))
    old["spec"] |= {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]}
    old["spec"]["ports"][0]["nodePort"] = 30080
    new = stored("services", service(type="NodePort"))
    new["spec"]["ports"][0]["nodePort"] = 30080
    new["spec"]["type"] = "ClusterIP"
    REGISTRY["services"].prepare_update(new, old)
    assert "nodePort" not in new["spec"]["ports"][0] and "externalTrafficPolicy" not in new["spec"]
    assert new["spec"]["clusterIP"] == "10.96.0.7"


def test_string_data_becomes_data() -> None:
    manifest = {
        "metadata": {"name": "s", "namespace": "default"},
        "stringData": {"a": "ü"},
        "data": {"a": "eA==", "b": "eQ=="},
    }
    found = admitted("secrets", manifest)
    assert found["data"] == {"a": base64.b64encode("ü".encode()).decode(), "b": "eQ=="}
    assert found["type"] == "Opaque" and "stringData" not in found


def test_a_namespace_carries_its_name_and_finalizer() -> None:
    found = admitted("namespaces", {"metadata": {"name": "shop"}})
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert found["spec"] == {"finalizers": ["kubernetes"]} and found["status"] == {"phase": "Active"}


def test_a_replication_controller_takes_selector_and_labels_from_its_template() -> None:
    template = deployment()["spec"]["template"]
    manifest = {"metadata": {"name": "rc", "namespace": "default"}, "spec": {"template": template}}
    found = admitted("replicationcontrollers", manifest)
    assert found["spec"]["selector"] == found["metadata"]["labels"] == {"app": "web"}
    assert found["status"] == {"replicas": 0}


def test_a_node_keeps_the_status_it_registers_with() -> None:
    manifest = {
        "metadata": {"name": "n1"},
        "spec": {"podCIDR": "10.244.1.0/24"},
        "status": {"capacity": {"cpu": "2000m"}},
    }
    found = admitted("nodes", manifest)
    assert found["status"]["capacity"] == found["status"]["allocatable"] == {"cpu": "2"}
    assert found["spec"]["podCIDRs"] == ["10.244.1.0/24"]
