"""What is wrong with pods, in upstream's words. Each case is a pod and exactly the errors it gets."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import validation_pod
from minik.api.validation_pod import validate_pod
from tests.unit.api.objects import (
    admitted,
    container,
    field_errors,
    pod,
    problems,
    status_text,
    stored,
    update_problems,
)

C = "spec.containers[0]"
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an"
    " alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
HTTP = {"httpGet": {"port": 80}}


def with_container(**more: Any) -> dict[str, Any]:
    return pod(containers=[container(**more)])


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (pod(), []),
    (pod(containers=[]), ["spec.containers: Required value"]),
    (pod(containers=[{"name": "app"}]), [f"{C}.image: Required value"]),
    (pod(containers=[{"image": "x"}]), [f"{C}.name: Required value"]),
    (pod(containers=[container("App")]), [f'{C}.name: Invalid value: "App": {LABEL}']),
    (pod(containers=[container(), container()]), ['spec.containers[1].name: Duplicate value: "app"']),
    (with_container(image=" web"), [f'{C}.image: Invalid value: " web": must not have leading or trailing whitespace']),
    (
        with_container(imagePullPolicy="Sometimes"),
        [f'{C}.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'],
    ),
    (
        pod(restartPolicy="Maybe"),
        ['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"'],
    ),
    (
        with_container(ports=[{"containerPort": 70000}, {"containerPort": 0}]),
        [
            f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            f"{C}.ports[1].containerPort: Required value",
        ],
    ),
    (
        with_container(ports=[{"containerPort": 1, "name": "web"}, {"containerPort": 2, "name": "web"}]),
        [f'{C}.ports[1].name: Duplicate value: "web"'],
    ),
    (
        with_container(ports=[{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]),
        [f'{C}.ports[1].hostPort: Duplicate value: "TCP//9"'],
    ),
    (with_container(env=[{"value": "x"}]), [f"{C}.env[0].name: Required value"]),
    (
        with_container(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        [f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    ),
    (
        with_container(env=[{"name": "A", "valueFrom": {}}]),
        [
            f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`,'
            " `configMapKeyRef` or `secretKeyRef`"
        ],
    ),
    (
        with_container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}]),
        [
            f'{C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.color": error converting fieldPath: field label'
            " not supported: spec.color"
        ],
    ),
    (
        with_container(volumeMounts=[{"name": "data", "mountPath": "/d"}]),
        [f'{C}.volumeMounts[0].name: Not found: "data"'],
    ),
    (
        pod(
            volumes=[{"name": "a"}],
            containers=[container(volumeMounts=[{"name": "a", "mountPath": "/d"}, {"name": "a", "mountPath": "/d"}])],
        ),
        [f'{C}.volumeMounts[1].mountPath: Invalid value: "/d": must be unique'],
    ),
    (
        pod(volumes=[{"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    (pod(volumes=[{"name": "a", "secret": {}}]), ["spec.volumes[0].secret.secretName: Required value"]),
    (pod(volumes=[{"name": "a"}, {"name": "a"}]), ['spec.volumes[1].name: Duplicate value: "a"']),
    (
        with_container(livenessProbe={"periodSeconds": 5}),
        [f"{C}.livenessProbe: Required value: must specify a handler type"],
    ),
    (
        with_container(livenessProbe={**HTTP, "tcpSocket": {"port": 80}, "successThreshold": 2}),
        [
            f"{C}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    ),
    (
        with_container(readinessProbe={"httpGet": {"port": 0}}),
        [f"{C}.readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"],
    ),
    (
        with_container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ),
    (
        with_container(resources={"limits": {"gpu": "1"}}),
        [
            f'{C}.resources.{which}[gpu]: Invalid value: "gpu": {text}'
            for which in ("limits", "requests")
            for text in (
                "must be a standard resource type or fully qualified",
                "must be a standard resource for containers",
            )
        ],
    ),
    (
        with_container(resources={"limits": {"memory": "-1"}}),
        [
            f'{C}.resources.{which}[memory]: Invalid value: "-1": must be greater than or equal to 0'
            for which in ("limits", "requests")
        ],
    ),
    (
        with_container(resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        [f"{C}.resources: Forbidden: HugePages require cpu or memory"],
    ),
    (
        with_container(securityContext={"allowPrivilegeEscalation": False, "privileged": True}),
        [
            f'{C}.securityContext: Invalid value: {{"allowPrivilegeEscalation":false,"privileged":true}}: cannot set'
            " `allowPrivilegeEscalation` to false and `privileged` to true"
        ],
    ),
    (pod(initContainers=[container("init", livenessProbe=HTTP, restartPolicy="Always")]), []),
    (
        pod(initContainers=[container("init", livenessProbe=HTTP)]),
        [
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
        ],
    ),
    (pod(initContainers=[container()]), ['spec.initContainers[0].name: Duplicate value: "app"']),
    (
        pod(hostNetwork=True, containers=[container(ports=[{"containerPort": 80, "hostPort": 81}])]),
        [f"{C}.ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"],
    ),
    (
        pod(activeDeadlineSeconds=0),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ),
    (
        pod(tolerations=[{"operator": "Equal"}]),
        [
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means'
            ' "match all values and all keys"'
        ],
    ),
    (
        pod(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        ["spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"],
    ),
    (
        pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value:"
            " must have at least one node selector term"
        ],
    ),
    (pod(dnsPolicy="None"), ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]),
    (
        pod(hostAliases=[{"ip": "1.2.3", "hostnames": ["a"]}]),
        [
            'spec.hostAliases[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
        ],
    ),
    (
        pod(ephemeralContainers=[{"name": "debug", "image": "x"}]),
        ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ),
    (
        pod(nodeName="n1", schedulingGates=[{"name": "example.com/wait"}]),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    ),
]


@pytest.mark.parametrize(("manifest", "expected"), CASES, ids=range(len(CASES)))
def test_pods(manifest: dict[str, Any], expected: list[str]) -> None:
    assert problems("pods", manifest) == expected


def test_the_message_of_a_pod_without_image() -> None:
    assert status_text("pods", pod(containers=[{"name": "app"}])) == (
        'Pod "web" is invalid: spec.containers[0].image: Required value'
    )


def test_causes_carry_reason_and_field() -> None:
    causes = [error.cause() for error in field_errors("pods", pod(containers=[{"name": "app"}]))]
    assert causes == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers[0].image"}
    ]


# --- updates --------------------------------------------------------------------------------------------------------


def updated(change: Any, **spec: Any) -> list[str]:
    return update_problems("pods", stored("pods", pod(**spec)), lambda draft: change(draft["spec"]))


def test_an_image_may_change() -> None:
    assert updated(lambda spec: spec["containers"][0].update(image="web:2")) == []


def test_nothing_else_may() -> None:
    (problem,) = updated(lambda spec: spec.update(nodeName="n2"), nodeName="n1")
    assert problem.startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
        " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
    )
    assert '- \tnodeName: "n1"\n+ \tnodeName: "n2"' in problem


def test_containers_neither_come_nor_go() -> None:
    assert updated(lambda spec: spec["containers"].append(container("two"))) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


def test_a_deadline_only_shrinks() -> None:
    assert updated(lambda spec: spec.update(activeDeadlineSeconds=5), activeDeadlineSeconds=9) == []
    assert updated(lambda spec: spec.update(activeDeadlineSeconds=9), activeDeadlineSeconds=5) == [
        "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"
    ]


def test_tolerations_are_only_added() -> None:
    old = [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
    longer = [{**old[0], "tolerationSeconds": 600}, {"key": "b", "operator": "Exists"}]
    assert updated(lambda spec: spec.update(tolerations=longer), tolerations=old) == []
    assert updated(lambda spec: spec.update(tolerations=[]), tolerations=old) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_scheduling_gates_only_open() -> None:
    gates = [{"name": "example.com/a"}]
    assert updated(lambda spec: spec.pop("schedulingGates"), schedulingGates=gates) == []
    assert updated(lambda spec: spec.update(schedulingGates=gates)) == [
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'example.com/a'"
    ]


def test_the_affinity_of_a_gated_pod_may_only_narrow() -> None:
    def affinity(*terms: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}, **more}
        }

    def term(*keys: str) -> dict[str, Any]:
        return {"matchExpressions": [{"key": key, "operator": "Exists"} for key in keys]}

    gates = [{"name": "example.com/a"}]

    def changed(after: Any, before: Any = None) -> list[str]:
        own = {"affinity": before} if before else {}
        return updated(lambda spec: spec.update(affinity=after), schedulingGates=gates, **own)

    assert changed(affinity(term("a"))) == []
    assert changed(affinity(term("a", "b"), term("c")), affinity(term("a"), term("c"))) == []
    weighed = [{"weight": 1, "preference": term("z")}]
    preferred = affinity(term("a"), preferredDuringSchedulingIgnoredDuringExecution=weighed)
    assert changed(preferred, affinity(term("a"))) == []
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    (why,) = changed(affinity(term("a"), term("b")), affinity(term("a")))
    assert why.startswith(path) and "no additions/deletions to non-empty NodeSelectorTerms list are allowed" in why
    (why,) = changed(affinity(term("b")), affinity(term("a")))
    assert why.startswith(f"{path}[0]") and "only additions are allowed (no mutations or deletions)" in why
    (why,) = updated(lambda spec: spec.update(affinity=affinity(term("a"))))
    assert "pod updates may not change fields" in why
    other = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    assert "pod updates may not change fields" in changed(other)[0]


def test_status_keeps_quality_and_the_dead() -> None:
    from minik.api.core_v1.pod import KIND

    old = stored("pods", pod(restartPolicy="Never"))
    old["status"]["containerStatuses"] = [{"name": "app", "state": {"terminated": {"exitCode": 0}}}]
    new = admitted("pods", pod(restartPolicy="Never"))
    new["status"] = {"qosClass": "Burstable", "containerStatuses": [{"name": "app", "state": {"running": {}}}]}
    assert [str(error) for error in KIND.validate_status(new, old)] == [
        'status.qosClass: Invalid value: "Burstable": field is immutable',
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
    ]


def test_what_was_sound_once_is_sound_again_and_nothing_else() -> None:
    sound = {"spec": {"containers": [{"name": "main", "image": "app"}]}}
    broken = {"spec": {"containers": [{"name": "Main", "image": "app"}]}}
    for _ in range(3):
        assert validate_pod(sound) == []
        assert [error.field for error in validate_pod(broken)] == ["spec.containers[0].name"]
    for number in range(1200):
        validate_pod({"spec": {"containers": [{"name": f"c-{number}", "image": "app"}]}})
    assert len(validation_pod._sound) <= 512
