"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is being deleted."""

from __future__ import annotations

from minik.api import errors, meta
from minik.api.meta import Obj
from minik.server.core import Attributes, Core
from minik.server.lifecycle import terminating


def admit_namespace_lifecycle(core: Core, _draft: Obj, attributes: Attributes) -> None:
    if attributes.verb != "create" or attributes.old is not None or not attributes.kind.namespaced:
        return
    entry = core.cache.get(f"namespaces//{attributes.namespace}")
    if entry is None:
        raise errors.not_found("namespaces", "", attributes.namespace)
    if meta.is_deleting(entry.obj):
        raise terminating(attributes.kind, attributes.name, attributes.namespace)
