"""What a node may do with claims and volumes, for `rules.py` and NodeRestriction: read the claims that its pods name and the volumes that
those claims have; read the volumes that lie on it (label `minik.io/node`) and take its finalizer off them.

Upstream's node authorizer goes the same ways (pod → claim → volume, KEP-279); the label is minik's own.
"""

from __future__ import annotations

from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.meta import ROObj
from minik.api.selectors import SelectorError, parse_label_selector
from minik.server.request import RequestInfo
from minik.storage.cache import Cache

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"
_BY_NODE = "spec.nodeName"
_READ = frozenset({"get", "list", "watch"})


def allowed(cache: Cache, node: str, info: RequestInfo) -> bool:
    """Whether the node may; `info` is of claims or volumes, without a subresource."""
    if info.plural == CLAIMS:
        return info.verb in _READ and bool(info.name) and _is_claim_used(cache, node, info.namespace, info.name)
    if info.verb in ("list", "watch"):
        return _selects_own(info.labels, node)
    entry = cache.get(f"{VOLUMES}//{info.name}") if info.verb in ("get", "patch") and info.name else None
    if entry is None:
        return False
    return volumes.directory_node(entry.obj) == node or (info.verb == "get" and _is_volume_used(cache, node, entry.obj))


def changes_only_its_finalizer(old: ROObj, new: ROObj) -> bool:
    """Whether a write does no more to a volume than to take off the finalizer of the node. Pure."""
    rest = [each for each in meta.finalizers(old) if each != volumes.NODE_DIRECTORY]
    return _without(old) == _without(new) and list(meta.finalizers(new)) in (rest, list(meta.finalizers(old)))


def _without(volume: ROObj) -> ROObj:
    apart = ("finalizers", "managedFields", "resourceVersion", "generation")
    metadata = {key: value for key, value in volume["metadata"].items() if key not in apart}
    return {**volume, "metadata": metadata}


def _is_claim_used(cache: Cache, node: str, namespace: str, name: str) -> bool:
    here = cache.by_index("pods", _BY_NODE, node)
    return any(entry.namespace == namespace and name in pods.claim_names(entry.obj) for entry in here)


def _is_volume_used(cache: Cache, node: str, volume: ROObj) -> bool:
    ref = volumes.claim_ref(volume) or {}
    return _is_claim_used(cache, node, ref.get("namespace") or "", ref.get("name") or "")


def _selects_own(selector: str, node: str) -> bool:
    try:
        return parse_label_selector(selector).equalities().get(volumes.NODE_LABEL) == node
    except SelectorError:
        return False
