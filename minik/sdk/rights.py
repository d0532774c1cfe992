"""What controllers may do, as RBAC objects: for a controller that runs as a pod with a service account of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minik.api.meta import Obj
from minik.client.controller import Controller, Permission, can

_LEASES = can("get,create,update", "leases.coordination.k8s.io")
_OF_EVERY_PROGRAM = (
    can("create,patch", "events"),
    can("get,list,watch,create,patch", "customresourcedefinitions.apiextensions.k8s.io"),
    _LEASES,
)
"""Events, its own definitions (which are watched to learn of others), and the lease."""


def rules(permissions: Iterable[Permission]) -> list[Obj]:
    """RBAC rules, one for each resource. A resource is `deployments.apps`, `deployments.apps/status`, or several with commas."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for permission in permissions:
        for resource in permission.resource.split(","):
            name, slash, subresource = resource.strip().partition("/")
            plural, _, group = name.partition(".")
            key = (group if name != "*" else "*", f"{plural}{slash}{subresource}")
            found.setdefault(key, {}).update(dict.fromkeys(permission.verbs))
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for (group, resource), verbs in found.items()
    ]


def rbac(controllers: Sequence[Controller], *, namespace: str = "default") -> list[Obj]:
    """A ServiceAccount in `namespace`, a ClusterRole with all that the controllers need, and their binding; named after the first."""
    name = controllers[0].name
    permissions = [each for controller in controllers for each in controller.permissions()]
    api = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {
            "apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": rules([*permissions, *_OF_EVERY_PROGRAM]),
        },
        {
            "apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [account],
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
        },
    ]  # fmt: skip
