"""Clusters on real Docker for the end-to-end tests: servers and agents as processes on hosts of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.images import BUSYBOX
from tests.support.kubectl import Kubectl, any_binary
from tests.support.process import TIMEOUT, Process, Server, until


class HostServer(Server):
    """`minik server` on a host that only its own network namespace reaches: asked through kubectl there."""

    def start(self, *, timeout: float = TIMEOUT) -> None:
        Process.start(self)
        until(self._answers, f"the server; its log:\n{self.tail()}", timeout=timeout)

    def kubectl(self, home: Path) -> Kubectl:
        return Kubectl(any_binary().path, self.kubeconfig, home=home, prefix=self.prefix)

    def _answers(self) -> bool:
        if not self.running:
            raise AssertionError(f"minik server ended:\n{self.tail()}")
        return self.kubeconfig.exists() and not self.kubectl(self.data_dir).run("get", "--raw", "/readyz").returncode


def web(replicas: int, *, patience: int | None = None) -> list[dict[str, Any]]:
    """A Deployment of web servers that answer with their own name, and a NodePort Service. `patience`: seconds its pods stay on a
    node that is cut off."""
    command = "mkdir /www; hostname >/www/index.html; trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"
    container = {
        "name": "web",
        "image": BUSYBOX,
        "command": ["sh", "-c", command],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    spec: dict[str, Any] = {"containers": [container]}
    if patience is not None:
        keys = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
        spec["tolerations"] = [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": patience} for key in keys
        ]
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"type": "NodePort", "selector": labels, "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service},
    ]


def running(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The web pods that are Ready and not on their way out."""
    return [
        pod
        for pod in kubectl.get("pods", "-l", "app=web")["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
    ]
