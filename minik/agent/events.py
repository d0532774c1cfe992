"""Kubernetes Events about the pods of a node."""

from __future__ import annotations

from minik.agent.context import Events
from minik.agent.plan import ephemeral_containers, init_containers
from minik.api.meta import ROObj
from minik.client.recorder import Recorder


def pod_events(recorder: Recorder | None) -> Events:
    """Events about pods and their containers through `recorder`; without one they go nowhere."""

    def event(pod: ROObj, kind: str, reason: str, message: str, *, container: str = "") -> None:
        if recorder is None:
            return
        path = f"spec.{_list_of(pod, container)}{{{container}}}" if container else ""
        recorder.event(pod, kind, reason, message, field_path=path)

    return event


def _list_of(pod: ROObj, name: str) -> str:
    """The field of the pod's spec that lists the container."""
    for field, containers in (
        ("initContainers", init_containers(pod)),
        ("ephemeralContainers", ephemeral_containers(pod)),
    ):
        if any(container["name"] == name for container in containers):
            return field
    return "containers"
