"""Rows of sig-node on real containers that run to an end: environment, commands, downward API, users, sub-paths, messages.

After `test/e2e/common/node/*.go`, with busybox for agnhost. What lives longer is in `test_rows_lives.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import OneNode
from tests.e2e.finished import Case, Finished, finished
from tests.support.e2e import Obj, rows
from tests.support.images import BUSYBOX

pytestmark = [pytest.mark.docker, pytest.mark.root]

ENTRY = "minik.test/entry:1"
OBJECTS: list[tuple[str, Obj]] = [
    ("configmaps", {"metadata": {"name": "map"}, "data": {"data-1": "value-1"}}),
    ("secrets", {"metadata": {"name": "secret"}, "data": {"data-1": base64.b64encode(b"value-1").decode()}}),
    ("services", {"metadata": {"name": "fooservice"}, "spec": {"ports": [{"port": 8765, "targetPort": 8080}]}}),
]


def printing(**container: Any) -> Obj:
    return {"command": ["env"], **container}


def environment() -> Iterator[Case]:
    for ref, name, told in (
        ("configMap", "map", "ConfigMap, from environment {}"), ("secret", "secret", "Secrets, pod environment {}"),
    ):  # fmt: skip
        key = {"name": "CONFIG_DATA_1", "valueFrom": {f"{ref}KeyRef": {"name": name, "key": "data-1"}}}
        yield Case(f"{name}-key", [told.format("field")], "", ["CONFIG_DATA_1=value-1"], container=printing(env=[key]))
        sources = [{"prefix": prefix, f"{ref}Ref": {"name": name}} for prefix in ("", "p-", "1-", "$_-")]
        row = [told.format("from source" if ref == "secret" else "variables")]
        row += ["ConfigMap, from environment field with various prefixes"] if ref == "configMap" else []
        prints = [f"{prefix}data-1=value-1" for prefix in ("", "p-", "1-", "$_-")]
        yield Case(f"{name}-all", row, "", prints, container=printing(envFrom=sources))
    env = [
        {"name": "FOO", "value": "foo-value"}, {"name": "BAR", "value": "bar-value"},
        {"name": "FOOBAR", "value": "$(FOO);;$(BAR)"}, {"name": "KEPT", "value": "$$(FOO) $(NONE)"},
    ]  # fmt: skip
    expanded = ["FOO=foo-value", "BAR=bar-value", "FOOBAR=foo-value;;bar-value", "KEPT=$(FOO) $(NONE)"]
    yield Case("env-composed", ["Environment variables, expansion"], "", expanded, container=printing(env=env))
    test_var = [{"name": "TEST_VAR", "value": "test-value"}]
    command = {"env": test_var, "command": ["sh", "-c", 'TEST_VAR=wrong echo "$(TEST_VAR)"']}
    yield Case("env-command", ["Environment variables, command expansion"], "", ["test-value"], container=command)
    args = {"env": test_var, "command": ["sh", "-c"], "args": ['TEST_VAR=wrong echo "$(TEST_VAR)"']}
    yield Case("env-args", ["Environment variables, command argument expansion"], "", ["test-value"], container=args)
    service = ["FOOSERVICE_SERVICE_PORT=8765", "FOOSERVICE_PORT_8765_TCP_PORT=8765"]
    yield Case("env-service", ["Pods, service environment variables"], "", service, container=printing())


def downward() -> Iterator[Case]:
    def fields(*paths: str) -> list[Obj]:
        return [
            {"name": path.rpartition(".")[2].upper(), "valueFrom": {"fieldRef": {"fieldPath": path}}} for path in paths
        ]

    def amounts(*resources: str) -> list[Obj]:
        return [
            {"name": each.upper().replace(".", "_"), "valueFrom": {"resourceFieldRef": {"resource": each}}} for each in resources
        ]  # fmt: skip

    script = 'case "$HOSTIP$HOSTIPS$UID_$PODIP" in *.*) echo "$NAME $NAMESPACE";; esac; [ "$HOSTIP" = "$HOSTIPS" ] && echo same'
    script += "; echo $UID_ | grep -cE '^[0-9a-f-]{36}$'"
    env = fields("metadata.name", "metadata.namespace", "status.podIP", "status.hostIP", "status.hostIPs")
    env.append({"name": "UID_", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}})
    told = (
        "DownwardAPI, environment for name, namespace and ip", "DownwardAPI, environment for host ip",
        "DownwardAPI, environment for hostIPs", "DownwardAPI, environment for Pod UID",
    )  # fmt: skip
    yield Case("down", told, 'echo "$NAME"; ' + script, ["down", "same", "1"], container={"env": env})
    four = amounts("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
    resources = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}
    yield Case(
        "down-resources", ["DownwardAPI, environment for CPU and memory limits and requests"], "",
        ["LIMITS_CPU=2", "LIMITS_MEMORY=67108864", "REQUESTS_CPU=1", "REQUESTS_MEMORY=33554432"],
        container=printing(env=four, resources=resources),
    )  # fmt: skip
    yield Case(
        "down-defaults", ["DownwardAPI, environment for default CPU and memory limits and requests"],
        '[ "$LIMITS_CPU" -gt 0 ] && [ "$LIMITS_MEMORY" -gt 0 ] && echo allocatable', ["allocatable"], container={"env": four},
    )  # fmt: skip


def commands() -> Iterator[Case]:
    for name, container, printed in (
        ("without command and arguments", {}, "entry default arguments"),
        ("with arguments", {"args": ["override", "arguments"]}, "entry override arguments"),
        ("with command", {"command": ["/bin/echo", "other"]}, "other"),
        ("with command and arguments", {"command": ["/bin/echo", "other"], "args": ["override", "arguments"]}, "other override arguments"),
    ):  # fmt: skip
        whole = {"image": ENTRY, "command": None, **container}
        yield Case(name.replace(" ", "-"), [f"Containers, {name}"], "", [printed], container=whole)


def security() -> Iterator[Case]:
    def case(name: str, rows_: list[str], script: str, prints: list[str], context: Obj, pod: Obj | None = None) -> Case:
        return Case(
            name, rows_, script, prints, container={"securityContext": context}, spec={"securityContext": pod or {}}
        )

    ids = "echo $(id -u) $(id -g)"
    yield case("user", ["Security Context, runAsUser=65534"], "id -u", ["65534"], {"runAsUser": 65534})
    group = {"runAsUser": 1001, "runAsGroup": 2002}
    yield case("group", ["Security Context, test RunAsGroup at container level"], ids, ["1001 2002"], group)
    yield case("pod-group", ["Security Context, test RunAsGroup at pod level"], ids, ["1001 2002"], {}, group)
    link = "ip link add dummy0 type dummy 2>&1 | grep -c 'not permitted'"
    yield case("unprivileged", ["Security Context, privileged=false."], link, ["1"], {"privileged": False})
    yield case(
        "writable",
        ["Security Context, readOnlyRootFilesystem=false."],
        "touch /x && echo ok",
        ["ok"],
        {"readOnlyRootFilesystem": False},
    )
    only = "touch /x 2>&1 | grep -c 'Read-only file system'"
    yield case(
        "read-only", ["Kubelet, pod with read only root file system"], only, ["1"], {"readOnlyRootFilesystem": True}
    )
    new = {"allowPrivilegeEscalation": False, "runAsUser": 1000}
    yield case(
        "no-new",
        ["Security Context, allowPrivilegeEscalation=false."],
        "grep NoNewPrivs /proc/self/status",
        ["NoNewPrivs:\t1"],
        new,
    )
    sysctls = {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}
    yield case("sysctls", ["Sysctl, test sysctls"], "cat /proc/sys/kernel/shm_rmid_forced", ["1"], {}, sysctls)


def files() -> Iterator[Case]:
    aliases = [{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]
    yield Case(
        "aliases", ["Kubelet, hostAliases"], "cat /etc/hosts", ["123.45.67.89\tfoo\tbar"], spec={"hostAliases": aliases}
    )
    first = "# Kubernetes-managed hosts file."
    yield Case("hosts", ["Kubelet, managed etc hosts"], "head -1 /etc/hosts", [first])
    network = {"hostNetwork": True}
    yield Case(
        "hosts-host",
        ["Kubelet, managed etc hosts"],
        "head -1 /etc/hosts",
        ["# Kubernetes-managed hosts file (host network)."],
        spec=network,
    )
    own: list[Obj] = [{"name": "own", "configMap": {"name": "map"}}]
    mounted = [{"name": "own", "mountPath": "/etc/hosts", "subPath": "data-1"}]
    yield Case("hosts-own", ["Kubelet, managed etc hosts"], "cat /etc/hosts; echo", ["value-1"], own, mounted)
    yield Case("output", ["Kubelet, log output, default"], "echo 'Hello World' ; sleep 1", ["Hello World"])
    name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    volume: list[Obj] = [{"name": "workdir1", "emptyDir": {}}]
    mounts = [
        {"name": "workdir1", "mountPath": "/logscontainer", "subPathExpr": "$(POD_NAME)"},
        {"name": "workdir1", "mountPath": "/testcontainer"},
    ]
    told = ["VolumeSubpathEnvExpansion, subpath expansion", "VolumeSubpathEnvExpansion, subpath test writes"]
    script = "touch /logscontainer/test.txt; ls /testcontainer; ls /testcontainer/sub-path"
    yield Case("sub-path", told, script, ["sub-path", "test.txt"], volume, mounts, container={"env": [name]})


CASES = [*environment(), *downward(), *commands(), *security(), *files()]
for _case in CASES:
    for _name in _case.rows:
        rows.setdefault(_name, []).append(f"{__name__}.{_case.name}")


@pytest.fixture(scope="module")
def done(one: OneNode) -> Iterator[Finished]:
    one.docker("create", "--name", "entry", BUSYBOX, "true")
    one.docker(
        "commit",
        "--change",
        'ENTRYPOINT ["/bin/echo", "entry"]',
        "--change",
        'CMD ["default", "arguments"]',
        "entry",
        ENTRY,
    )
    one.docker("rm", "entry")
    with finished(one, CASES, OBJECTS) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_container_prints(done: Finished, case: Case) -> None:
    done.check(case)
