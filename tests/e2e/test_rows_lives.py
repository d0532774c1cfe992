"""Rows of sig-node about the lives of real pods: phases, messages, init containers, hooks, probes, what mends a pod that cannot start.

After `test/e2e/common/node/*.go`, with busybox for agnhost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import OneNode
from tests.support.e2e import MERGE, STRATEGIC, Client, Obj, row
from tests.support.images import BUSYBOX
from tests.support.podnet import PodNet
from tests.support.process import until

pytestmark = [pytest.mark.docker, pytest.mark.root]

SERVE = "mkdir -p /w && echo ok > /w/healthz && exec httpd -f -p 80 -h /w"


@pytest.fixture
def api(one: OneNode, namespace: str) -> Client:
    return Client(one.server, namespace)


def container(script: str, name: str = "test", **more: Any) -> Obj:
    return {"name": name, "image": BUSYBOX, "command": ["sh", "-c", script], **more}


def make(api: Client, name: str, *containers: Obj, metadata: Obj | None = None, **spec: Any) -> None:
    whole = {"terminationGracePeriodSeconds": 0, "containers": list(containers), **spec}
    api.create("pods", {"metadata": {"name": name, **(metadata or {})}, "spec": whole})


def status(api: Client, name: str) -> Any:
    return api.get("pods", name)["status"]


def state(api: Client, name: str) -> Any:
    """Of the only container; {} before there is one."""
    found = status(api, name).get("containerStatuses") or [{}]
    return found[0]


def is_so(api: Client, name: str, *, phase: str = "", restarts: int = 0, waiting: str = "") -> None:
    """Wait for the phase, for that many restarts at least, and for the reason why the container waits."""

    def there() -> bool:
        found = state(api, name)
        return (
            phase in ("", status(api, name)["phase"])
            and found.get("restartCount", 0) >= restarts
            and waiting in ("", found.get("state", {}).get("waiting", {}).get("reason"))
        )

    until(there, f"{name} is {phase}{waiting} after {restarts} restarts", timeout=90)


def ended(api: Client, name: str) -> Any:
    def termination() -> Any:
        return state(api, name).get("state", {}).get("terminated")

    return until(termination, f"the end of {name}")


@row(
    "Container Runtime, TerminationMessage, from container's log output of failing container",
    "Container Runtime, TerminationMessage, from log output of succeeding container",
    "Container Runtime, TerminationMessage, from file of succeeding container",
    "Container Runtime, TerminationMessagePath, non-root user and non-default path",
)
def test_messages(api: Client) -> None:
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError", "terminationMessagePath": "/dev/termination-log"}
    path = {"terminationMessagePath": "/dev/termination-custom-log", "securityContext": {"runAsUser": 1000}}
    for name, script, more, message in (
        ("failing", "echo -n DONE; exit 1", fallback, "DONE"),
        ("succeeding", "echo DONE; exit 0", fallback, ""),
        ("file", "echo -n OK > /dev/termination-log; echo DONE; exit 0", fallback, "OK"),
        ("custom", "echo -n DONE > /dev/termination-custom-log", path, "DONE"),
    ):
        make(api, name, container(script, **more), restartPolicy="Never")
        assert ended(api, name).get("message", "") == message, name


@row(
    "Container Runtime, Restart Policy, Pod Phases",
    "Kubelet, failed pod, terminated reason",
    "Kubelet, failed pod, delete",
)
def test_phases_by_restart_policy(api: Client) -> None:
    """A container that fails once and then runs on, as upstream's terminate-cmd-rpa, -rpof and -rpn."""
    script = (
        "f=/r/count; echo x >> $f; n=$(wc -l < $f); [ $n -eq 1 ] && exit 1; [ $n -eq 2 ] && exit {second}; sleep 3600"
    )
    for policy, second, phase, restarts in (
        ("Always", 1, "Running", 2),
        ("OnFailure", 0, "Succeeded", 1),
        ("Never", 0, "Failed", 0),
    ):
        name = f"terminate-{policy.lower()}"
        volume = {"name": "restart-count", "emptyDir": {}}
        mounts = [{"name": "restart-count", "mountPath": "/r"}]
        make(
            api,
            name,
            container(script.replace("{second}", str(second)), volumeMounts=mounts),
            restartPolicy=policy,
            volumes=[volume],
        )
        is_so(api, name, phase=phase, restarts=restarts)
        assert state(api, name)["restartCount"] == restarts
    reasons = {ended(api, name)["reason"] for name in ("terminate-onfailure", "terminate-never")}
    assert reasons == {"Completed", "Error"}
    until(lambda: state(api, "terminate-always")["ready"], "it is ready")
    make(api, "always-fails", container("/bin/false"))
    until(
        lambda: (state(api, "always-fails").get("lastState") or state(api, "always-fails").get("state", {})).get(
            "terminated"
        ),
        "it failed",
    )
    api.delete("pods", "always-fails")


@row(
    "init-container-starts-app-restartnever-pod", "init-container-starts-app-restartalways-pod",
    "init-container-fails-stops-app-restartalways-pod", "init-container-fails-stops-app-restartnever-pod",
)  # fmt: skip
def test_init_containers(api: Client) -> None:
    good = [container("true", "init1"), container("true", "init2")]
    make(api, "ends", container("true"), restartPolicy="Never", initContainers=good)
    make(api, "runs", container("sleep 3600"), initContainers=good)
    make(
        api, "stuck", container("sleep 3600"), initContainers=[container("false", "init1"), container("true", "init2")]
    )
    make(
        api,
        "fails",
        container("true"),
        restartPolicy="Never",
        initContainers=[container("true", "init1"), container("false", "init2")],
    )
    for name, phase in (("ends", "Succeeded"), ("runs", "Running"), ("fails", "Failed")):
        api.phase(name, phase)
    for name in ("ends", "runs"):
        found = status(api, name)
        assert api.condition("pods", name, "Initialized")["status"] == "True"
        assert all(
            each["ready"] and each["state"]["terminated"]["exitCode"] == 0 for each in found["initContainerStatuses"]
        )
    first, second = status(api, "fails")["initContainerStatuses"]
    assert first["state"]["terminated"]["exitCode"] == 0 and second["state"]["terminated"]["exitCode"] != 0
    assert state(api, "fails")["state"]["waiting"]["reason"] == "PodInitializing"

    def tried_again() -> bool:
        first, second = status(api, "stuck")["initContainerStatuses"]
        return bool(first["restartCount"] >= 2 and second["state"].get("waiting"))

    until(tried_again, "the first init container was tried three times", timeout=90)
    assert (
        status(api, "stuck")["phase"] == "Pending"
        and state(api, "stuck")["state"]["waiting"]["reason"] == "PodInitializing"
    )
    assert api.condition("pods", "stuck", "Initialized")["reason"] == "ContainersNotInitialized"


@row(
    "Pod Lifecycle, post start exec hook", "Pod Lifecycle, prestop exec hook", "Pod Lifecycle, post start http hook",
    "Pod Lifecycle, prestop http hook", "Pods, prestop hook",
)  # fmt: skip
def test_hooks(api: Client) -> None:
    """Each hook asks for a page of a server, which writes down what it was asked for."""
    serve = "mkdir -p /w && cd /w && for n in 1 2 3 4; do echo ok > $n; done; exec httpd -f -vv -p 80 -h /w 2>&1"
    make(api, "handler", container(serve, readinessProbe={"tcpSocket": {"port": 80}, "periodSeconds": 1}))
    until(lambda: state(api, "handler").get("ready"), "the handler is ready")
    address = status(api, "handler")["podIP"]

    def hooked(name: str, when: str, hook: Obj) -> None:
        make(api, name, container("sleep 3600", lifecycle={when: hook}), terminationGracePeriodSeconds=15)
        api.phase(name)

    def http(page: str) -> Obj:
        return {"httpGet": {"host": address, "port": 80, "path": f"/{page}"}}

    def run(page: str) -> Obj:
        return {"exec": {"command": ["wget", "-q", "-O", "-", f"http://{address}/{page}"]}}

    hooked("poststart-exec", "postStart", run("1"))
    hooked("poststart-http", "postStart", http("2"))
    hooked("prestop-exec", "preStop", run("3"))
    hooked("prestop-http", "preStop", http("4"))
    for name in ("prestop-exec", "prestop-http"):
        api.delete("pods", name)

    def asked() -> bool:
        log = api.ask("GET", f"{api.path('pods', 'handler')}/log").body.decode()
        return all(f"url:/{page}" in log for page in "1234")

    until(asked, "all hooks have asked")


@row(
    "Pod liveness probe, using local file, restart", "Pod liveness probe, using local file, no restart",
    "Pod liveness probe, using tcp socket, no restart", "Pod liveness probe, using http endpoint, restart",
    "Pod liveness probe, using http endpoint, failure", "Pod liveness probe, using http endpoint, multiple restarts (slow)",
    "Pod readiness probe, with initial delay", "Pod readiness probe, failure",
)  # fmt: skip
def test_probes(api: Client) -> None:
    often: Obj = {"periodSeconds": 1, "failureThreshold": 1}
    patient: Obj = {"periodSeconds": 1, "initialDelaySeconds": 1, "timeoutSeconds": 10}
    cat, http = {"exec": {"command": ["cat", "/w/healthz"]}}, {"httpGet": {"path": "/healthz", "port": 80}}
    dies = SERVE.replace("exec ", "(sleep 2; rm /w/healthz) & exec ")
    cases: list[tuple[str, str, Obj]] = [
        ("file-fails", dies, {"livenessProbe": {**cat, **often, "initialDelaySeconds": 1}}),
        ("http-fails", dies, {"livenessProbe": {**http, **often, "initialDelaySeconds": 1}}),
        ("file-holds", SERVE, {"livenessProbe": {**cat, **patient}}),
        ("http-holds", SERVE, {"livenessProbe": {**http, **patient}}),
        ("tcp-holds", SERVE, {"livenessProbe": {"tcpSocket": {"port": 80}, **patient}}),
        ("ready-later", SERVE, {"readinessProbe": {**http, **often, "initialDelaySeconds": 4}}),
        ("never-ready", SERVE, {"readinessProbe": {"exec": {"command": ["false"]}, **often}}),
    ]
    for name, script, probes in cases:
        make(api, name, container(script, **probes))
    for name in ("file-fails", "http-fails"):
        is_so(api, name, restarts=2)
    until(lambda: state(api, "ready-later").get("ready"), "ready after a while")
    for name in ("file-holds", "http-holds", "tcp-holds", "ready-later", "never-ready"):
        assert state(api, name)["restartCount"] == 0, name
    found = api.get("pods", "ready-later")["status"]
    began = found["containerStatuses"][0]["state"]["running"]["startedAt"]
    became = next(each["lastTransitionTime"] for each in found["conditions"] if each["type"] == "Ready")
    assert became > began
    assert not state(api, "never-ready")["ready"] and api.condition("pods", "never-ready", "Ready")["status"] == "False"


@row(
    "Service Account Tokens Must AutoMount",
    "TokenRequestProjection should mount a projected volume with token using TokenRequest API.",
)
def test_tokens(api: Client, one: OneNode) -> None:
    """The token is the account's and the pod's, and comes with the authority and the namespace; one can be asked for at any place."""
    root = api.get("configmaps", "kube-root-ca.crt")["data"]["ca.crt"]
    api.create("serviceaccounts", {"metadata": {"name": "mount-test"}})
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 43200}}
    mount = {"volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/tokens"}]}
    volumes = [{"name": "token", "projected": {"sources": [source]}}]
    make(api, "by-itself", container("sleep 3600"), serviceAccountName="mount-test")
    make(api, "as-asked", container("sleep 3600", **mount), serviceAccountName="mount-test", volumes=volumes)
    own = "/var/run/secrets/kubernetes.io/serviceaccount"
    tokens = set()
    for name, directory in (("by-itself", own), ("as-asked", own), ("as-asked", "/var/run/secrets/tokens")):
        api.phase(name)
        uid = api.get("pods", name)["metadata"]["uid"]
        token = one.docker("exec", one.container(uid), "cat", f"{directory}/token")
        said = api.review("TokenReview", "/apis/authentication.k8s.io/v1/tokenreviews", {"token": token})
        assert said["authenticated"] and not said.get("error")
        user, accounts = said["user"], "system:serviceaccounts"
        assert user["username"] == f"system:serviceaccount:{api.namespace}:mount-test"
        assert {"system:authenticated", accounts, f"{accounts}:{api.namespace}"} <= set(user["groups"])
        assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [uid]
        tokens.add(token)
        if directory == own:
            assert one.docker("exec", one.container(uid), "cat", f"{own}/ca.crt") == root
            assert one.docker("exec", one.container(uid), "cat", f"{own}/namespace") == api.namespace
    assert len(tokens) == 3


@row("Pod liveness probe, using grpc call, success", "Pod liveness probe, using grpc call, failure")
def test_grpc_probes(api: Client, one: OneNode) -> None:
    for name, port in (("holds", 5000), ("fails", 2333)):
        probe = {"grpc": {"port": port}, "initialDelaySeconds": 3, "periodSeconds": 1, "failureThreshold": 1}
        make(api, name, container("sleep 3600", livenessProbe=probe))
    api.phase("holds")
    with contextlib.closing(PodNet(one.netns(api.get("pods", "holds")["metadata"]["uid"]))) as net:
        net.serve_health(5000)
        is_so(api, "fails", restarts=1)
        is_so(api, "fails", restarts=2)
        assert state(api, "holds")["restartCount"] == 0


@row("Ephemeral Container, update ephemeral containers")
def test_ephemeral_containers_are_added(api: Client) -> None:
    make(api, "ephemeral", container("sleep 3600"))
    api.phase("ephemeral")

    def runs(name: str) -> bool:
        found = status(api, "ephemeral").get("ephemeralContainerStatuses") or ()
        return any(each["name"] == name and "running" in each["state"] for each in found)

    path = api.path("pods", "ephemeral/ephemeralcontainers")
    api.do("PATCH", path, {"spec": {"ephemeralContainers": [container("sleep 3600", "debugger1")]}}, STRATEGIC)
    until(lambda: runs("debugger1"), "the first one runs")

    def one_more(pod: Obj) -> None:
        (only,) = pod["spec"]["ephemeralContainers"]
        pod["spec"]["ephemeralContainers"] = [only, container("sleep 3600", "debugger2")]

    api.change("pods", "ephemeral", one_more, "ephemeralcontainers")
    until(lambda: runs("debugger2"), "the second one runs")
    assert runs("debugger1") and len(api.get("pods", "ephemeral")["spec"]["ephemeralContainers"]) == 2


@row(
    "VolumeSubpathEnvExpansion, subpath with absolute path", "VolumeSubpathEnvExpansion, subpath with backticks",
    "VolumeSubpathEnvExpansion, subpath ready from failed state",
)  # fmt: skip
def test_sub_paths_that_cannot_be(api: Client) -> None:
    def sub_path(value: Obj) -> tuple[Obj, list[Obj]]:
        mounts = [{"name": "workdir1", "mountPath": "/volume_mount", "subPathExpr": "$(POD_NAME)"}]
        return {"env": [{"name": "POD_NAME", **value}], "volumeMounts": mounts}, [{"name": "workdir1", "emptyDir": {}}]

    for name, value in (("absolute", "/tmp"), ("backticks", "..")):
        more, volumes = sub_path({"value": value})
        make(api, name, container("sleep 3600", **more), volumes=volumes)
    more, volumes = sub_path({"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['mysubpath']"}}})
    make(api, "mended", container("sleep 3600", **more), volumes=volumes, metadata={"annotations": {"mysubpath": "/"}})
    for name in ("absolute", "backticks", "mended"):
        is_so(api, name, waiting="CreateContainerConfigError")
    api.patch("pods", "mended", {"metadata": {"annotations": {"mysubpath": "mypath"}}}, MERGE)
    api.phase("mended")
    assert status(api, "absolute")["phase"] == status(api, "backticks")["phase"] == "Pending"


@pytest.fixture
def tainted(api: Client) -> Iterator[None]:
    yield
    api.patch("nodes", "one", {"spec": {"taints": None}}, MERGE)


@row("Taint, Pod Eviction on taint removal")
@pytest.mark.usefixtures("tainted")
def test_a_taint_that_goes_in_time_drives_nobody_out(api: Client) -> None:
    taint = {"key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal", "effect": "NoExecute"}
    tolerations = [{"key": taint["key"], "value": taint["value"], "effect": "NoExecute", "tolerationSeconds": 600}]
    make(api, "taint-eviction-4", container("sleep 3600"), tolerations=tolerations)
    make(api, "driven-out", container("sleep 3600"))
    for name in ("taint-eviction-4", "driven-out"):
        api.phase(name)
    api.patch("nodes", "one", {"spec": {"taints": [taint]}}, MERGE)
    until(lambda: not api.exists("pods", "driven-out"), "who does not bear it is gone")
    api.patch("nodes", "one", {"spec": {"taints": None}}, MERGE)
    assert "deletionTimestamp" not in api.get("pods", "taint-eviction-4")["metadata"]
    assert state(api, "taint-eviction-4")["ready"]
