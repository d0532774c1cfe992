"""NodeRestriction: a node's credentials write only its own Node, the pods bound to it, and their tokens; and of
volumes that lie on it the finalizer.

What can be told from the URL alone is in `authz/`; this looks at the objects. Source: `plugin/pkg/admission/noderestriction`.
"""

from __future__ import annotations

from minik.api import errors
from minik.api.meta import Obj
from minik.server.authz import node_volumes
from minik.server.authz.rules import node_name
from minik.server.core import Attributes, Core


def admit_node_restriction(_core: Core, draft: Obj, attributes: Attributes) -> None:
    user = attributes.user
    if "system:nodes" not in user.groups:
        return
    node = node_name(user)
    resource = attributes.kind.resource
    if resource == "nodes" and attributes.name != node:
        raise errors.forbidden(
            "nodes", "", attributes.name, f'node "{node}" is not allowed to modify node "{attributes.name}"'
        )
    if resource == node_volumes.VOLUMES and not (
        attributes.old is not None and node_volumes.changes_only_its_finalizer(attributes.old, draft)
    ):
        why = f'node "{node}" can only take its finalizer off a volume'
        raise errors.forbidden(resource, "", attributes.name, why)
    if resource != "pods":
        return
    if attributes.verb == "create" and not attributes.subresource:
        why = f'pod does not have "kubernetes.io/config.mirror" annotation, node "{node}" can only create mirror pods'
        raise errors.forbidden("pods", "", attributes.name, why)
    bound = ((attributes.old or draft).get("spec") or {}).get("nodeName")
    if bound != node:
        why = f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
        raise errors.forbidden("pods", "", attributes.name, why)
