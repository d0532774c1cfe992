"""Pods and containers for the agent's tests, in as few words as possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minik.agent import names
from minik.agent.containers.base import ContainerInfo, State
from minik.agent.observed import ObservedPod, observed_pod

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def container(name: str = "web", image: str = "img", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **more}


def pod(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A pod bound to node n1. `status`, `metadata` and `init` (init containers) apart, `more` goes into the spec."""
    status, metadata, init = more.pop("status", {}), more.pop("metadata", {}), more.pop("init", None)
    spec = {"nodeName": "n1", "restartPolicy": "Always", "containers": list(containers or (container(),)), **more}
    if init:
        spec["initContainers"] = list(init)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T11:00:00Z",
            **metadata,
        },
        "spec": spec,
        "status": status,
    }


def sandbox(state: State = "running", attempt: int = 0, **more: Any) -> ContainerInfo:
    labels = names.labels("n1", pod(), names.SANDBOX, attempt)
    labels[names.POD_IP] = "10.244.0.5"
    return ContainerInfo(
        id=f"sandbox-{attempt}",
        name=f"mk_POD_{attempt}",
        labels=labels,
        state=state,
        pid=100 if state == "running" else 0,
        **more,
    )


def ran(
    name: str = "web",
    state: State = "running",
    attempt: int = 0,
    *,
    in_sandbox: int = 0,
    backoff: int = 0,
    image: str = "img",
    **more: Any,
) -> ContainerInfo:
    """One attempt of a container."""
    labels = names.labels("n1", pod(), name, attempt)
    labels[names.SANDBOX_ATTEMPT] = str(in_sandbox)
    labels[names.BACKOFF] = str(backoff)
    labels[names.HASH] = names.container_hash({"name": name, "image": image})
    labels[names.IMAGE_ID] = "sha256:0a"
    more.setdefault("started_at", ago(60) if state != "created" else None)
    if state == "exited":
        more.setdefault("finished_at", ago(1))
    return ContainerInfo(id=f"{name}-{attempt}", name=f"mk_{name}_{attempt}", labels=labels, state=state, **more)


def seen(*infos: ContainerInfo) -> ObservedPod:
    return observed_pod(infos)
