"""The quickstart's example: a page in a ConfigMap, served by three replicas behind a Service."""

from __future__ import annotations

from typing import Any

IMAGE = "busybox:stable"
REPLICAS = 3
PAGE = "Hello from minik!\n"
LABELS = {"app": "hello"}

Obj = dict[str, Any]


def objects(namespace: str) -> list[tuple[str, Obj]]:
    """(collection path, object), in the order to create them."""
    inside = f"/api/v1/namespaces/{namespace}"
    container = {
        "name": "web",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "page", "mountPath": "/www"}],
    }
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [container], "volumes": [{"name": "page", "configMap": {"name": "page"}}]},
    }
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": LABELS}, "template": template}
    service = {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return [
        ("/api/v1/namespaces", _object("v1", "Namespace", namespace)),
        (f"{inside}/configmaps", _object("v1", "ConfigMap", "page", data={"index.html": PAGE})),
        (f"/apis/apps/v1/namespaces/{namespace}/deployments", _object("apps/v1", "Deployment", "hello", spec=spec)),
        (f"{inside}/services", _object("v1", "Service", "hello", spec=service)),
    ]


def _object(api_version: str, kind: str, name: str, **rest: Any) -> Obj:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}
