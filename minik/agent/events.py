"""Kubernetes Events about the pods of a node."""

from __future__ import annotations

from minik.agent.context import Events
from minik.agent.plan import init_containers
from minik.api.meta import ROObj
from minik.client.recorder import Recorder


def pod_events(recorder: Recorder | None) -> Events:
    """Events about pods and their containers through `recorder`; without one they go nowhere."""

    def event(pod: ROObj, kind: str, reason: str, message: str, *, container: str = "") -> None:
        if recorder is None:
            return
        path = ""
        if container:
            is_init = any(c["name"] == container for c in init_containers(pod))
            path = f"spec.{'initContainers' if is_init else 'containers'}{{{container}}}"
        recorder.event(pod, kind, reason, message, field_path=path)

    return event
