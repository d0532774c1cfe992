"""The official Python client, unmodified: typed objects out and back, watch, logs, patches, errors. Installed by .ci/run; else skipped."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.process import Server, until

kubernetes = pytest.importorskip("kubernetes", reason="the official Python client is not installed")


@pytest.fixture
def api(server: Server) -> Any:
    """An ApiClient from the administrator's kubeconfig."""
    client = kubernetes.config.new_client_from_config(config_file=str(server.kubeconfig))
    yield client
    client.close()


def labels(name: str) -> dict[str, str]:
    return {"app": name}


def test_deployment_from_models(api: Any, namespace: str) -> None:
    models, apps, core = kubernetes.client, kubernetes.client.AppsV1Api(api), kubernetes.client.CoreV1Api(api)
    container = models.V1Container(
        name="web", image="registry.test/web:1", ports=[models.V1ContainerPort(container_port=80)]
    )
    template = models.V1PodTemplateSpec(
        metadata=models.V1ObjectMeta(labels=labels("web")), spec=models.V1PodSpec(containers=[container])
    )
    spec = models.V1DeploymentSpec(
        replicas=2, selector=models.V1LabelSelector(match_labels=labels("web")), template=template
    )
    body = models.V1Deployment(metadata=models.V1ObjectMeta(name="web"), spec=spec)
    made = apps.create_namespaced_deployment(namespace, body)
    assert made.metadata.uid
    until(lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 2, "two ready replicas")
    pods = core.list_namespaced_pod(namespace, label_selector="app=web").items
    assert [pod.status.phase for pod in pods] == ["Running", "Running"]
    assert all(pod.status.start_time.tzinfo is not None for pod in pods)
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
    assert scale.spec.replicas == 3
    until(lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 3, "three ready replicas")
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    until(lambda: not core.list_namespaced_pod(namespace).items, "no pods")


def test_watch(api: Any, namespace: str) -> None:
    core = kubernetes.client.CoreV1Api(api)
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        watch = kubernetes.watch.Watch()
        for event in watch.stream(
            core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=60
        ):
            if event["object"].metadata.name == "c":
                seen.append((event["type"], (event["object"].data or {}).get("a", "")))
                if event["type"] == "DELETED":
                    watch.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("c", namespace)
    thread.join(90)
    assert not thread.is_alive()
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_paging(api: Any, namespace: str) -> None:
    core = kubernetes.client.CoreV1Api(api)
    for number in range(7):
        core.create_namespaced_secret(
            namespace, {"metadata": {"name": f"s-{number}"}, "stringData": {"n": str(number)}}
        )
    names, token = [], None
    while True:
        page = core.list_namespaced_secret(namespace, limit=3, _continue=token)
        assert len(page.items) <= 3
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"s-{number}" for number in range(7)]


def test_errors(api: Any, namespace: str) -> None:
    core = kubernetes.client.CoreV1Api(api)
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.read_namespaced_pod("nothing", namespace)
    assert (refused.value.status, refused.value.reason) == (404, "Not Found")
    assert '"reason":"NotFound"' in refused.value.body
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}})
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "1"}})
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.replace_namespaced_config_map("c", namespace, made)
    assert refused.value.status == 409


def test_dynamic_client(api: Any, namespace: str) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api)
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    maps.create(namespace=namespace, body={"metadata": {"name": "c"}, "data": {"a": "1"}})
    assert maps.get(name="c", namespace=namespace).data.to_dict() == {"a": "1"}
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    assert "scale" in deployments.subresources
