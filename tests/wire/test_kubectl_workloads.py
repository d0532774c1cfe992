"""Deployments by stock kubectl, as a person types it (issue 2, point 2): create, expose, scale, set image, rollout, delete."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """kubectl, with a Deployment `web` of two ready pods in its namespace."""
    assert kubectl("create", "deployment", "web", "--image=registry.test/web:1", "--replicas=2", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    return kubectl


def images(kubectl: Kubectl) -> set[str]:
    return {c["image"] for pod in kubectl.get("pods")["items"] for c in pod["spec"]["containers"]}


def test_create_deployment(kubectl: Kubectl) -> None:
    printed = kubectl("create", "deployment", "web", "--image=registry.test/web:1", "--replicas=3")
    assert printed == "deployment.apps/web created\n"
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    deployment = kubectl.get("deployment", "web")
    assert deployment["status"]["readyReplicas"] == 3
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    pods = kubectl.get("pods", "-l", "app=web")["items"]
    assert len(pods) == 3
    assert all(pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet" for pod in pods)
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 3, "spread over the three nodes"
    assert '"web" already exists' in kubectl.fails("create", "deployment", "web", "--image=registry.test/web:1")


def test_expose(web: Kubectl) -> None:
    assert web("expose", "deployment", "web", "--port=80", "--target-port=8080") == "service/web exposed\n"
    service = web.get("service", "web")
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert service["spec"]["selector"] == {"app": "web"}
    addresses = {pod["status"]["podIP"] for pod in web.get("pods")["items"]}

    def endpoints() -> bool:
        slices = web.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
        return {a for s in slices for e in s["endpoints"] or [] for a in e["addresses"]} == addresses

    until(endpoints, "an endpoint slice with both pods")
    assert web.get("endpoints", "web")["subsets"][0]["ports"] == [{"port": 8080, "protocol": "TCP"}]
    web("expose", "deployment", "web", "--name=outside", "--port=80", "--type=NodePort")
    assert 30000 <= web.get("service", "outside")["spec"]["ports"][0]["nodePort"] <= 32767


def test_scale(web: Kubectl) -> None:
    assert web("scale", "deployment", "web", "--replicas=5") == "deployment.apps/web scaled\n"
    web("rollout", "status", "deployment/web", "--timeout=60s")
    web.eventually("5", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
    web("scale", "deployment", "web", "--current-replicas=5", "--replicas=1")
    web.eventually(lambda out: out.count("web-") == 1, "get", "pods", "-o", "name")
    assert "Expected replicas to be 9, was 1" in web.fails(
        "scale", "deploy/web", "--current-replicas=9", "--replicas=2"
    )


def test_rollout(web: Kubectl) -> None:
    assert web("set", "image", "deployment/web", "web=registry.test/web:2") == "deployment.apps/web image updated\n"
    web("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: images(web) == {"registry.test/web:2"}, "only new pods")
    web("annotate", "deployment/web", "kubernetes.io/change-cause=second image")
    history = web("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "second image" in web("rollout", "history", "deployment/web")
    assert "registry.test/web:1" in web("rollout", "history", "deployment/web", "--revision=1")

    assert "rolled back" in web("rollout", "undo", "deployment/web")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: images(web) == {"registry.test/web:1"}, "the first image again")
    revision = web.get("deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert revision == "3"
    assert len(web.names("replicasets")) == 2, "the old replica set is taken up again, not a third made"


def test_rollout_undo_to_revision_and_restart(web: Kubectl) -> None:
    for tag in ("2", "3"):
        web("set", "image", "deployment/web", f"web=registry.test/web:{tag}")
        web("rollout", "status", "deployment/web", "--timeout=60s")
    web("rollout", "undo", "deployment/web", "--to-revision=2")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: images(web) == {"registry.test/web:2"}, "the image of revision 2")
    before = set(web.names("pods"))
    web("rollout", "restart", "deployment/web")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: not before & set(web.names("pods")), "every pod replaced")


def test_rollout_pause_and_resume(web: Kubectl) -> None:
    web("rollout", "pause", "deployment/web")
    web("set", "image", "deployment/web", "web=registry.test/web:2")
    generation = web.get("deployment", "web")["metadata"]["generation"]
    web.eventually(str(generation), "get", "deploy", "web", "-o", "jsonpath={.status.observedGeneration}")
    assert images(web) == {"registry.test/web:1"}
    web("rollout", "resume", "deployment/web")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: images(web) == {"registry.test/web:2"}, "the image after resuming")


def test_get_watch_streams(web: Kubectl) -> None:
    with web.popen("get", "deployment", "web", "-w") as watch:
        watch.expect(r"^NAME +READY")
        watch.expect(r"^web +2/2 ")
        web("scale", "deployment", "web", "--replicas=3")
        watch.expect(r"^web +3/3 ")
        assert watch.process.poll() is None, "the watch is still open"


def test_watch_only(web: Kubectl) -> None:
    with web.popen("get", "configmaps", "--watch-only", "--output-watch-events") as watch:
        # It lists first and tells nothing of that: so make one after the other until one is told.
        deadline, number = time.monotonic() + 60, 0
        while "ADDED" not in watch.seen:
            assert time.monotonic() < deadline
            number += 1
            web("create", "configmap", f"c-{number}")
            with contextlib.suppress(AssertionError):
                watch.expect(r"ADDED +c-\d+ ", timeout=2)
        web("delete", "configmap", f"c-{number}")
        watch.expect(f"DELETED +c-{number} ")


def test_describe(web: Kubectl) -> None:
    web("expose", "deployment", "web", "--port=80")
    described = web("describe", "deployment", "web")
    for part in (
        "StrategyType:",
        "2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
        "Available      True",
    ):
        assert part in described
    web.eventually(lambda out: "Scaled up replica set" in out, "describe", "deployment", "web")
    pod = web.names("pods")[0]
    web.eventually(lambda out: "Successfully assigned" in out and "Started" in out, "describe", "pod", pod)
    assert "registry.test/web:1" in web("describe", "pod", pod)
    web.eventually(lambda out: "Endpoints:" in out and "<none>" not in out.split("Endpoints:")[1].split("\n")[0],
                   "describe", "service", "web")  # fmt: skip
    node = web("describe", "node", "sim-0")
    for part in ("Capacity:", "Allocatable:", "Conditions:", "Ready            True", "Non-terminated Pods:"):
        assert part in node
    assert "Status:       Active" in web("describe", "namespace", "default")


def test_delete_cascades(web: Kubectl) -> None:
    assert web("delete", "deployment", "web").startswith('deployment.apps "web" deleted')
    web.eventually("", "get", "replicasets,pods", "-o", "name")


def test_delete_foreground_waits(web: Kubectl) -> None:
    web("delete", "deployment", "web", "--cascade=foreground")
    assert web("get", "replicasets,pods", "-o", "name") == ""


def test_delete_orphans_then_adopts(web: Kubectl) -> None:
    web("delete", "deployment", "web", "--cascade=orphan")
    (owned,) = web.get("replicasets")["items"]
    assert "ownerReferences" not in owned["metadata"]
    assert owned["metadata"]["labels"]["app"] == "web"
    pods = web.names("pods")
    web("create", "deployment", "web", "--image=registry.test/web:1", "--replicas=2", "--port=80")
    web("rollout", "status", "deployment/web", "--timeout=60s")

    def adopted() -> bool:
        (again,) = web.get("replicasets")["items"]
        owners = again["metadata"].get("ownerReferences", [])
        return [o["kind"] for o in owners] == ["Deployment"] and again["metadata"]["uid"] == owned["metadata"]["uid"]

    until(adopted, "the new deployment adopts the replica set")
    assert web.names("pods") == pods
    # Without waiting: the deployment makes one of the same name at once, and kubectl may take it for the old one.
    web("delete", "replicaset", owned["metadata"]["name"], "--cascade=orphan", "--wait=false")
    until(
        lambda: all(_owner_is_not(pod, owned["metadata"]["uid"]) for pod in web.get("pods")["items"]), "orphaned pods"
    )
    assert set(pods) <= set(web.names("pods"))


def _owner_is_not(pod: dict, uid: str) -> bool:  # type: ignore[type-arg]  # as kubectl prints it
    return all(owner["uid"] != uid for owner in pod["metadata"].get("ownerReferences", []))


def test_delete_collection(web: Kubectl) -> None:
    for name in ("a", "b", "c"):
        web("create", "configmap", name)
        web("label", "configmap", name, f"kept={'yes' if name == 'a' else 'no'}")
    web("delete", "configmaps", "-l", "kept=no")
    assert "a" in web.names("configmaps")
    assert not {"b", "c"} & set(web.names("configmaps"))
    web("delete", "all", "--all")
    web.eventually("", "get", "deploy,rs,pods", "-o", "name")


def test_wait(web: Kubectl) -> None:
    assert "condition met" in web("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    web("wait", "--for=condition=Ready", "pods", "-l", "app=web", "--timeout=60s")
    web("wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/web", "--timeout=60s")
    pod = web.names("pods")[0]
    web("delete", "pod", pod, "--wait=false")
    web("wait", "--for=delete", f"pod/{pod}", "--timeout=60s")
    assert "timed out" in web.fails("wait", "--for=condition=Progressing=False", "deployment/web", "--timeout=1s")


def test_logs(kubectl: Kubectl) -> None:
    kubectl("run", "talker", "--image=registry.test/busybox", "--restart=Never", "--", "sh", "-c", "echo one; echo two")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/talker", "--timeout=60s")
    assert kubectl("logs", "talker") == "one\ntwo\n"
    assert kubectl("logs", "talker", "--tail=1") == "two\n"
    assert kubectl("logs", "talker", "--timestamps").splitlines()[0].endswith("Z one")
    assert "not found" in kubectl.fails("logs", "nobody")
