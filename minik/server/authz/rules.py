"""Static rules, beside RBAC: who may do what whatever roles say, told from the URL and the cache.

* `system:masters`: everything.
* `system:nodes`, user `system:node:<name>` (as the node authorizer, KEP-279): create and change its own Node, read all Nodes;
  read, update the status of, and delete pods bound to it; read Services, EndpointSlices, Endpoints and Namespaces; read the
  ConfigMaps, Secrets, ServiceAccounts and claims that its pods name; tokens for its pods' service accounts; PersistentVolumes
  of its pods (`node_volumes.py`); its own Lease in kube-node-lease; create and patch Events; ask for certificates; the link
  (`/minik/v1/link`).
* `/minik/v1/history`, `/backup` and `/check`, which show everything: `system:masters` alone;
  `/minik/v1/why/NAMESPACE/NAME`: who may get the pod (`routing.py` makes it that).
* `system:bootstrappers`: `POST /minik/v1/join`.
* anybody who has a name: discovery, OpenAPI, version, health, and reviews of their own access.
* service accounts in kube-system, which run parts of the cluster: everything.
* everybody else, and for everything else: what roles allow (`rbac.py`; `access.py` puts both together).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minik.api.errors import Forbidden, qualified, resource_details
from minik.api.meta import ROObj
from minik.api.selectors import SelectorError, parse_field_selector
from minik.server.authz import node_volumes
from minik.server.request import ANONYMOUS, Request, RequestInfo, User
from minik.storage.cache import Cache

MASTERS = "system:masters"
NODES = "system:nodes"
BOOTSTRAPPERS = "system:bootstrappers"
_NODE_PREFIX = "system:node:"
SYSTEM_ACCOUNTS = "system:serviceaccounts:kube-system"
_READ = frozenset({"get", "list", "watch"})
_OPEN_PATHS = frozenset({"/", "/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/minik/v1/ca"})
_OPEN_PREFIXES = ("/api/", "/apis/", "/openapi/", "/healthz/", "/livez/", "/readyz/", "/.well-known/", "/openid/")
_ADMINISTRATORS_PREFIX = "/minik/"
_SELF_REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
_NODE_READS = frozenset({"nodes", "services", "endpoints", "endpointslices", "namespaces", "runtimeclasses"})
BY_NODE = "spec.nodeName"

Authorize = Callable[[User, RequestInfo, str], bool]
"""(user, what, the request's field selector) → allowed."""


def node_name(user: User) -> str:
    """The node that speaks, or ""."""
    return user.name.removeprefix(_NODE_PREFIX) if user.name.startswith(_NODE_PREFIX) else ""


def is_system_account(user: User) -> bool:
    """Whether it is a service account of kube-system."""
    return SYSTEM_ACCOUNTS in user.groups


def authorizer(cache: Cache) -> Authorize:
    """The rules above, over what the cache shows."""

    def allowed(user: User, info: RequestInfo, fields: str) -> bool:
        groups = user.groups
        if MASTERS in groups:
            return True
        if is_system_account(user) and (info.is_resource or not info.path.startswith(_ADMINISTRATORS_PREFIX)):
            return True
        if not info.is_resource:
            return _path_allowed(user, info)
        if user is not ANONYMOUS and info.plural in _SELF_REVIEWS and info.verb == "create":
            return True
        if NODES in groups:
            name = node_name(user)
            return bool(name) and _node_allowed(cache, name, info, fields)
        return False

    return allowed


def _path_allowed(user: User, info: RequestInfo) -> bool:
    path = info.path
    if path == "/minik/v1/join":
        return BOOTSTRAPPERS in user.groups
    if path == "/minik/v1/link":
        return NODES in user.groups
    if user is ANONYMOUS:
        return info.verb in ("get", "head")  # authentication lets strangers in on the open paths only
    return info.verb in ("get", "head", "options") and (path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES))


def _node_allowed(cache: Cache, node: str, info: RequestInfo, fields: str) -> bool:
    plural, verb, sub = info.plural, info.verb, info.subresource
    if plural == "nodes" and verb not in _READ:
        if sub not in ("", "status"):
            return False
        return verb == "create" or (verb in ("update", "patch") and info.name == node)
    if plural in _NODE_READS:
        return verb in _READ
    if plural == "pods":
        return _node_pods(cache, node, info, fields)
    if plural in ("configmaps", "secrets"):
        return verb in _READ and bool(info.name) and _is_used(cache, node, plural, info.namespace, info.name)
    if plural in (node_volumes.CLAIMS, node_volumes.VOLUMES) and not info.group:
        return not sub and node_volumes.allowed(cache, node, info)
    if plural == "serviceaccounts":
        mine = _uses_account(cache, node, info.namespace, info.name)
        return mine and ((sub == "token" and verb == "create") or (not sub and verb == "get"))
    if plural == "leases":
        own = info.namespace == "kube-node-lease" and info.name in ("", node)
        return own and (verb in ("create", "get") or (verb in ("update", "patch", "delete") and info.name == node))
    if plural == "events":
        return verb in ("create", "update", "patch")
    if plural == "certificatesigningrequests":
        return not sub and (verb == "create" or verb in _READ)
    return plural == "tokenreviews" and verb == "create"


def _node_pods(cache: Cache, node: str, info: RequestInfo, fields: str) -> bool:
    if info.verb in ("list", "watch") and not info.name:
        try:
            return parse_field_selector(fields).equalities().get(BY_NODE) == node
        except SelectorError:
            return False
    allowed = (
        (info.verb in _READ and not info.subresource)
        or (info.verb in ("update", "patch", "get") and info.subresource == "status")
        or (info.verb == "delete" and not info.subresource)
        or (info.verb == "create" and info.subresource == "eviction")
    )
    if not allowed:
        return False
    entry = cache.get(f"pods/{info.namespace}/{info.name}")
    if entry is None:
        return True  # it learns no more than that the pod is gone
    return bool((entry.obj.get("spec") or {}).get("nodeName") == node)


def _pods_of(cache: Cache, node: str, namespace: str) -> list[ROObj]:
    return [e.obj for e in cache.by_index("pods", BY_NODE, node) if e.namespace == namespace]


def _uses_account(cache: Cache, node: str, namespace: str, name: str) -> bool:
    return any(
        ((pod.get("spec") or {}).get("serviceAccountName") or "default") == name
        for pod in _pods_of(cache, node, namespace)
    )


def _is_used(cache: Cache, node: str, plural: str, namespace: str, name: str) -> bool:
    """Whether a pod on the node names the ConfigMap or Secret."""
    return any(name in referenced(pod, plural) for pod in _pods_of(cache, node, namespace))


def referenced(pod: ROObj, plural: str) -> set[str]:
    """The names of the ConfigMaps or Secrets that a pod's spec names: volumes, environment, image pull secrets."""
    secrets = plural == "secrets"
    spec: Mapping[str, Any] = pod.get("spec") or {}
    ref, key_ref, source = (
        ("secretRef", "secretKeyRef", "secret") if secrets else ("configMapRef", "configMapKeyRef", "configMap")
    )
    names: set[str] = set()
    for volume in spec.get("volumes") or ():
        own = volume.get(source) or {}
        names.add(own.get("secretName" if secrets else "name") or "")
        for part in (volume.get("projected") or {}).get("sources") or ():
            names.add((part.get(source) or {}).get("name") or "")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            for entry in container.get("envFrom") or ():
                names.add((entry.get(ref) or {}).get("name") or "")
            for entry in container.get("env") or ():
                names.add(((entry.get("valueFrom") or {}).get(key_ref) or {}).get("name") or "")
    if secrets:
        names.update(s.get("name") or "" for s in spec.get("imagePullSecrets") or ())
    names.discard("")
    return names


def refusal(user: User, info: RequestInfo) -> Forbidden:
    """403 in apiserver's words (`endpoints/handlers/responsewriters/errors.go`)."""
    if not info.is_resource:
        return Forbidden(f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"', details={})
    resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    shown = qualified(info.plural, info.group)
    named = f'{shown} "{info.name}"' if info.name else shown
    return Forbidden(
        f'{named} is forbidden: User "{user.name}" cannot {info.verb} resource "{resource}" '
        f'in API group "{info.group}" {where}',
        details=resource_details(group=info.group, kind=info.plural, name=info.name),
    )


def check(authorize: Authorize, request: Request) -> None:
    """Raises Forbidden."""
    if not authorize(request.user, request.info, request.one("fieldSelector")):
        raise refusal(request.user, request.info)


__all__ = ["Authorize", "authorizer", "check", "is_system_account", "node_name", "referenced", "refusal"]
