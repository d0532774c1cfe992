"""Finding the container that a log, exec or attach request means, and turning down what cannot work (pod registry strategy)."""

from __future__ import annotations

from minik.api import meta
from minik.api.errors import BadRequest
from minik.api.meta import ROObj

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def all_names(pod: ROObj) -> list[str]:
    spec = pod["spec"]
    groups = ("initContainers", "containers", "ephemeralContainers")
    return [container["name"] for group in groups for container in spec.get(group) or ()]


def container_name(pod: ROObj, asked: str, *, log: bool = False) -> str:
    """The container to use. Raises BadRequest if it is not in the pod, or if none was asked for and there are several."""
    spec = pod["spec"]
    if asked:
        if asked not in all_names(pod):
            raise BadRequest(f"container {asked} is not valid for pod {meta.name(pod)}")
        return asked
    names = [container["name"] for container in spec["containers"]]
    if len(names) == 1:
        return str(names[0])
    annotated = meta.annotations(pod).get(DEFAULT_CONTAINER)
    if annotated and annotated in names and not log:
        return annotated
    extra = ""
    init = [container["name"] for container in spec.get("initContainers") or ()]
    if init:
        extra = f" or one of the init containers: [{' '.join(init)}]"
    raise BadRequest(
        f"a container name must be specified for pod {meta.name(pod)}, choose one of: [{' '.join(names)}]{extra}"
    )


def node_name(pod: ROObj) -> str:
    """The pod's node. Raises BadRequest if it has none yet."""
    node: str = pod["spec"].get("nodeName") or ""
    if not node:
        raise BadRequest(f"pod {meta.name(pod)} does not have a host assigned")
    return node
