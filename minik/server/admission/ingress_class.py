"""A new Ingress that names no class gets the default one (admission plugin DefaultIngressClass)."""

from __future__ import annotations

from minik.api import meta
from minik.api.meta import Obj
from minik.api.networking_v1 import ingress, ingressclass
from minik.server.core import Attributes, Core

_CLASSES = "ingressclasses.networking.k8s.io"


def admit_ingress_class(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Of several defaults the youngest counts, of equally young ones the first by name."""
    if attributes.kind is not ingress.KIND or attributes.verb != "create" or attributes.subresource:
        return
    if draft["spec"].get("ingressClassName") is not None or ingress.CLASS_ANNOTATION in meta.annotations(draft):
        return
    defaults = [entry.obj for entry in core.cache.list(_CLASSES) if ingressclass.is_default(entry.obj)]
    if defaults:
        defaults.sort(key=meta.name)
        youngest = max(defaults, key=lambda obj: obj["metadata"]["creationTimestamp"])
        draft["spec"]["ingressClassName"] = meta.name(youngest)
