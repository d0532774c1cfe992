"""Environment, downward API, /etc files, resources and security: pure functions, by example."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik.agent.admission import Room, admit
from minik.agent.containers.base import ImageInfo
from minik.agent.env import ConfigError, Reference, environment, expand, references, service_environment
from minik.agent.etcfiles import ClusterDns, Resolver, hosts_file, parse_resolv_conf, resolver
from minik.agent.fields import PodFacts, field_value, resource_value
from minik.agent.resources import container_limits, oom_score_adj, pod_requests
from minik.agent.security import container_security
from minik.api.core_v1 import pods
from tests.unit.agent.builders import container, pod

FACTS = PodFacts("n1", "192.0.2.1", "10.244.0.5", 4000, 8 << 30)
CM = {"kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1", "b": "two"}}
SECRET = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": base64.b64encode(b"x y").decode()}}
FOUND = {Reference("configmaps", "cm"): CM, Reference("secrets", "s"): SECRET}


def env_of(*entries: dict[str, Any], services: dict[str, str] | None = None, **more: Any) -> dict[str, str]:
    c = container(env=list(entries), **more)
    return dict(environment(pod(c), c, found=FOUND, services=services or {}, facts=FACTS))


def test_values_are_expanded_with_what_came_before() -> None:
    got = env_of(
        {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2 $$(A) $(LATER) $(SVC)"}, {"name": "LATER", "value": "x"},
        services={"SVC": "10.0.0.1"},
    )  # fmt: skip
    assert (got["B"], got["SVC"]) == ("12 $(A) $(LATER) 10.0.0.1", "10.0.0.1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$", "$"),
        ("$$", "$"),
        ("$(", "$("),
        ("$(X", "$(X"),
        ("$x", "$x"),
        ("$(A)", "1"),
        ("$$$(A)", "$1"),
        ("$(no)", "$(no)"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_references_to_objects_and_fields() -> None:
    got = env_of(
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "zzz", "optional": True}}},
        envFrom=[{"prefix": "CM_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "gone", "optional": True}}],
    )
    assert got == {"CM_a": "1", "CM_b": "two", "A": "1", "P": "x y", "IP": "10.244.0.5", "CPU": "4"}


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "a"}}, 'configmap "gone" not found'),
        ({"secretKeyRef": {"name": "s", "key": "zzz"}}, "couldn't find key zzz in Secret default/s"),
    ],
)
def test_what_is_missing_is_said(ref: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        env_of({"name": "A", "valueFrom": ref})


def test_references_found() -> None:
    c = container(
        env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        envFrom=[{"configMapRef": {"name": "cm"}}],
    )
    assert references(c) == {Reference("secrets", "s"), Reference("configmaps", "cm")}


def service(name: str, ip: str, namespace: str = "default") -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}}


def test_service_links() -> None:
    services = [
        service("kubernetes", "10.96.0.1"),
        service("my-db", "10.96.0.7"),
        service("head", "None"),
        service("x", "1", "other"),
    ]
    got = service_environment(services, "default", links=True)
    assert got["MY_DB_SERVICE_HOST"] == "10.96.0.7"
    assert (got["MY_DB_PORT"], got["MY_DB_PORT_80_TCP_ADDR"]) == ("tcp://10.96.0.7:80", "10.96.0.7")
    assert not any(k.startswith(("HEAD", "X_")) for k in got)
    few = service_environment(services, "default", links=False)
    assert {k.split("_")[0] for k in few} == {"KUBERNETES"}


# --- downward API ------------------------------------------------------------------------------------------------------------


def test_fields() -> None:
    p = pod(metadata={"labels": {"b": "2", "a": "1"}, "annotations": {"x/y": 'q"'}})
    assert field_value(p, "metadata.labels", FACTS) == 'a="1"\nb="2"'
    assert field_value(p, "metadata.labels['a']", FACTS) == "1"
    assert field_value(p, "metadata.annotations['x/y']", FACTS) == 'q"'


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("requests.cpu", "1m", "250"), ("requests.cpu", "0", "1"), ("limits.memory", "1Mi", "64"),
        ("limits.memory", "0", "67108864"), ("limits.cpu", "0", "4"), ("requests.memory", "0", "67108864"),
    ],
)  # fmt: skip
def test_resource_fields(resource: str, divisor: str, expected: str) -> None:
    c = container(resources={"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}})
    assert resource_value(pod(c), c, {"resource": resource, "divisor": divisor}, FACTS) == expected


# --- /etc --------------------------------------------------------------------------------------------------------------------

DNS = ClusterDns()
HOST = Resolver(["192.0.2.53"], ["corp.example"], ["timeout:2"])


def test_resolv_conf_by_policy() -> None:
    assert resolver(pod(), DNS, HOST).text() == (
        "nameserver 10.96.0.10\n"
        "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
        "options ndots:5\n"
    )
    assert resolver(pod(dnsPolicy="Default"), DNS, HOST) == HOST
    assert resolver(pod(hostNetwork=True), DNS, HOST) == HOST
    assert resolver(pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"), DNS, HOST).nameservers == ["10.96.0.10"]
    config = {
        "nameservers": ["1.1.1.1"],
        "searches": ["a.b"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    own = resolver(pod(dnsPolicy="None", dnsConfig=config), DNS, HOST)
    assert own.text() == "nameserver 1.1.1.1\nsearch a.b\noptions ndots:2 edns0\n"
    assert resolver(pod(dnsConfig=config), DNS, HOST).options == ["ndots:2", "edns0"]


def test_resolv_conf_is_parsed_back() -> None:
    assert parse_resolv_conf(HOST.text() + "# no\n") == HOST


def test_hosts() -> None:
    p = pod(hostname="h", subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x", "y"]}])
    text = hosts_file(p, "10.244.0.5", DNS, "")
    assert "10.244.0.5\th.sub.default.svc.cluster.local\th\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\tx\ty\n")
    assert "the host's\n" in hosts_file(pod(hostNetwork=True), "", DNS, "the host's\n")


# --- resources and security --------------------------------------------------------------------------------------------------


def with_resources(requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    return container(resources={"requests": requests, "limits": limits})


FULL = {"cpu": "500m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("requests", "limits", "qos"),
    [
        ({}, {}, "BestEffort"),
        (FULL, FULL, "Guaranteed"),
        ({}, FULL, "Guaranteed"),
        (FULL, {}, "Burstable"),
        ({"cpu": "1"}, FULL, "Burstable"),
    ],
)
def test_qos(requests: dict[str, str], limits: dict[str, str], qos: str) -> None:
    assert pods.qos_class(pod(with_resources(requests, limits))) == qos


def test_limits() -> None:
    c = with_resources({"cpu": "100m"}, FULL)
    got = container_limits(pod(c), c, node_memory=8 << 30)
    assert (got.cpu_shares, got.cpu_quota, got.cpu_period, got.memory) == (102, 50000, 100000, 64 << 20)
    assert container_limits(pod(), container(), node_memory=1).cpu_shares == 2
    assert oom_score_adj(pod(with_resources(FULL, FULL)), with_resources(FULL, FULL), 8 << 30) == -997
    assert container_limits(pod(with_resources(FULL, FULL)), c, node_memory=1, min_oom_score=0).oom_score_adj == 0


def test_init_containers_may_need_more_than_the_rest() -> None:
    p = pod(
        with_resources({"cpu": "1"}, {}),
        init=(with_resources({"cpu": "3"}, {}), {**with_resources({"cpu": "500m"}, {}), "restartPolicy": "Always"}),
    )
    assert pod_requests(p)[0] == 3000
    assert pod_requests(pod(with_resources({"cpu": "1"}, {}), with_resources({"cpu": "1"}, {})))[0] == 2000


def no_profile(name: str) -> str:
    raise FileNotFoundError(name)


def security_of(of_pod: dict[str, Any], own: dict[str, Any], user: str = "") -> Any:
    c = container(securityContext=own)
    return container_security(pod(c, securityContext=of_pod), c, ImageInfo(id="i", user=user), read_profile=no_profile)


def test_security_contexts_are_merged() -> None:
    got = security_of(
        {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [5, 2000]},
        {
            "runAsUser": 1001,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    )
    assert (got.user, got.groups, got.no_new_privileges, got.cap_drop, got.read_only_root) == (
        "1001:3000",
        (5, 2000),
        True,
        ("ALL",),
        True,
    )
    assert security_of({}, {"seccompProfile": {"type": "Unconfined"}}).seccomp == "unconfined"
    with pytest.raises(ConfigError, match="cannot load seccomp profile"):
        security_of({}, {"seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}})


@pytest.mark.parametrize(
    ("context", "user", "message"),
    [
        ({}, "", "image will run as root"), ({}, "0", "image will run as root"), ({}, "www", "non-numeric user"),
        ({"runAsUser": 0}, "5", "breaks non-root policy"), ({}, "1000", None), ({"runAsUser": 5}, "", None),
    ],
)  # fmt: skip
def test_non_root(context: dict[str, Any], user: str, message: str | None) -> None:
    if message is None:
        security_of({"runAsNonRoot": True}, context, user)
        return
    with pytest.raises(ConfigError, match=message):
        security_of({"runAsNonRoot": True}, context, user)


# --- admission ----------------------------------------------------------------------------------------------------------------

ROOM = Room(4000, 8 << 30, 110, {"kubernetes.io/hostname": "n1", "disk": "ssd"})


def affinity(key: str, values: list[str]) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}
    required = {"nodeSelectorTerms": [term]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    ("p", "reason"),
    [
        (pod(), None),
        (pod(with_resources({"cpu": "3"}, {})), "OutOfcpu"),
        (pod(with_resources({"memory": "16Gi"}, {})), "OutOfmemory"),
        (pod(nodeSelector={"disk": "hdd"}), "NodeAffinity"),
        (pod(nodeSelector={"disk": "ssd"}), None),
        (pod(affinity=affinity("disk", ["hdd"])), "NodeAffinity"),
        (pod(affinity=affinity("disk", ["hdd", "ssd"])), None),
        (pod(container(ports=[{"containerPort": 80, "hostPort": 8080}])), "NodePorts"),
        (pod(container(ports=[{"containerPort": 80, "hostPort": 8081}])), None),
        (pod(os={"name": "windows"}), "PodOSNotSupported"),
    ],
)
def test_admission(p: dict[str, Any], reason: str | None) -> None:
    other = pod({**with_resources({"cpu": "2"}, {}), "ports": [{"containerPort": 1, "hostPort": 8080}]})
    refusal = admit(p, [other], ROOM)
    assert (refusal.reason if refusal else None) == reason


def test_a_full_node() -> None:
    refusal = admit(pod(), [pod()] * 110, ROOM)
    assert refusal is not None and refusal.reason == "OutOfpods"
