"""The Node object: what this node says of itself, and how it comes to be. The builders are pure.

Called by `agent.py` once at the start and by `heartbeat.py` for the status. Rules: kubelet `pkg/kubelet/kubelet_node_status.go` and
`pkg/kubelet/nodestatus/setters.go`. Labels and taints that others put on the node are theirs: only missing ones are added.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from minik.agent.containers.base import EngineInfo, ImageInfo
from minik.api import meta
from minik.api.errors import AlreadyExists
from minik.api.meta import Obj, ROObj
from minik.api.times import format_time
from minik.client.client import Client

KUBELET_VERSION = "v1.36.0"
"""The Kubernetes version whose behaviour this agent has; clients compare it with the server's."""
MAX_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_LOW_MEMORY = 100 << 20
_LOW_DISK = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the host is and has. Sizes in bytes."""

    name: str
    address: str
    cpus: int
    memory: int
    disk: int = 0
    architecture: str = "amd64"
    kernel: str = ""
    os_image: str = ""
    engine: str = ""
    """`docker://28.2.2`"""
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    pods: int = MAX_PODS


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is. Empty reasons: well. Free amounts in bytes, None where nobody measured."""

    runtime: str = ""
    network: str = ""
    free_memory: int | None = None
    free_disk: int | None = None


def host_facts(
    name: str,
    address: str,
    engine: EngineInfo,
    *,
    disk: int = 0,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
    etc: Path = Path("/etc"),
    var: Path = Path("/var"),
    is_real: bool = True,
) -> HostFacts:
    """The host's facts, from its engine and, if it `is_real`, the files that cadvisor reads."""
    machine = engine.architecture or platform.machine()
    machine_id = _first_line(etc / "machine-id", var / "lib/dbus/machine-id") if is_real else ""
    product = (sys / "class/dmi/id/product_uuid", proc / "device-tree/system-id", proc / "device-tree/vm,uuid")
    return HostFacts(
        name=name,
        address=address,
        cpus=engine.cpus or 1,
        memory=engine.memory,
        disk=disk,
        architecture=_ARCHITECTURES.get(machine, machine),
        kernel=engine.kernel,
        os_image=engine.os_image,
        engine=f"{engine.name}://{engine.version}",
        machine_id=machine_id,
        system_uuid=(_first_line(*product) or machine_id) if is_real else "",
        boot_id=_first_line(proc / "sys/kernel/random/boot_id") if is_real else "",
        labels=labels or {},
        taints=taints,
    )


def _first_line(*paths: Path) -> str:
    """Of the first of these files that has one."""
    for path in paths:
        try:
            line = path.read_text(errors="replace").split("\n", 1)[0].strip(" \t\0")
        except OSError:
            continue
        if line:
            return line
    return ""


IMAGES, NAMES = 50, 5
"""kubelet's nodeStatusMaxImages and maxNamesPerImageInNodeStatus."""


def node_labels(facts: HostFacts) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        **facts.labels,
    }


def node_object(facts: HostFacts, health: Health, now: datetime) -> Obj:
    """The Node to create."""
    spec: Obj = {"taints": [dict(taint) for taint in facts.taints]} if facts.taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": facts.name, "labels": node_labels(facts)},
        "spec": spec,
        "status": node_status(facts, health, None, now),
    }


def node_status(
    facts: HostFacts, health: Health, old: ROObj | None, now: datetime, images: Sequence[Obj] | None = None
) -> Obj:
    """`status` of the Node; `old` is the node as the server has it, whose transition times are kept. `images`: see `image_list`;
    None leaves what the server has."""
    resources = {
        "cpu": str(facts.cpus),
        "ephemeral-storage": str(facts.disk),
        "memory": f"{facts.memory // 1024}Ki",
        "pods": str(facts.pods),
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": facts.address},
            {"type": "Hostname", "address": facts.name},
        ],
        "capacity": resources,
        "allocatable": dict(resources),
        "conditions": [_condition(kind, verdict, old, now) for kind, verdict in verdicts(health)],
        "nodeInfo": {
            "architecture": facts.architecture,
            "bootID": facts.boot_id,
            "containerRuntimeVersion": facts.engine,
            "kernelVersion": facts.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": facts.machine_id,
            "operatingSystem": "linux",
            "osImage": facts.os_image,
            "systemUUID": facts.system_uuid,
        },
        **({"images": list(images)} if images is not None else {}),
    }


def image_list(images: Iterable[ImageInfo]) -> list[Obj]:
    """`status.images`, by which the scheduler prefers nodes that have a pod's images: the 50 largest, five names of each."""
    found = [
        {"names": [*image.tags, *image.digests][:NAMES], "sizeBytes": image.size}
        for image in sorted(images, key=lambda image: (-image.size, image.id))
        if image.tags or image.digests
    ]
    return found[:IMAGES]


Verdict = tuple[bool, str, str]


def verdicts(health: Health) -> list[tuple[str, Verdict]]:
    """(condition type, (true?, reason, message)) in the order kubelet gives."""
    low_memory = health.free_memory is not None and health.free_memory < _LOW_MEMORY
    low_disk = health.free_disk is not None and health.free_disk < _LOW_DISK
    problems = [
        f"container runtime is down: {health.runtime}" if health.runtime else "",
        f"container runtime network not ready: {health.network}" if health.network else "",
    ]
    problem = ", ".join(filter(None, problems))
    ready = (
        (False, "KubeletNotReady", problem)
        if problem
        else (True, "KubeletReady", "minik agent is posting ready status")
    )
    return [
        (
            "MemoryPressure",
            (True, "KubeletHasInsufficientMemory", "the node has insufficient memory available")
            if low_memory
            else (False, "KubeletHasSufficientMemory", "the node has sufficient memory available"),
        ),
        (
            "DiskPressure",
            (True, "KubeletHasDiskPressure", "the node has disk pressure")
            if low_disk
            else (False, "KubeletHasNoDiskPressure", "the node has no disk pressure"),
        ),
        ("PIDPressure", (False, "KubeletHasSufficientPID", "the node has sufficient PID available")),
        ("Ready", ready),
    ]


def _condition(kind: str, verdict: Verdict, old: ROObj | None, now: datetime) -> Obj:
    is_true, reason, message = verdict
    status = "True" if is_true else "False"
    known = meta.condition(old, kind) if old is not None else None
    is_same = known is not None and known.get("status") == status and known.get("lastTransitionTime")
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": format_time(now),
        "lastTransitionTime": known["lastTransitionTime"] if is_same and known else format_time(now),
        "reason": reason,
        "message": message,
    }


def is_ready(node: ROObj) -> bool:
    condition = meta.condition(node, "Ready")
    return condition is not None and condition.get("status") == "True"


async def register(client: Client, node: Obj) -> ROObj:
    """Create the Node, or add to the one that exists the labels it lacks. Raises StatusError."""
    try:
        return await client.create("nodes", node)
    except AlreadyExists:
        known = await client.get("nodes", meta.name(node))
    missing: dict[str, Any] = {
        key: value for key, value in meta.labels(node).items() if meta.labels(known).get(key) != value
    }
    if missing:
        known = await client.patch("nodes", meta.name(node), "", {"metadata": {"labels": missing}})
    return known
