"""What the agent calls the things it makes: labels and names of containers, and the directories of a pod.

All truth about running pods is recovered from these, so they are deterministic. Used by everything in `minik.agent`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minik.api import meta
from minik.api.meta import ROObj

NODE = "minik.node"
UID = "minik.pod.uid"
POD_NAME = "minik.pod.name"
NAMESPACE = "minik.pod.namespace"
KIND = "minik.kind"
CONTAINER = "minik.container"
ATTEMPT = "minik.attempt"
POD_IP = "minik.pod.ip"
"""On sandboxes only."""
RUNTIME = "minik.runtime"
"""On sandboxes: the engine's runtime that the pod's RuntimeClass names."""
SANDBOX_ATTEMPT = "minik.sandbox"
"""On containers: the attempt of the sandbox they joined. Init containers run again in a new sandbox."""
BACKOFF = "minik.backoff"
"""On containers: seconds to wait after this attempt ends before the next may start."""
HASH = "minik.hash"
"""On containers: what of the spec it was made from. When it differs, the container is made anew."""
IMAGE_ID = "minik.image.id"
"""On containers: `containerStatuses[].imageID`."""
TERMINATION_POLICY = "minik.termination.policy"

SANDBOX = "POD"
"""The container name of sandboxes."""


def container_name(pod: ROObj, container: str, attempt: int) -> str:
    """`mk_<container>_<pod>_<namespace>_<uid>_<attempt>`."""
    return f"mk_{container}_{meta.name(pod)}_{meta.namespace(pod)}_{meta.uid(pod)}_{attempt}"


def labels(node: str, pod: ROObj, container: str, attempt: int, **more: str) -> dict[str, str]:
    """The labels every sandbox and container of `pod` carries."""
    return {
        NODE: node,
        UID: meta.uid(pod),
        POD_NAME: meta.name(pod),
        NAMESPACE: meta.namespace(pod),
        KIND: "sandbox" if container == SANDBOX else "container",
        CONTAINER: container,
        ATTEMPT: str(attempt),
        **more,
    }


def container_hash(container: Mapping[str, Any]) -> str:
    """Of what may change in a running pod and needs a new container: name and image (as kubelet's HashContainer)."""
    text = container["name"] + chr(0) + container.get("image", "")
    return f"{zlib.crc32(text.encode()):08x}"


class PodDirs:
    """Where a pod's files are: `<data_dir>/pods/<uid>/…`."""

    __slots__ = ("root",)

    def __init__(self, data_dir: Path, uid: str) -> None:
        self.root = data_dir / "pods" / uid

    @property
    def hosts(self) -> Path:
        return self.root / "etc-hosts"

    @property
    def resolv_conf(self) -> Path:
        return self.root / "resolv.conf"

    def volume(self, name: str) -> Path:
        return self.root / "volumes" / name

    def termination_log(self, container: str, attempt: int) -> Path:
        return self.root / "containers" / container / str(attempt)
